package kafkaio

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// noting notes what a handler was told.
type noting struct {
	assigned, revoked, lost []TopicPartition
	onAssigned              func([]TopicPartition) error
	onRevoked               func([]TopicPartition) error
}

func (n *noting) Assigned(p []TopicPartition) error {
	n.assigned = append(n.assigned, p...)
	if n.onAssigned != nil {
		return n.onAssigned(p)
	}
	return nil
}

func (n *noting) Revoked(p []TopicPartition) error {
	n.revoked = append(n.revoked, p...)
	if n.onRevoked != nil {
		return n.onRevoked(p)
	}
	return nil
}

func (n *noting) Lost(p []TopicPartition) error { n.lost = append(n.lost, p...); return nil }

func newTestConsumer(t *testing.T, bootstrap, group, instance string, h Handler, more ...string) *Consumer {
	t.Helper()
	cfg := Config{"bootstrap.servers": bootstrap}
	for i := 0; i < len(more); i += 2 {
		cfg[more[i]] = more[i+1]
	}
	c, err := NewConsumer(t.Context(), ConsumerConfig{Client: cfg, Group: group, InstanceID: instance, Rebalance: h})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, c.Close(ctx))
	})
	return c
}

// pollUntil polls until ok holds, and returns all records seen.
func pollUntil(t *testing.T, c *Consumer, ok func(got []Record) bool) []Record {
	t.Helper()
	ctx := within(t)
	var got []Record
	buf := make([]Record, 0, 500)
	for !ok(got) {
		recs, err := c.Poll(ctx, 100*time.Millisecond, buf)
		require.NoError(t, err, "after %d records; trouble: %v", len(got), c.Trouble())
		got = append(got, recs...)
	}
	return got
}

func atLeast(n int) func([]Record) bool { return func(got []Record) bool { return len(got) >= n } }

func TestRecordsCarryEverythingAndKeepTheirOrder(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("records")
		createTopic(t, bootstrap, topic, 3)
		p := newTestProducer(t, bootstrap, "")
		in := []Record{
			{Topic: topic, Partition: 0, Key: []byte("k"), Value: []byte("v"), Timestamp: 1234567890123,
				Headers: []Header{{"a", []byte("1")}, {"a", []byte{}}, {"b", nil}}},
			{Topic: topic, Partition: 0, Timestamp: 1, Key: []byte{}},
			{Topic: topic, Partition: 0, Timestamp: 2, Value: []byte{}},
		}
		sendAll(t, p, in)
		for part := range int32(2) {
			sendAll(t, p, numbered(topic, part+1, 0, 1500))
		}
		c := newTestConsumer(t, bootstrap, unique("g"), "", nil)
		require.NoError(t, c.Subscribe([]string{topic}, ""))
		got := pollUntil(t, c, atLeast(3003))
		by := map[int32][]Record{}
		for _, r := range got {
			by[r.Partition] = append(by[r.Partition], r)
		}
		for i := range in {
			in[i].Offset, in[i].TimestampType = int64(i), record.CreateTime
		}
		require.Equal(t, in, by[0])
		for part := range int32(2) {
			require.Len(t, by[part+1], 1500)
			for i, r := range by[part+1] {
				require.EqualValues(t, i, r.Offset)
				require.Equal(t, fmt.Sprint(i), string(r.Value))
			}
		}
	})
}

