package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// REST is a client of the api, as any client of Kafka Connect would be.
type REST struct{ Base string }

var client = &http.Client{Timeout: 90 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func get(ctx context.Context, url string) (int, []byte, error) {
	status, answer, _, err := send(ctx, http.MethodGet, url, nil, nil)
	return status, answer, err
}

func send(ctx context.Context, method, url string, body any, header map[string]string) (int, []byte, http.Header, error) {
	var in io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return 0, nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, resp.Header, errors.Join(err, resp.Body.Close())
}

// Do sends a request that must be answered with a status below 300.
func (r REST) Do(ctx context.Context, method, path string, body any) ([]byte, error) {
	status, answer, _, err := send(ctx, method, r.Base+path, body, nil)
	return answer, wanted(method, path, status, answer, err)
}

// Once is Do under a key. replayed: the request had been carried out before.
func (r REST) Once(ctx context.Context, key, method, path string, body any) (replayed bool, err error) {
	status, answer, header, err := send(ctx, method, r.Base+path, body, map[string]string{"Idempotency-Key": key})
	return header.Get("Idempotent-Replayed") != "", wanted(method, path, status, answer, err)
}

func wanted(method, path string, status int, answer []byte, err error) error {
	if err == nil && status >= 300 {
		err = &StatusError{Status: status, Text: fmt.Sprintf("%s %s answered %d: %s", method, path, status, answer)}
	}
	return err
}

// StatusError is an answer that is not the wanted one.
type StatusError struct {
	Status int
	Text   string
}

func (e *StatusError) Error() string { return e.Text }

// State is what the status of a connector or a task says.
type State struct {
	State    string `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace"`
}

// Status is the answer of GET /connectors/{name}/status.
type Status struct {
	Name      string  `json:"name"`
	Connector State   `json:"connector"`
	Tasks     []State `json:"tasks"`
}

// All is the connector's state and those of its tasks.
func (s Status) All() []State { return append([]State{s.Connector}, s.Tasks...) }

// Is tells whether the connector and at least one task, and all of them, have a state.
func (s Status) Is(state string) bool {
	for _, one := range s.All() {
		if one.State != state {
			return false
		}
	}
	return len(s.Tasks) > 0
}

// Statuses of all connectors by name, in one request.
func (r REST) Statuses(ctx context.Context) (map[string]Status, error) {
	b, err := r.Do(ctx, http.MethodGet, "/connectors?expand=status", nil)
	if err != nil {
		return nil, err
	}
	var answer map[string]struct {
		Status Status `json:"status"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	all := make(map[string]Status, len(answer))
	for name, one := range answer {
		all[name] = one.Status
	}
	return all, nil
}

// Status of one connector.
func (r REST) Status(ctx context.Context, name string) (s Status, err error) {
	b, err := r.Do(ctx, http.MethodGet, "/connectors/"+name+"/status", nil)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// final marks an error that waiting does not mend.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// Final makes Until give up.
func Final(err error) error { return final{err} }

// Until calls check every 10 ms until it returns nil or a final error, or ctx ends; then the error tells what check said last.
func Until(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var seen error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if seen == nil || ctx.Err() == nil { // the last answer says more than that time ran out while asking again
			seen = err
		}
		if f, ok := errors.AsType[final](err); ok {
			return f.error
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last seen: %w", context.Cause(ctx), seen)
		}
	}
}
