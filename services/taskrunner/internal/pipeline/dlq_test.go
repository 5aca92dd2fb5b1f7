package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
)

// mailbox makes producers and counts what they do.
type mailbox struct {
	opened, closed, sent int
	refuse, stuck        error
}

func (m *mailbox) open() (pipeline.Producer, error) {
	if m.refuse != nil {
		return nil, m.refuse
	}
	m.opened++
	return m, nil
}

func (m *mailbox) Send(_ context.Context, batch []kafkaio.Record, done func(int, record.Produced, error)) (int, error) {
	m.sent += len(batch)
	for i := range batch {
		done(i, record.Produced{}, nil)
	}
	return len(batch), nil
}
func (m *mailbox) Flush(context.Context) error { return m.stuck }
func (m *mailbox) Close(context.Context) error { m.closed++; return nil }

func TestQueue_gives_its_producer_back_while_it_rests(t *testing.T) {
	t.Parallel()
	m := &mailbox{}
	q, err := pipeline.NewQueue("dlq", m.open, slog.New(slog.DiscardHandler), connectmetrics.Alone())
	require.NoError(t, err)
	require.Equal(t, 1, m.opened, "what is wrong with its settings shows at the start")
	q.Send(kafkaio.Record{})
	require.NoError(t, q.Settle(t.Context()))
	m.stuck = errors.New("on its way")
	q.Rest()
	require.Zero(t, m.closed, "something is under way")
	require.Error(t, q.Settle(t.Context()))
	m.stuck = nil
	q.Rest()
	q.Rest()
	require.Equal(t, 1, m.closed)
	require.NoError(t, q.Settle(t.Context()))
	q.Send(kafkaio.Record{})
	q.Send(kafkaio.Record{})
	require.Equal(t, 2, m.opened)
	require.NoError(t, q.Settle(t.Context()))
	require.Equal(t, 3, m.sent)

	q.Rest()
	m.refuse = errors.New("no")
	q.Send(kafkaio.Record{})
	require.ErrorContains(t, q.Settle(t.Context()), "setting a record aside in topic dlq: no", "nothing may be committed")
	require.NoError(t, q.Settle(t.Context()))

	m.refuse = nil
	q.Close()
	q.Send(kafkaio.Record{})
	require.Error(t, q.Settle(t.Context()))
	require.Equal(t, [2]int{2, 2}, [2]int{m.opened, m.closed}, "nothing is left behind by a task that has ended")
}