func TestFault_ZT_2_ANewMemberWithTheSameInstanceIDFencesTheOldOne(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic, group := unique("zt2"), unique("g")
		createTopic(t, bootstrap, topic, 4)
		p := newTestProducer(t, bootstrap, "")
		for part := range int32(4) {
			sendAll(t, p, numbered(topic, part, 0, 10))
		}
		watch := &noting{} // another task of the connector, which a takeover must not disturb
		other := newTestConsumer(t, bootstrap, group, "task-1", watch)
		require.NoError(t, other.Subscribe([]string{topic}, ""))
		old := newTestConsumer(t, bootstrap, group, "task-0", nil)
		require.NoError(t, old.Subscribe([]string{topic}, ""))
		pollBoth(t, old, other, func() bool { return len(old.Assignment()) == 2 && len(other.Assignment()) == 2 })
		mine := old.Assignment()
		commit := map[TopicPartition]int64{mine[0]: 7}
		require.NoError(t, old.Commit(within(t), commit))
		turns := len(watch.assigned) + len(watch.revoked) + len(watch.lost)

		heirWatch := &noting{}
		heir := newTestConsumer(t, bootstrap, group, "task-0", heirWatch)
		var start map[TopicPartition]int64
		heirWatch.onAssigned = func(parts []TopicPartition) error { start = heir.Position(parts); return nil }
		require.NoError(t, heir.Subscribe([]string{topic}, ""))
		pollBoth(t, heir, other, func() bool { return len(heir.Assignment()) == 2 })
		require.Equal(t, mine, heir.Assignment(), "the takeover moves no partition")
		require.Equal(t, map[TopicPartition]int64{mine[0]: 7, mine[1]: 0}, start, "it starts where the old one committed")

		require.ErrorIs(t, old.Commit(within(t), map[TopicPartition]int64{mine[0]: 9}), job.ErrFenced)
		ctx := within(t)
		for {
			_, err := old.Poll(ctx, 100*time.Millisecond, nil)
			if err != nil {
				require.ErrorIs(t, err, job.ErrFenced)
				break
			}
			_, err = other.Poll(ctx, 0, nil)
			require.NoError(t, err)
		}
		committed, err := heir.Committed(within(t), mine)
		require.NoError(t, err)
		require.Equal(t, commit, committed, "the fenced commit changed nothing")
		require.NoError(t, old.Close(within(t)))
		require.Equal(t, turns, len(watch.assigned)+len(watch.revoked)+len(watch.lost), "the other member was not disturbed")
	})
}

// pollBoth polls two members in turn, as two tasks would at the same time.
func pollBoth(t *testing.T, a, b *Consumer, ok func() bool) {
	t.Helper()
	ctx := within(t)
	for !ok() {
		for _, c := range []*Consumer{a, b} {
			_, err := c.Poll(ctx, 20*time.Millisecond, nil)
			require.NoError(t, err)
		}
	}
}

func TestClosingAStaticMemberLeavesItInTheGroupAndLeaveDoesNot(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic, group := unique("leave"), unique("g")
		createTopic(t, bootstrap, topic, 1)
		admin := newTestAdmin(t, bootstrap)
		for _, leave := range []bool{false, true} {
			c := newTestConsumer(t, bootstrap, group, "task-0", nil)
			require.NoError(t, c.Subscribe([]string{topic}, ""))
			pollUntil(t, c, func([]Record) bool { return len(c.Assignment()) == 1 })
			want := 1
			if leave {
				require.NoError(t, c.Leave(within(t)))
				want = 0
			} else {
				require.NoError(t, c.Close(within(t)))
			}
			members, err := admin.Members(within(t), group)
			require.NoError(t, err)
			require.Len(t, members, want, "leave=%v", leave)
			if !leave {
				require.Equal(t, "task-0", members[0].InstanceID)
			}
		}
	})
}

func TestSeekAndPauseHoldForRecordsAlreadyFetched(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("seek")
		createTopic(t, bootstrap, topic, 2)
		p := newTestProducer(t, bootstrap, "")
		for part := range int32(2) {
			sendAll(t, p, numbered(topic, part, 0, 1000))
		}
		c := newTestConsumer(t, bootstrap, unique("g"), "", nil)
		require.NoError(t, c.Subscribe([]string{topic}, ""))
		zero, one := TopicPartition{Topic: topic}, TopicPartition{Topic: topic, Partition: 1}
		pollUntil(t, c, atLeast(700))
		require.NoError(t, c.Pause([]TopicPartition{one}))
		require.NoError(t, c.Seek(map[TopicPartition]int64{zero: 10, one: 500}))
		got := pollUntil(t, c, atLeast(990))
		for i, r := range got {
			require.Equal(t, zero, r.Where())
			require.EqualValues(t, 10+i, r.Offset)
		}
		require.NoError(t, c.Resume([]TopicPartition{one}))
		got = pollUntil(t, c, atLeast(500))
		for i, r := range got {
			require.Equal(t, one, r.Where())
			require.EqualValues(t, 500+i, r.Offset)
		}
		require.Equal(t, map[TopicPartition]int64{zero: 1000, one: 1000}, c.Position(c.Assignment()))
	})
}

