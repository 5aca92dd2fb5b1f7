package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/internal/obs"
)

// ErrTopicExists and ErrGroupInUse are answers of Admin that callers act on.
var (
	ErrTopicExists = errors.New("the topic exists")
	ErrGroupInUse  = errors.New("the consumer group has members")
)

// Topic describes a topic: one that exists, or one to be made. To be made, Partitions or Replication -1 takes the
// broker's default; Config is only looked at there.
type Topic struct {
	Name        string
	Partitions  int
	Replication int
	Config      map[string]string
}

// Member is one member of a consumer group.
type Member struct {
	ID         string
	InstanceID string // of a static member, else empty
	ClientID   string
	Host       string
}

// Admin makes topics and looks at topics and groups. Its methods may be called from any goroutine, and wait until their
// context ends while no broker answers.
type Admin struct {
	*client
	a     *kafka.AdminClient
	cfg   Config
	close sync.Once
	done  chan struct{}
}

// NewAdmin makes an admin client. It does not wait for a broker. Close it.
func NewAdmin(cfg Config, log *slog.Logger) (*Admin, error) {
	c := newClient(cfg, obs.Named(log, obs.LogAdmin))
	ka, err := kafka.NewAdminClient(build(c, cfg, nil, nil, sharedDefaults))
	if err != nil {
		c.closeLogs()
		return nil, configError("admin client", cfg, err)
	}
	return &Admin{client: c, a: ka, cfg: cfg, done: make(chan struct{})}, nil
}

// Close gives the client back; no other call may be running. When the library does not let go until ctx ends, it returns an
// error and the rest happens in the background. Safe to call twice.
func (a *Admin) Close(ctx context.Context) error {
	a.close.Do(func() {
		go func() {
			defer close(a.done)
			a.a.Close()
			a.closeLogs()
		}()
	})
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the admin client of %s: %w", a.bootstrap, context.Cause(ctx))
	}
}

// failed explains err: a wait that ctx ended, or an answer.
func (a *Admin) failed(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return a.gaveUp(ctx, doing)
	}
	return a.classify(doing, err)
}

// patienceOf is how long the broker may take, by the context: librdkafka ends a request after 60 s otherwise, which reads
// like a broken broker.
func patienceOf(ctx context.Context) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return max(time.Second, min(time.Until(d), time.Hour))
	}
	return time.Hour
}

// ClusterID is the id of the Kafka cluster.
func (a *Admin) ClusterID(ctx context.Context) (string, error) {
	for {
		part, cancel := context.WithTimeout(ctx, slice)
		id, err := a.a.ClusterID(part)
		cancel()
		if err == nil {
			return id, nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return "", a.failed(ctx, "asking for the cluster id", err)
		}
	}
}

// CreateTopics makes topics. The first result says per topic what went wrong (nil: made; ErrTopicExists: it was there);
// the second is about the request as a whole.
func (a *Admin) CreateTopics(ctx context.Context, topics ...Topic) (map[string]error, error) {
	specs := make([]kafka.TopicSpecification, len(topics))
	for i, t := range topics {
		specs[i] = kafka.TopicSpecification{
			Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replication, Config: t.Config,
		}
	}
	res, err := a.a.CreateTopics(ctx, specs, kafka.SetAdminRequestTimeout(patienceOf(ctx)),
		kafka.SetAdminOperationTimeout(min(30*time.Second, patienceOf(ctx))))
	if err != nil {
		return nil, a.failed(ctx, "creating topics", err)
	}
	out := map[string]error{}
	for _, r := range res {
		switch r.Error.Code() {
		case kafka.ErrNoError:
			out[r.Topic] = nil
		case kafka.ErrTopicAlreadyExists:
			out[r.Topic] = fmt.Errorf("creating topic %s: %w", r.Topic, ErrTopicExists)
		default:
			out[r.Topic] = a.classify("creating topic "+r.Topic, r.Error)
		}
	}
	return out, nil
}

// DescribeTopic tells a topic's partitions and replication. It makes no topic: IsUnknownTopic holds for the error of one
// that is not there.
func (a *Admin) DescribeTopic(ctx context.Context, name string) (Topic, error) {
	d, err := a.describe(ctx, name)
	t := Topic{Name: name, Partitions: len(d.Partitions)}
	if len(d.Partitions) > 0 {
		t.Replication = len(d.Partitions[0].Replicas)
	}
	return t, err
}

