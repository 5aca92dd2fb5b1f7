package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// verdict is what an error code means to a task.
type verdict uint8

const (
	final     verdict = iota // does not pass by itself
	passing                  // may pass by itself
	fenced                   // a newer holder took over
	forbidden                // wrong or missing credentials or rights: final, and worth saying at once
	unreachable
)

// verdictOf sorts error codes. Everything not named is final.
func verdictOf(code kafka.ErrorCode) verdict {
	switch code {
	case kafka.ErrFenced, kafka.ErrProducerFenced, kafka.ErrInvalidProducerEpoch, kafka.ErrFencedInstanceID,
		kafka.ErrFencedMemberEpoch, kafka.ErrUnreleasedInstanceID:
		return fenced
	case kafka.ErrAuthentication, kafka.ErrSaslAuthenticationFailed, kafka.ErrTopicAuthorizationFailed,
		kafka.ErrGroupAuthorizationFailed, kafka.ErrClusterAuthorizationFailed,
		kafka.ErrTransactionalIDAuthorizationFailed, kafka.ErrDelegationTokenAuthorizationFailed,
		kafka.ErrUnsupportedSaslMechanism, kafka.ErrIllegalSaslState:
		return forbidden
	case kafka.ErrAllBrokersDown, kafka.ErrTransport, kafka.ErrResolve, kafka.ErrBrokerNotAvailable,
		kafka.ErrNetworkException, kafka.ErrTimedOut, kafka.ErrSsl:
		return unreachable
	case kafka.ErrMsgTimedOut, kafka.ErrTimedOutQueue, kafka.ErrRequestTimedOut, kafka.ErrQueueFull, kafka.ErrRetry,
		kafka.ErrWaitCoord, kafka.ErrWaitCache, kafka.ErrLeaderNotAvailable, kafka.ErrNotLeaderForPartition,
		kafka.ErrReplicaNotAvailable, kafka.ErrCoordinatorLoadInProgress, kafka.ErrCoordinatorNotAvailable,
		kafka.ErrNotCoordinator, kafka.ErrNotEnoughReplicas, kafka.ErrNotEnoughReplicasAfterAppend,
		kafka.ErrIllegalGeneration, kafka.ErrUnknownMemberID, kafka.ErrRebalanceInProgress, kafka.ErrNotController,
		kafka.ErrConcurrentTransactions, kafka.ErrKafkaStorageError, kafka.ErrFencedLeaderEpoch,
		kafka.ErrUnknownLeaderEpoch, kafka.ErrOffsetNotAvailable, kafka.ErrUnstableOffsetCommit,
		kafka.ErrPreferredLeaderNotAvailable, kafka.ErrThrottlingQuotaExceeded, kafka.ErrAssignmentLost,
		kafka.ErrInProgress, kafka.ErrPrevInProgress, kafka.ErrDestroyBroker, kafka.ErrPurgeInflight, kafka.ErrPurgeQueue,
		kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic, kafka.ErrUnknownPartition, kafka.ErrUnknownTopicID:
		// An unknown topic or partition may be about to exist: a task retries, its status says which (KO-6).
		return passing
	default:
		return final
	}
}

// classify turns an error of the library into one of ours. doing is a gerund phrase, "committing offsets of group g".
func (c *client) classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	ke, ok := errors.AsType[kafka.Error](err)
	if !ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	v := verdictOf(ke.Code())
	if v == final && retriable(err) {
		v = passing
	}
	abort, cause := RequiresAbort(err), error(ke)
	if abort {
		cause = err
	}
	switch v {
	case fenced:
		return fmt.Errorf("%s: %w: %w", doing, job.ErrFenced, cause)
	case forbidden:
		return connecterr.Wrap(connecterr.General, cause, "%s: Kafka at %s refuses this client", doing, c.bootstrap)
	case unreachable:
		return connecterr.Wrap(connecterr.Retriable, cause, "%s: no answer from Kafka at bootstrap.servers=%s", doing, c.bootstrap)
	case passing:
		return connecterr.Wrap(connecterr.Retriable, cause, "%s", doing)
	case final:
	}
	if abort { // the transaction is lost, its records can be sent again in the next one
		return connecterr.Wrap(connecterr.Retriable, cause, "%s", doing)
	}
	return connecterr.Wrap(connecterr.General, cause, "%s", doing)
}

// RequiresAbort tells that the transaction can only be aborted; its records may be sent again in the next one.
func RequiresAbort(err error) bool {
	if e, ok := errors.AsType[*callError](err); ok {
		return e.abort
	}
	ke, ok := errors.AsType[kafka.Error](err)
	return ok && ke.TxnRequiresAbort()
}

// IsUnknownTopic tells that Kafka does not know the topic or partition.
func IsUnknownTopic(err error) bool {
	return hasCode(err, kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic, kafka.ErrUnknownPartition, kafka.ErrUnknownTopicID)
}

// IsTooLarge tells that one record is larger than the producer or the broker allows: others of the batch may not be.
func IsTooLarge(err error) bool {
	return hasCode(err, kafka.ErrMsgSizeTooLarge, kafka.ErrRecordListTooLarge)
}

// IsForbidden tells that credentials or rights are missing.
func IsForbidden(err error) bool {
	ke, ok := errors.AsType[kafka.Error](err)
	return ok && verdictOf(ke.Code()) == forbidden
}

// IsUnsupported tells that the broker is too old for what it was asked.
func IsUnsupported(err error) bool {
	return hasCode(err, kafka.ErrUnsupportedVersion, kafka.ErrUnsupportedFeature)
}

// IsInvalidConfig tells that the broker refuses the settings of a topic.
func IsInvalidConfig(err error) bool { return hasCode(err, kafka.ErrInvalidConfig) }

func hasCode(err error, codes ...kafka.ErrorCode) bool {
	ke, ok := errors.AsType[kafka.Error](err)
	return ok && slices.Contains(codes, ke.Code())
}

// gaveUp is the error of a wait that ctx ended: retriable, and it names what the client last complained about.
func (c *client) gaveUp(ctx context.Context, doing string) error {
	cause := context.Cause(ctx)
	if g := c.grievance(); g != "" {
		cause = fmt.Errorf("%w (%s)", cause, g)
	}
	return connecterr.Wrap(connecterr.Retriable, cause, "%s: waiting for Kafka at bootstrap.servers=%s", doing, c.bootstrap)
}

// complain notes an error that belongs to no call, as the library's error events. It returns an error when nothing but a
// change by the user helps: then waiting calls end early.
func (c *client) complain(doing string, e kafka.Error) error {
	c.setTrouble(e)
	switch v := verdictOf(e.Code()); {
	case v == fenced, v == forbidden, e.IsFatal():
		return c.classify(doing, e)
	default:
		return nil
	}
}
