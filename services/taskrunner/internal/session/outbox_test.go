package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

func split(job cluster.JobID, tasks int) cluster.TaskConfigReport {
	return cluster.TaskConfigReport{Job: job, Session: "s", Epoch: 1, Tasks: make([]cluster.Config, tasks)}
}

func TestOutbox_resync_tells_the_newest_task_configs_of_what_is_held_once_more(t *testing.T) {
	t.Parallel()
	a, b := cluster.InstanceJob("a"), cluster.InstanceJob("b")
	o := NewOutbox()
	o.TaskConfigs(split(a, 3))
	o.TaskConfigs(split(a, 1))
	o.TaskConfigs(split(b, 2))
	require.Len(t, o.take().tasks, 2)
	require.True(t, o.take().empty(), "told once")

	o.Status(cluster.Status{Job: b, Released: true})
	require.Len(t, o.take().releases, 1)
	o.resync()
	require.Equal(t, []cluster.TaskConfigReport{split(a, 1)}, o.take().tasks, "not of what was let go")

	o.resync()
	unsent := o.take()
	o.TaskConfigs(split(a, 5))
	o.putBack(unsent)
	require.Equal(t, []cluster.TaskConfigReport{split(a, 5)}, o.take().tasks, "a repetition never hides a newer one")

	o.reset()
	o.resync()
	require.True(t, o.take().empty(), "nor of an older session")
}