func (a *Admin) describe(ctx context.Context, name string) (kafka.TopicDescription, error) {
	doing := "describing topic " + name
	res, err := a.a.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{name}),
		kafka.SetAdminRequestTimeout(patienceOf(ctx)))
	if err != nil {
		return kafka.TopicDescription{}, a.failed(ctx, doing, err)
	}
	for _, d := range res.TopicDescriptions {
		if d.Name != name {
			continue
		}
		if d.Error.Code() != kafka.ErrNoError {
			return kafka.TopicDescription{}, a.classify(doing, d.Error)
		}
		return d, nil
	}
	return kafka.TopicDescription{}, a.classify(doing, kafka.NewError(kafka.ErrUnknownTopicOrPart, "", false))
}

// TopicConfig is a topic's configuration, for example cleanup.policy.
func (a *Admin) TopicConfig(ctx context.Context, name string) (map[string]string, error) {
	doing := "reading the configuration of topic " + name
	res, err := a.a.DescribeConfigs(ctx, []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: name}},
		kafka.SetAdminRequestTimeout(patienceOf(ctx)))
	if err != nil {
		return nil, a.failed(ctx, doing, err)
	}
	out := map[string]string{}
	for _, r := range res {
		if r.Error.Code() != kafka.ErrNoError {
			return nil, a.classify(doing, r.Error)
		}
		for k, v := range r.Config {
			out[k] = v.Value
		}
	}
	return out, nil
}

// ListEnd tells for each partition the offset after its last record, of open transactions too.
func (a *Admin) ListEnd(ctx context.Context, parts []TopicPartition) (map[TopicPartition]int64, error) {
	return a.listOffsets(ctx, parts, kafka.LatestOffsetSpec)
}

// ListStart tells for each partition the offset of its first record.
func (a *Admin) ListStart(ctx context.Context, parts []TopicPartition) (map[TopicPartition]int64, error) {
	return a.listOffsets(ctx, parts, kafka.EarliestOffsetSpec)
}

func (a *Admin) listOffsets(ctx context.Context, parts []TopicPartition, spec kafka.OffsetSpec) (map[TopicPartition]int64, error) {
	if len(parts) == 0 {
		return map[TopicPartition]int64{}, nil
	}
	ask := make(map[kafka.TopicPartition]kafka.OffsetSpec, len(parts))
	for _, p := range parts {
		ask[kafka.TopicPartition{Topic: &p.Topic, Partition: p.Partition}] = spec
	}
	res, err := a.a.ListOffsets(ctx, ask, kafka.SetAdminRequestTimeout(patienceOf(ctx)),
		kafka.SetAdminIsolationLevel(kafka.IsolationLevelReadUncommitted))
	if err != nil {
		return nil, a.failed(ctx, "listing offsets", err)
	}
	out := make(map[TopicPartition]int64, len(parts))
	for p, r := range res.ResultInfos {
		if r.Error.Code() != kafka.ErrNoError {
			return nil, a.classify(fmt.Sprintf("listing offsets of %s-%d", *p.Topic, p.Partition), r.Error)
		}
		out[TopicPartition{Topic: *p.Topic, Partition: p.Partition}] = int64(r.Offset)
	}
	return out, nil
}

// Members lists the members of a consumer group; none when there is no such group.
func (a *Admin) Members(ctx context.Context, group string) ([]Member, error) {
	doing := "describing group " + group
	res, err := a.a.DescribeConsumerGroups(ctx, []string{group}, kafka.SetAdminRequestTimeout(patienceOf(ctx)))
	if err != nil {
		return nil, a.failed(ctx, doing, err)
	}
	var out []Member
	for _, g := range res.ConsumerGroupDescriptions {
		switch g.Error.Code() {
		case kafka.ErrNoError:
		case kafka.ErrGroupIDNotFound:
			continue
		default:
			return nil, a.classify(doing, g.Error)
		}
		for _, m := range g.Members {
			out = append(out, Member{ID: m.ConsumerID, InstanceID: m.GroupInstanceID, ClientID: m.ClientID, Host: m.Host})
		}
	}
	return out, nil
}

// GroupInUse tells whether a group of any kind has members; Members is for consumers only. It asks to remove the offset of a
// partition that the group has none of, which Kafka refuses as long as there are members.
func (a *Admin) GroupInUse(ctx context.Context, group string, unread TopicPartition) (bool, error) {
	err := a.DeleteGroupOffsets(ctx, group, []TopicPartition{unread})
	switch ke, _ := errors.AsType[kafka.Error](err); {
	case err == nil || ke.Code() == kafka.ErrGroupIDNotFound:
		return false, nil
	case errors.Is(err, ErrGroupInUse):
		return true, nil
	}
	return false, err
}

