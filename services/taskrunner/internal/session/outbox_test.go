package session

import (
	"strings"
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

func used(job cluster.JobID, epoch cluster.Epoch, resets int64, topics ...string) cluster.TopicReport {
	return cluster.TopicReport{Job: job, Session: "s", Epoch: epoch, TopicResets: resets, Topics: topics}
}

func TestOutbox_used_topics_are_gathered_and_told_until_they_are_stored(t *testing.T) {
	t.Parallel()
	a, b := cluster.TaskJob("a", 0), cluster.TaskJob("a", 1)
	o := NewOutbox()
	o.Topics(used(a, 1, 0, "x"))
	o.Topics(used(a, 1, 0, "y"))
	require.True(t, o.pending())
	unsent := o.take()
	require.Equal(t, []cluster.TopicReport{used(a, 1, 0, "x", "y")}, unsent.topics)
	require.True(t, o.take().empty())
	require.False(t, o.pending())

	o.Topics(used(a, 1, 0, "z"))
	o.putBack(unsent)
	require.Equal(t, []cluster.TopicReport{used(a, 1, 0, "z", "x", "y")}, o.take().topics)

	o.Topics(used(a, 1, 1, "new"))
	o.putBack(unsent)
	require.Equal(t, []cluster.TopicReport{used(a, 1, 1, "new")}, o.take().topics, "not what was used before a clearing")
	o.Topics(used(a, 2, 0, "newer"))
	o.Topics(used(a, 1, 1, "older"))
	require.Equal(t, []cluster.TopicReport{used(a, 2, 0, "newer")}, o.take().topics, "not what an older holding used")

	// The release ends what the store takes of a job: it never comes before the topics.
	o.Topics(used(a, 2, 0, "x"))
	o.Status(cluster.Status{Job: a, Epoch: 2, Released: true})
	both := o.take()
	require.Equal(t, []cluster.TopicReport{used(a, 2, 0, "x")}, both.topics)
	require.Len(t, both.releases, 1)
	long := strings.Repeat("x", maxBatchBytes)
	o.Topics(used(a, 3, 0, long))
	o.Topics(used(b, 3, 0, long))
	o.Status(cluster.Status{Job: b, Epoch: 3, Released: true})
	first := o.take()
	require.Len(t, first.topics, 1)
	require.Empty(t, first.releases)
	second := o.take()
	require.Len(t, second.topics, 1)
	require.Len(t, second.releases, 1)
}
