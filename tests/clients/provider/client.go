package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// client speaks Kafka Connect's REST API.
type client struct{ base string }

// apiError is what the API says of a request that failed.
type apiError struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

func isNotFound(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.Code == http.StatusNotFound
}

// info is the part of a connector that matters here.
type info struct {
	Config map[string]string `json:"config"`
}

func (c *client) create(ctx context.Context, name string, config map[string]string) (map[string]string, error) {
	var made info
	err := c.do(ctx, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config}, &made)
	return made.Config, err
}

func (c *client) config(ctx context.Context, name string) (map[string]string, error) {
	var there info
	err := c.do(ctx, http.MethodGet, "/connectors/"+url.PathEscape(name), nil, &there)
	return there.Config, err
}

func (c *client) update(ctx context.Context, name string, config map[string]string) (map[string]string, error) {
	var changed info
	err := c.do(ctx, http.MethodPut, "/connectors/"+url.PathEscape(name)+"/config", config, &changed)
	return changed.Config, err
}

// goneTime bounds the wait for a deleted connector to be gone.
const goneTime = time.Minute

// remove deletes a connector and waits until it is not found any more.
func (c *client) remove(ctx context.Context, name string) error {
	if err := c.do(ctx, http.MethodDelete, "/connectors/"+url.PathEscape(name), nil, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, goneTime)
	defer cancel()
	for {
		if _, err := c.config(ctx, name); isNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("connector %s is still there after %s", name, goneTime)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		failed := &apiError{}
		if err := json.Unmarshal(answer, failed); err != nil || failed.Code != resp.StatusCode {
			return fmt.Errorf("%s %s: status %d with %q", method, path, resp.StatusCode, answer)
		}
		return failed
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