// ListGroupOffsets tells a group's committed offsets; empty when there is no such group.
func (a *Admin) ListGroupOffsets(ctx context.Context, group string) (map[TopicPartition]int64, error) {
	doing := "listing offsets of group " + group
	// To an answer that its broker does not coordinate the group (any more) the library looks for the coordinator of the
	// client's own group, and crashes where the client has none. So a consumer asks, which joins nothing.
	via, err := NewTail(a.cfg, "")
	if err != nil {
		return nil, err
	}
	defer via.Close()
	var res kafka.ListConsumerGroupOffsetsResult
	for {
		res, err = via.ends.a.ListConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{{Group: group}},
			kafka.SetAdminRequestTimeout(patienceOf(ctx)), kafka.SetAdminRequireStableOffsets(true))
		ke, ok := errors.AsType[kafka.Error](err)
		if err == nil {
			break
		}
		if ok && ke.Code() == kafka.ErrGroupIDNotFound {
			return map[TopicPartition]int64{}, nil
		}
		if !ok || !coordinatorMoves(ke.Code()) {
			return nil, a.failed(ctx, doing, err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, a.failed(ctx, doing, err)
		}
	}
	out := map[TopicPartition]int64{}
	for _, g := range res.ConsumerGroupsTopicPartitions {
		for _, p := range g.Partitions {
			if p.Error != nil {
				return nil, a.classify(doing, p.Error)
			}
			if p.Offset >= 0 {
				out[TopicPartition{Topic: *p.Topic, Partition: p.Partition}] = int64(p.Offset)
			}
		}
	}
	return out, nil
}

// coordinatorMoves tells of an answer that passes once the group has a coordinator again.
func coordinatorMoves(code kafka.ErrorCode) bool {
	switch code {
	case kafka.ErrNotCoordinator, kafka.ErrCoordinatorLoadInProgress, kafka.ErrCoordinatorNotAvailable:
		return true
	default:
		return false
	}
}

// AlterGroupOffsets sets committed offsets of a group that has no members; ErrGroupInUse when it has.
func (a *Admin) AlterGroupOffsets(ctx context.Context, group string, offsets map[TopicPartition]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	doing := "altering offsets of group " + group
	res, err := a.a.AlterConsumerGroupOffsets(ctx,
		[]kafka.ConsumerGroupTopicPartitions{{Group: group, Partitions: toKafka(offsets)}},
		kafka.SetAdminRequestTimeout(patienceOf(ctx)))
	if err != nil {
		return a.groupFailed(ctx, doing, err)
	}
	for _, g := range res.ConsumerGroupsTopicPartitions {
		for _, p := range g.Partitions {
			if p.Error != nil {
				return a.groupFailed(ctx, doing, p.Error)
			}
		}
	}
	return nil
}

// DeleteGroup deletes a group that has no members, with its offsets; ErrGroupInUse when it has. No such group is no error.
func (a *Admin) DeleteGroup(ctx context.Context, group string) error {
	doing := "deleting group " + group
	res, err := a.a.DeleteConsumerGroups(ctx, []string{group}, kafka.SetAdminRequestTimeout(patienceOf(ctx)))
	if err != nil {
		return a.groupFailed(ctx, doing, err)
	}
	for _, g := range res.ConsumerGroupResults {
		switch g.Error.Code() {
		case kafka.ErrNoError, kafka.ErrGroupIDNotFound:
		default:
			return a.groupFailed(ctx, doing, g.Error)
		}
	}
	return nil
}

// groupFailed is failed, with "the group is in use" made recognisable.
func (a *Admin) groupFailed(ctx context.Context, doing string, err error) error {
	if ke, ok := errors.AsType[kafka.Error](err); ok {
		switch ke.Code() {
		// A group with members answers an offset commit from outside as it would a stranger's.
		case kafka.ErrNonEmptyGroup, kafka.ErrUnknownMemberID, kafka.ErrIllegalGeneration, kafka.ErrFencedInstanceID,
			kafka.ErrRebalanceInProgress, kafka.ErrGroupSubscribedToTopic:
			return fmt.Errorf("%s: %w: %w", doing, ErrGroupInUse, ke)
		default:
		}
	}
	return a.failed(ctx, doing, err)
}

// toKafka turns offsets into the library's list, ordered so that logs and requests are the same every time.
func toKafka(offsets map[TopicPartition]int64) []kafka.TopicPartition {
	out := make([]kafka.TopicPartition, 0, len(offsets))
	for p, o := range offsets {
		out = append(out, kafka.TopicPartition{Topic: &p.Topic, Partition: p.Partition, Offset: kafka.Offset(o)})
	}
	slices.SortFunc(out, func(a, b kafka.TopicPartition) int {
		return compareParts(fromKafka(a), fromKafka(b))
	})
	return out
}
