package sourcetask_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/sourcetask"
)

type admin struct {
	made     []kafkaio.Topic
	describe error
	create   error
}

func (a *admin) DescribeTopic(context.Context, string) (kafkaio.Topic, error) {
	return kafkaio.Topic{}, a.describe
}
func (a *admin) CreateTopics(_ context.Context, ts ...kafkaio.Topic) (map[string]error, error) {
	a.made = append(a.made, ts...)
	return map[string]error{ts[0].Name: a.create}, nil
}
func (a *admin) Close(context.Context) error { return nil }

// topicsBy makes topics with a client that is there already.
func topicsBy(t *testing.T, groups []sourcetask.Group, a sourcetask.Admin, bootstrap string, log *slog.Logger) sourcetask.Topics {
	t.Helper()
	topics, err := sourcetask.NewTopics(groups, func() (sourcetask.Admin, error) { return a, nil }, bootstrap, log)
	require.NoError(t, err)
	return topics
}

func TestTopicGroups_choose_by_name_and_fall_back_to_the_default(t *testing.T) {
	onBrokers(t, topicGroups)
}

func topicGroups(w *world) {
	t := w.T
	groups, err := sourcetask.TopicGroups(map[string]string{
		"topic.creation.groups": "logs, default", "topic.creation.default.partitions": "2", "topic.creation.default.replication.factor": "-1",
		"topic.creation.default.cleanup.policy": "compact", "topic.creation.logs.include": "log-.*, x", "topic.creation.logs.exclude": "log-no", "topic.creation.logs.partitions": "9",
	})
	require.NoError(t, err)
	require.Len(t, groups, 2)
	a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": w.bootstrap}, nil)
	require.NoError(t, err)
	topics := topicsBy(t, groups, a, w.bootstrap, slog.New(slog.DiscardHandler))
	defer topics.Close(context.Background())
	for topic, partitions := range map[string]int{"log-a-" + w.name: 9, "log-no": 2, "other-" + w.name: 2} {
		require.NoError(t, topics.Ensure(t.Context(), topic))
		require.NoError(t, topics.Ensure(t.Context(), topic), "it is there now")
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			d, err := a.DescribeTopic(t.Context(), topic) // a broker learns a while after it answered
			require.NoError(c, err)
			require.Equal(c, partitions, d.Partitions, topic)
		}, 10*time.Second, 20*time.Millisecond)
	}
}

func TestTopics_a_broker_that_refuses_is_told_of(t *testing.T) {
	t.Parallel()
	groups, err := sourcetask.TopicGroups(map[string]string{"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"})
	require.NoError(t, err)
	a := &admin{describe: errors.New("not authorized")}
	require.ErrorContains(t, topicsBy(t, groups, a, "b:1", slog.New(slog.DiscardHandler)).Ensure(t.Context(), "t"), "Error while attempting to describe topics 't' on the brokers b:1: not authorized")
	require.Empty(t, a.made)
}

func TestTopicGroups_say_what_is_wrong(t *testing.T) {
	t.Parallel()
	groups, err := sourcetask.TopicGroups(map[string]string{"topic": "x"})
	require.NoError(t, err)
	require.Nil(t, groups)
	base := map[string]string{"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1", "topic.creation.groups": "g"}
	for want, change := range map[string][2]string{
		"Replication factor must be positive":                                                     {"topic.creation.default.replication.factor", "0"},
		"Number of partitions must be positive":                                                   {"topic.creation.g.partitions", "-2"},
		"Invalid value x for configuration topic.creation.g.partitions: Not a number of type INT": {"topic.creation.g.partitions", "x"},
		"Invalid value [a, (] for configuration include: Syntax error in regular expression":      {"topic.creation.g.include", "a,("},
	} {
		props := map[string]string{change[0]: change[1]}
		for k, v := range base {
			if _, set := props[k]; !set {
				props[k] = v
			}
		}
		_, err := sourcetask.TopicGroups(props)
		require.ErrorContains(t, err, want)
	}
	_, err = sourcetask.TopicGroups(map[string]string{"topic.creation.default.partitions": "1"})
	require.EqualError(t, err, `Missing required configuration "topic.creation.default.replication.factor" which has no default value.`)
}
