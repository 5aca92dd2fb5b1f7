package httpapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/millrace/millrace/controlplane/cluster"
)

// envelope is the body of every error.
type envelope struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// statusError is an error that HTTP itself names.
type statusError int

func (s statusError) Error() string {
	return fmt.Sprintf("HTTP %d %s", int(s), http.StatusText(int(s)))
}

// bodyError says what is wrong with a body's JSON. Kafka Connect answers 500.
type bodyError struct{ message string }

func (e *bodyError) Error() string { return e.message }

// statuses maps codes to statuses: the only place that does.
var statuses = map[cluster.Code]int{
	cluster.NotFound:      http.StatusNotFound,
	cluster.AlreadyExists: http.StatusConflict,
	cluster.Conflict:      http.StatusConflict,
	cluster.Invalid:       http.StatusBadRequest,
	cluster.Forbidden:     http.StatusForbidden,
	cluster.Unavailable:   http.StatusInternalServerError,
	cluster.StaleEpoch:    http.StatusConflict,
	cluster.Timeout:       http.StatusInternalServerError,
	cluster.Gone:          http.StatusGone,
	cluster.Busy:          http.StatusServiceUnavailable,
	cluster.Failed:        http.StatusInternalServerError,
	cluster.Internal:      http.StatusInternalServerError,

	cluster.PreconditionFailed: http.StatusPreconditionFailed,
	cluster.KeyReused:          http.StatusUnprocessableEntity,
	cluster.InProgress:         http.StatusConflict,
}

// raced is what clients see of a write that lost a race; they know the text and try again.
const raced = "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)"

// answer turns an error into a status and the text that a client may see. logged: the error itself goes to the log only,
// and the client gets the request's id to tell us (S12).
func answer(err error, requestID string) (e envelope, logged bool) {
	if s, ok := errors.AsType[statusError](err); ok {
		return envelope{int(s), s.Error()}, false
	}
	if b, ok := errors.AsType[*bodyError](err); ok {
		return envelope{http.StatusInternalServerError, b.message}, false
	}
	known, ok := errors.AsType[*cluster.Error](err)
	if !ok {
		return envelope{http.StatusInternalServerError, "Internal error; it is in the log of this server under request id " + requestID}, true
	}
	switch known.Code {
	case cluster.Conflict, cluster.StaleEpoch:
		return envelope{statuses[known.Code], raced}, false
	case cluster.Internal:
		return envelope{http.StatusInternalServerError, "Internal error; it is in the log of this server under request id " + requestID}, true
	case cluster.Unavailable:
		return envelope{http.StatusInternalServerError, "The database is not available at the moment; the request can be repeated safely (request id " + requestID + ")"}, true
	default:
		return envelope{statuses[known.Code], known.Message}, false
	}
}