func TestAHandlerCanMoveAndHoldTheStart(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("start")
		createTopic(t, bootstrap, topic, 2)
		p := newTestProducer(t, bootstrap, "")
		for part := range int32(2) {
			sendAll(t, p, numbered(topic, part, 0, 20))
		}
		h := &noting{}
		c := newTestConsumer(t, bootstrap, unique("g"), "", h)
		zero, one := TopicPartition{Topic: topic}, TopicPartition{Topic: topic, Partition: 1}
		h.onAssigned = func([]TopicPartition) error {
			if err := c.Pause([]TopicPartition{one}); err != nil {
				return err
			}
			return c.Seek(map[TopicPartition]int64{zero: 15})
		}
		require.NoError(t, c.Subscribe([]string{topic}, ""))
		got := pollUntil(t, c, atLeast(5))
		require.Equal(t, []string{"15", "16", "17", "18", "19"}, valuesOf(got))
		require.NoError(t, c.Resume([]TopicPartition{one}))
		require.Equal(t, "0", string(pollUntil(t, c, atLeast(20))[0].Value))
	})
}

func TestRevokedPartitionsAreCommittedInTheirHandlerAndNoRecordFollows(t *testing.T) {
	for _, strategy := range []string{"range", "cooperative-sticky"} {
		t.Run(strategy, func(t *testing.T) {
			onBrokers(t, func(t *testing.T, bootstrap string) {
				topic, group := unique("revoke"), unique("g")
				createTopic(t, bootstrap, topic, 4)
				p := newTestProducer(t, bootstrap, "")
				for part := range int32(4) {
					sendAll(t, p, numbered(topic, part, 0, 50))
				}
				h := &noting{}
				first := newTestConsumer(t, bootstrap, group, "", h, "partition.assignment.strategy", strategy)
				h.onRevoked = func(parts []TopicPartition) error {
					return first.Commit(within(t), first.Position(parts))
				}
				require.NoError(t, first.Subscribe([]string{topic}, ""))
				pollUntil(t, first, atLeast(200))
				second := newTestConsumer(t, bootstrap, group, "", nil, "partition.assignment.strategy", strategy)
				require.NoError(t, second.Subscribe([]string{topic}, ""))
				pollBoth(t, first, second, func() bool { return len(second.Assignment()) == 2 && len(first.Assignment()) == 2 })
				for part := range int32(4) {
					sendAll(t, p, numbered(topic, part, 50, 1))
				}
				ctx := within(t)
				var got []Record
				for len(got) < 4 {
					for _, c := range []*Consumer{first, second} {
						recs, err := c.Poll(ctx, 50*time.Millisecond, nil)
						require.NoError(t, err)
						for _, r := range recs {
							require.True(t, slices.Contains(c.Assignment(), r.Where()))
							require.Equal(t, "50", string(r.Value), "nothing is read twice: the old owner committed when it was revoked")
						}
						got = append(got, recs...)
					}
				}
			})
		})
	}
}

func TestAsynchronousCommitAnswersInsidePoll(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("async")
		createTopic(t, bootstrap, topic, 1)
		c := newTestConsumer(t, bootstrap, unique("g"), "x", nil)
		require.NoError(t, c.Subscribe([]string{topic}, ""))
		pollUntil(t, c, func([]Record) bool { return len(c.Assignment()) == 1 })
		answered := false
		tp := TopicPartition{Topic: topic}
		c.CommitAsync(map[TopicPartition]int64{tp: 0}, func(err error) {
			require.NoError(t, err)
			answered = true
		})
		require.False(t, answered)
		pollUntil(t, c, func([]Record) bool { return answered })
		got, err := c.Committed(within(t), []TopicPartition{tp})
		require.NoError(t, err)
		require.Equal(t, map[TopicPartition]int64{tp: 0}, got)
	})
}

func TestARegexFollowsTopicsAsTheyCome(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		prefix := unique("regex")
		c := newTestConsumer(t, bootstrap, unique("g"), "", nil, "metadata.max.age.ms", "500")
		require.NoError(t, c.Subscribe(nil, prefix+`-(?:a|b)\d`))
		p := newTestProducer(t, bootstrap, "")
		for _, topic := range []string{prefix + "-a1", prefix + "-b2", prefix + "-c3", prefix + "-a1-more"} {
			createTopic(t, bootstrap, topic, 1)
			sendAll(t, p, numbered(topic, 0, 0, 1))
			if topic == prefix+"-a1" {
				require.Equal(t, topic, pollUntil(t, c, atLeast(1))[0].Topic)
			}
		}
		pollUntil(t, c, func(got []Record) bool {
			return slices.ContainsFunc(got, func(r Record) bool { return r.Topic == prefix+"-b2" })
		})
		require.Len(t, c.Assignment(), 2)
		require.Equal(t, connecterr.Config, connecterr.KindOf(c.Subscribe(nil, "(")))
	})
}

