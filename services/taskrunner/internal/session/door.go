package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// askTimeout bounds one question by one way. It is shorter than the time after which a silent runner is lost.
const askTimeout = 2 * time.Second

// door reaches a scheduler: by the bus, and when that does not work, by HTTP.
type door struct {
	bus     Bus
	http    *HTTPDoor
	metrics *Metrics
}

// ask sends a question and decodes the answer. An answer that is an error comes back as *cluster.Error.
func ask[A any](ctx context.Context, d door, kind wire.Kind, question any, want wire.Kind) (a A, err error) {
	msg, err := wire.Encode(kind, uuid.NewString(), question)
	if err != nil {
		return a, cluster.Wrapf(cluster.Invalid, err, "question can't be sent")
	}
	b, err := d.send(ctx, msg)
	if err != nil {
		return a, err
	}
	e, err := wire.Open(b)
	if err != nil {
		return a, err
	}
	return wire.Decode[A](e, want)
}

func (d door) send(ctx context.Context, msg []byte) ([]byte, error) {
	err := error(cluster.Errorf(cluster.Unavailable, "the message bus is away"))
	if d.bus.Connected() > 0 || d.http == nil {
		var b []byte
		if b, err = d.byBus(ctx, msg); err == nil {
			d.metrics.asked("bus")
			return b, nil
		}
	}
	if d.http == nil || ctx.Err() != nil {
		return nil, err
	}
	b, httpErr := d.http.Send(ctx, msg)
	if httpErr != nil {
		return nil, errors.Join(err, httpErr)
	}
	d.metrics.asked("http")
	return b, nil
}

func (d door) byBus(ctx context.Context, msg []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return d.bus.Request(ctx, wire.Scheduler, msg)
}

// HTTPDoor posts messages to a scheduler when the bus is away (G8).
type HTTPDoor struct {
	// URLs of the schedulers' internal listeners, tried in turn, for example http://scheduler:8084.
	URLs []string
	// Token is sent as bearer token; empty for schedulers on loopback.
	Token  string
	Client *http.Client // nil: one of our own
}

// path is where schedulers take messages; maxReply bounds their answers.
const (
	path     = "/internal/v1/message"
	maxReply = 16 << 20
)

// Send posts a message to the first scheduler that answers.
func (h *HTTPDoor) Send(ctx context.Context, msg []byte) ([]byte, error) {
	if len(h.URLs) == 0 {
		return nil, cluster.Errorf(cluster.Unavailable, "no scheduler's URL is configured")
	}
	var errs []error
	for _, url := range h.URLs {
		b, err := h.post(ctx, url, msg)
		if err == nil {
			return b, nil
		}
		errs = append(errs, fmt.Errorf("scheduler %s: %w", url, err))
	}
	return nil, cluster.Wrapf(cluster.Unavailable, errors.Join(errs...), "no scheduler answers")
}

func (h *HTTPDoor) post(ctx context.Context, url string, msg []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(msg))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if h.Token != "" {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s; is the token right?", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxReply))
}
