package parking

import (
	"maps"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// Reason is why a task is woken.
type Reason string

// The reasons. Those that the watcher does not give are for the tasks' own.
const (
	Data    Reason = "data"    // a topic goes on where it ended
	Topics  Reason = "topics"  // topics or partitions came or went, or a topic was made anew
	Offsets Reason = "offsets" // the group's offsets are to be kept from being forgotten
	Resumed Reason = "resumed" // the task was paused and is to run
	Records Reason = "records" // a source has something to write
)

// Subscription is what a task reads: topics by name, or all whose name matches.
type Subscription struct {
	Topics  []string
	Pattern Pattern // nil: by name
}

// View is how a subscription's topics look: which there are, and where their partitions end.
type View struct {
	Shapes map[string]kafkaio.Shape
	Ends   map[kafkaio.TopicPartition]int64
}

// partitions lists a topic's partitions.
func partitions(shapes map[string]kafkaio.Shape) []kafkaio.TopicPartition {
	var out []kafkaio.TopicPartition
	for name, s := range shapes {
		for p := range s.Partitions {
			out = append(out, kafkaio.TopicPartition{Topic: name, Partition: int32(p)}) //nolint:gosec // a partition's number
		}
	}
	return out
}

// Complete tells whether the end of every partition is known.
func (v View) Complete() bool { return len(v.Ends) == len(partitions(v.Shapes)) }

// spot is a parked task's place.
type spot struct {
	sub  Subscription
	seen View
	wake chan Reason // cap 1
}

// moved tells whether a partition ends elsewhere than when the task was parked: there is more, or, where there is less, the topic
// was made anew or cut. Partitions of which nothing is known now say nothing.
func (s *spot) moved(ends map[kafkaio.TopicPartition]int64) bool {
	for tp, end := range s.seen.Ends {
		if now, ok := ends[tp]; ok && now != end {
			return true
		}
	}
	return false
}

// reshaped tells whether the subscription's topics are other ones. names are those that match, for a subscription by
// pattern.
func (s *spot) reshaped(shapes map[string]kafkaio.Shape, names []string) bool {
	if s.sub.Pattern == nil {
		names = s.sub.Topics
	}
	now := make(map[string]kafkaio.Shape, len(names))
	for _, n := range names {
		if shape, ok := shapes[n]; ok {
			now[n] = shape
		}
	}
	return !maps.Equal(now, s.seen.Shapes)
}

// rouse hands the reason over; only the first counts.
func (s *spot) rouse(r Reason) {
	select {
	case s.wake <- r:
	default:
	}
}
