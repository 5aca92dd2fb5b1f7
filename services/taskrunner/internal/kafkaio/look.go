package kafkaio

import (
	"context"
	"regexp"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Shape tells topics that look alike by their names apart: one that was deleted and made anew has another id.
type Shape struct {
	ID         string
	Partitions int
}

// Shapes tells the shapes of those topics that there are. An answer that passes by itself (a topic that has no leader yet) is an
// error: nothing is known then.
func (a *Admin) Shapes(ctx context.Context, names []string) (map[string]Shape, error) {
	out := make(map[string]Shape, len(names))
	if len(names) == 0 {
		return out, nil
	}
	doing := "describing topics"
	res, err := a.a.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames(names), kafka.SetAdminRequestTimeout(patienceOf(ctx)))
	if err != nil {
		return nil, a.failed(ctx, doing, err)
	}
	for _, d := range res.TopicDescriptions {
		switch {
		case d.Error.Code() == kafka.ErrNoError:
			out[d.Name] = Shape{ID: d.TopicID.String(), Partitions: len(d.Partitions)}
		case !IsUnknownTopic(d.Error):
			return nil, a.classify(doing, d.Error)
		}
	}
	return out, nil
}

// Matching lists the topics whose whole names match, Kafka's own left out.
func (a *Admin) Matching(ctx context.Context, match *regexp.Regexp) ([]string, error) {
	m, err := a.a.GetMetadata(nil, true, int(min(patienceOf(ctx), 10*time.Second).Milliseconds()))
	if err != nil {
		return nil, a.failed(ctx, "listing topics", err)
	}
	return matching(match, m), nil
}

// Ends is ListEnd for what there is: partitions for which there is no answer now are left out.
func (a *Admin) Ends(ctx context.Context, parts []TopicPartition) (map[TopicPartition]int64, error) {
	out := make(map[TopicPartition]int64, len(parts))
	if len(parts) == 0 {
		return out, nil
	}
	ask := make(map[kafka.TopicPartition]kafka.OffsetSpec, len(parts))
	for i := range parts {
		ask[kafka.TopicPartition{Topic: &parts[i].Topic, Partition: parts[i].Partition}] = kafka.LatestOffsetSpec
	}
	res, err := a.a.ListOffsets(ctx, ask, kafka.SetAdminRequestTimeout(patienceOf(ctx)),
		kafka.SetAdminIsolationLevel(kafka.IsolationLevelReadUncommitted))
	if err != nil {
		return nil, a.failed(ctx, "listing offsets", err)
	}
	for p, r := range res.ResultInfos {
		if r.Error.Code() == kafka.ErrNoError {
			out[fromKafka(p)] = int64(r.Offset)
		}
	}
	return out, nil
}
