package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func TestAddress_forms_stay_as_they_are(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		got    wire.Address
		want   string
		role   wire.Role
		family string
	}{
		{wire.Commands, "commands", wire.Queue, "commands"},
		{wire.Reports, "reports", wire.Queue, "reports"},
		{wire.Scheduler, "scheduler", wire.Endpoint, "scheduler"},
		{wire.Events, "events", wire.Topic, "events"},
		{wire.Wakes, "wakes", wire.Topic, "wakes"},
		{wire.LogLevels, "loglevels", wire.Topic, "loglevels"},
		{wire.Runner("0d9f-5_A"), "runner.0d9f-5_A", wire.Queue, "runner"},
		{wire.RunnerCall("0d9f"), "call.0d9f", wire.Endpoint, "call"},
		{wire.Validator("a.B$c"), "validate.x612e422463", wire.Endpoint, "validate"},
		{wire.Offsets("a.B$c"), "offsets.x612e422463", wire.Endpoint, "offsets"},
		{wire.Runner("x61"), "runner.x783631", wire.Queue, "runner"}, // else it would equal the queue of "a" in hex
		{wire.Runner("xyz"), "runner.xyz", wire.Queue, "runner"},
		{wire.Runner(""), "runner.x", wire.Queue, "runner"},
		{"runner.a.b", "runner.a.b", wire.NoRole, "runner"},
		{"runner.*", "runner.*", wire.NoRole, "runner"},
		{"runner.", "runner.", wire.NoRole, "runner"},
		{"runner", "runner", wire.NoRole, "runner"},
		{"commands.x", "commands.x", wire.NoRole, "commands"},
		{"", "", wire.NoRole, ""},
	} {
		require.Equal(t, c.want, string(c.got))
		require.Equal(t, c.role, c.got.Role(), c.want)
		require.Equal(t, c.family, c.got.Family(), c.want)
	}
}

func TestAddress_two_sessions_never_share_a_queue_and_every_name_is_one_safe_part(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.OneOf(rapid.String(), rapid.StringMatching(`x([0-9a-f]{2}){0,3}`), rapid.StringMatching(`[a-z.]{0,3}`))
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		x, y := wire.Runner(cluster.SessionID(a)), wire.Runner(cluster.SessionID(b))
		require.Equal(t, a == b, x == y, "%q %q: %s %s", a, b, x, y)
		require.Equal(t, wire.Queue, x.Role())
		for _, c := range strings.TrimPrefix(string(x), "runner.") {
			require.True(t, c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_', "%s", x)
		}
	})
}