func TestWakeAndContextEndAPollThatWaits(t *testing.T) {
	t.Parallel()
	c := newTestConsumer(t, "127.0.0.1:1", "g", "", nil)
	require.NoError(t, c.Subscribe([]string{"t"}, ""))
	c.Wake()
	got, err := c.Poll(within(t), patience, nil)
	require.NoError(t, err)
	require.Empty(t, got)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.Poll(ctx, patience, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	// No broker: the consumer goes on trying and says why.
	for c.Trouble() == nil {
		_, err := c.Poll(within(t), 50*time.Millisecond, nil)
		require.NoError(t, err)
	}
	require.NoError(t, c.Close(within(t)), "KO-3: also against dead brokers a close ends")
}

func TestCloseFromAnotherGoroutineEndsThePollAndLaterCallsFail(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("closing")
		createTopic(t, bootstrap, topic, 1)
		c := newTestConsumer(t, bootstrap, unique("g"), "x", nil)
		require.NoError(t, c.Subscribe([]string{topic}, ""))
		pollUntil(t, c, func([]Record) bool { return len(c.Assignment()) == 1 })
		closed := make(chan error, 1)
		go func() { closed <- c.Close(within(t)) }()
		_, err := c.Poll(within(t), patience, nil)
		require.ErrorIs(t, err, errClosed)
		require.NoError(t, <-closed)
		tp := TopicPartition{Topic: topic}
		require.ErrorIs(t, c.Commit(within(t), map[TopicPartition]int64{tp: 1}), errClosed)
		require.ErrorIs(t, c.Seek(map[TopicPartition]int64{tp: 1}), errClosed)
		require.ErrorIs(t, c.Pause([]TopicPartition{tp}), errClosed)
		_, err = c.Committed(within(t), []TopicPartition{tp})
		require.ErrorIs(t, err, errClosed)
		require.Empty(t, c.Lag())
	})
}

func TestEvictedMembersGiveTheirPartitionsToTheOthers(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic, group := unique("evict"), unique("g")
		createTopic(t, bootstrap, topic, 4)
		gone := newTestConsumer(t, bootstrap, group, "task-1", nil)
		require.NoError(t, gone.Subscribe([]string{topic}, ""))
		stays := newTestConsumer(t, bootstrap, group, "task-0", nil)
		require.NoError(t, stays.Subscribe([]string{topic}, ""))
		pollBoth(t, gone, stays, func() bool { return len(gone.Assignment()) == 2 && len(stays.Assignment()) == 2 })
		require.NoError(t, gone.Close(within(t)), "its place in the group stays taken")

		answer := make(chan error, 1)
		go func() {
			ids, err := EvictMembers(within(t), Config{"bootstrap.servers": bootstrap}, group, []string{topic}, "",
				func(id string) bool { return id == "task-1" }, nil)
			if err == nil && !slices.Equal(ids, []string{"task-1"}) {
				err = fmt.Errorf("evicted %v", ids)
			}
			answer <- err
		}()
		pollUntil(t, stays, func([]Record) bool { return len(stays.Assignment()) == 4 })
		require.NoError(t, <-answer)
	})
}

func TestEvictedMembersLeaveAlsoWithoutPartitionsAndAllAtOnce(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic, group := unique("evictall"), unique("g")
		createTopic(t, bootstrap, topic, 1) // for three members
		var members []*Consumer
		for i := range 3 {
			c := newTestConsumer(t, bootstrap, group, fmt.Sprintf("task-%d", i), nil)
			require.NoError(t, c.Subscribe([]string{topic}, ""))
			members = append(members, c)
		}
		a := newTestAdmin(t, bootstrap)
		require.Eventually(t, func() bool {
			parts := 0
			for _, c := range members {
				if _, err := c.Poll(within(t), 10*time.Millisecond, nil); err != nil {
					return false
				}
				parts += len(c.Assignment())
			}
			in, err := a.Members(within(t), group)
			return err == nil && parts == 1 && len(in) == 3 // a broker that has just started may not know its groups yet
		}, 30*time.Second, time.Millisecond)
		for _, c := range members {
			require.NoError(t, c.Close(within(t)))
		}
		ids, err := EvictMembers(within(t), Config{"bootstrap.servers": bootstrap}, group, []string{topic}, "", func(string) bool { return true }, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"task-0", "task-1", "task-2"}, ids)
		require.Eventually(t, func() bool {
			in, err := a.Members(within(t), group)
			return err == nil && len(in) == 0
		}, 10*time.Second, 10*time.Millisecond)
		require.NoError(t, a.DeleteGroup(within(t), group))
	})
}

