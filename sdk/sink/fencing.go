package sink

import "context"

// Fencing is what a Context can also do, found by type assertion, for sinks that keep positions beside what they write: with
// positions and results in one transaction nothing is written twice, as long as a run of a task that was replaced is kept
// from going on.
type Fencing interface {
	// Term names the task and numbers its runs. The name is never another task's, and of the runs of one task the newer has
	// the higher epoch. Of two tasks that had a partition one after the other the epochs say nothing.
	Term() (task string, epoch int64)
	// TopicID is the identity of a topic: one that was deleted and made anew under its name has another. "" comes from
	// Kafka before 2.8, which has none. The error is Retriable where another try may help.
	TopicID(ctx context.Context, topic string) (string, error)
}
