package sinktask

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

func TestLeftBehind_are_a_connectors_own_members_and_in_its_own_group_those_of_earlier_lives(t *testing.T) {
	t.Parallel()
	id := func(group string, uid cluster.UID) string { return InstanceID(group, cluster.TaskJob(uid, 3)) }
	own := LeftBehind("c", "uid-2", "connect-c")
	require.True(t, own(id("connect-c", "uid-2")))
	require.True(t, own(id("connect-c", "uid-1")), "an earlier life")
	shared := LeftBehind("c", "uid-2", "chosen")
	require.True(t, shared(id("chosen", "uid-2")))
	require.False(t, shared(id("chosen", "uid-1")), "another connector may be at home there")
	for _, stranger := range []string{"", "somebody", "connect-c-", "connect-c-uid-2-x", "other-uid-2-0"} {
		require.False(t, own(stranger), stranger)
		require.False(t, shared(stranger), stranger)
	}
}

func TestGroup_is_the_connectors_own_unless_its_consumers_name_one(t *testing.T) {
	t.Parallel()
	require.Equal(t, "connect-c", Group("c", kafkaio.Config{}))
	require.Equal(t, "chosen", Group("c", kafkaio.Config{"group.id": "chosen"}))
}
