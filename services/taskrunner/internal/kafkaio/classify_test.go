package kafkaio

import (
	"errors"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

func TestErrorsAreSortedByWhatATaskCanDoAboutThem(t *testing.T) {
	t.Parallel()
	c := &client{bootstrap: "broker:9092"}
	for _, tc := range []struct {
		code      kafka.ErrorCode
		fenced    bool
		retriable bool
		says      string
	}{
		{code: kafka.ErrFenced, fenced: true},
		{code: kafka.ErrProducerFenced, fenced: true},
		{code: kafka.ErrInvalidProducerEpoch, fenced: true},
		{code: kafka.ErrFencedInstanceID, fenced: true},
		{code: kafka.ErrAllBrokersDown, retriable: true, says: "no answer from Kafka at bootstrap.servers=broker:9092"},
		{code: kafka.ErrTransport, retriable: true, says: "broker:9092"},
		{code: kafka.ErrResolve, retriable: true, says: "broker:9092"},
		{code: kafka.ErrTimedOut, retriable: true, says: "broker:9092"},
		{code: kafka.ErrSaslAuthenticationFailed, says: "broker:9092 refuses this client"},
		{code: kafka.ErrAuthentication, says: "refuses this client"},
		{code: kafka.ErrTopicAuthorizationFailed, says: "refuses this client"},
		{code: kafka.ErrGroupAuthorizationFailed, says: "refuses this client"},
		{code: kafka.ErrUnknownTopicOrPart, retriable: true, says: "Unknown topic"},
		{code: kafka.ErrNotLeaderForPartition, retriable: true},
		{code: kafka.ErrRebalanceInProgress, retriable: true},
		{code: kafka.ErrDestroyBroker, retriable: true},
		{code: kafka.ErrIllegalGeneration, retriable: true},
		{code: kafka.ErrMsgSizeTooLarge},
		{code: kafka.ErrInvalidTxnState},
		{code: kafka.ErrOutOfOrderSequenceNumber},
		{code: kafka.ErrInvalidConfig},
	} {
		t.Run(tc.code.String(), func(t *testing.T) {
			t.Parallel()
			err := c.classify("doing this", kafka.NewError(tc.code, "", false))
			require.Equal(t, tc.fenced, errors.Is(err, job.ErrFenced))
			require.Equal(t, tc.fenced, Fenced(err))
			require.Equal(t, tc.retriable, connecterr.IsRetriable(err))
			require.Contains(t, err.Error(), "doing this: ")
			require.Contains(t, err.Error(), tc.says)
			require.Equal(t, tc.code == kafka.ErrUnknownTopicOrPart, IsUnknownTopic(err))
		})
	}
	require.NoError(t, c.classify("doing this", nil))
}