func TestLargeRecordsEndABatchEarly(t *testing.T) {
	for _, oneByOne := range []bool{false, true} {
		t.Run(fmt.Sprintf("one by one %v", oneByOne), func(t *testing.T) {
			onBrokers(t, func(t *testing.T, bootstrap string) {
				topic := unique("bytes")
				createTopic(t, bootstrap, topic, 1)
				batch := numbered(topic, 0, 0, 60)
				for i := range batch {
					batch[i].Value = make([]byte, 100_000)
				}
				sendAll(t, newTestProducer(t, bootstrap, ""), batch)
				c, err := NewConsumer(t.Context(), ConsumerConfig{
					Client: Config{"bootstrap.servers": bootstrap, "queued.max.messages.kbytes": "200", "fetch.message.max.bytes": "200000"},
					Group:  unique("g"), OneByOne: oneByOne, MaxBytes: 250_000,
				})
				require.NoError(t, err)
				defer c.Close(within(t))
				require.NoError(t, c.Subscribe([]string{topic}, ""))
				buf := make([]Record, 0, 1000)
				for n := 0; n < len(batch); {
					recs, err := c.Poll(within(t), time.Second, buf)
					require.NoError(t, err)
					require.LessOrEqual(t, len(recs), 12, "a batch is the bound, and at most what the queue held beyond it")
					n += len(recs)
				}
			})
		})
	}
}

func TestAMemberThatWasFrozenForLongLooksBeforeItJoinsAgain(t *testing.T) { // ZT-2
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic, group := unique("frozen"), unique("g")
		createTopic(t, bootstrap, topic, 1)
		old := newTestConsumer(t, bootstrap, group, "task-0", nil)
		require.NoError(t, old.Subscribe([]string{topic}, ""))
		pollUntil(t, old, func([]Record) bool { return len(old.Assignment()) == 1 })
		require.NotEmpty(t, old.memberID)

		old.lastPoll = time.Now().Add(-time.Hour)
		_, err := old.Poll(within(t), 0, nil)
		require.NoError(t, err, "nobody has taken its place")
		mine, err := old.holdsPlace(within(t))
		require.NoError(t, err)
		require.True(t, mine)

		heir := newTestConsumer(t, bootstrap, group, "task-0", nil)
		require.NoError(t, heir.Subscribe([]string{topic}, ""))
		pollUntil(t, heir, func([]Record) bool { return len(heir.Assignment()) == 1 })
		mine, err = old.holdsPlace(within(t))
		require.NoError(t, err)
		require.False(t, mine)
		old.lastPoll = time.Now().Add(-time.Hour)
		_, err = old.Poll(within(t), time.Second, nil)
		require.ErrorIs(t, err, job.ErrFenced)
		_, err = heir.Poll(within(t), 100*time.Millisecond, nil)
		require.NoError(t, err, "the successor stays")
	})
}

func TestATopicThatIsMadeAnewHasAnotherIdentity(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic, other := unique("identity"), unique("identity")
		createTopic(t, bootstrap, topic, 1)
		createTopic(t, bootstrap, other, 1)
		c := newTestConsumer(t, bootstrap, unique("g"), "", nil)
		id := func(topic string) string {
			id, err := c.TopicID(within(t), topic)
			require.NoError(t, err)
			require.NotEmpty(t, id)
			return id
		}
		first := id(topic)
		require.Equal(t, first, id(topic))
		require.NotEqual(t, first, id(other))
		cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
		require.NoError(t, err)
		defer cl.Close()
		ask := kmsg.NewPtrDeleteTopicsRequest()
		ask.TopicNames, ask.TimeoutMillis = []string{topic}, 5000
		one := kmsg.NewDeleteTopicsRequestTopic()
		one.Topic = &topic
		ask.Topics = append(ask.Topics, one)
		_, err = ask.RequestWith(within(t), cl)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := c.TopicID(within(t), topic)
			return IsUnknownTopic(err) && connecterr.IsRetriable(err)
		}, patience, 50*time.Millisecond)
		createTopic(t, bootstrap, topic, 1)
		require.Eventually(t, func() bool {
			id, err := c.TopicID(within(t), topic)
			return err == nil && id != first && id != ""
		}, patience, 50*time.Millisecond)
	})
}
