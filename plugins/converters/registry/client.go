package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/sleep"
)

const (
	contentType = "application/vnd.schemaregistry.v1+json"
	accept      = contentType + ", application/vnd.schemaregistry+json; q=0.9, application/json; q=0.5"
	maxAnswer   = 32 << 20 // a schema of this size is a mistake, or an attack
)

// client asks a registry by HTTP. It is safe for concurrent use.
type client struct {
	bases     []*url.URL
	http      *http.Client
	authorize func(ctx context.Context, r *http.Request) error
	tries     int // after the first
	wait      time.Duration
	waitMost  time.Duration

	mu      sync.Mutex
	current int // the base that answered last
}

// transport makes the way to the registry.
func (o *options) transport() *http.Transport {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: o.connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: o.connectTimeout, TLSClientConfig: o.tls, ResponseHeaderTimeout: o.readTimeout,
		IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 1, ForceAttemptHTTP2: true,
	}
	if o.proxy != nil {
		t.Proxy = http.ProxyURL(o.proxy)
	}
	return t
}

func newClient(o *options) *client {
	c := &client{bases: o.bases, authorize: o.authorize, tries: o.retries, wait: o.retryWait, waitMost: o.retryWaitMost,
		http: &http.Client{Transport: o.transport(), Timeout: o.connectTimeout + o.readTimeout,
			// Credentials go where the configuration says, and nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if o.randomize {
		c.current = rand.IntN(len(c.bases)) //nolint:gosec // no secret
	}
	return c
}

func (c *client) Close() { c.http.CloseIdleConnections() }

type schemaBody struct {
	Subject    string      `json:"subject,omitempty"`
	ID         int32       `json:"id,omitempty"`
	Version    int         `json:"version,omitempty"`
	Schema     string      `json:"schema"`
	SchemaType string      `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
}

func bodyOf(s Schema) schemaBody {
	b := schemaBody{Schema: s.Text, SchemaType: s.Type, References: s.References}
	if b.SchemaType == Avro { // as older registries, which know no other, have it
		b.SchemaType = ""
	}
	return b
}

func (b schemaBody) registered() Registered {
	if b.SchemaType == "" {
		b.SchemaType = Avro
	}
	return Registered{Schema: Schema{Type: b.SchemaType, Text: b.Schema, References: b.References}, ID: b.ID, Version: b.Version}
}

func (c *client) Register(ctx context.Context, subject string, s Schema, normalize bool) (int32, error) {
	var answer struct{ ID *int32 }
	err := c.do(ctx, http.MethodPost, "/subjects/"+url.PathEscape(subject)+"/versions?normalize="+strconv.FormatBool(normalize), bodyOf(s), &answer)
	if err == nil && answer.ID == nil {
		err = errors.New("the registry answered without an id")
	}
	if err != nil {
		return 0, err
	}
	return *answer.ID, nil
}

func (c *client) Lookup(ctx context.Context, subject string, s Schema, normalize, deleted bool) (Registered, error) {
	var answer schemaBody
	err := c.do(ctx, http.MethodPost, "/subjects/"+url.PathEscape(subject)+"?normalize="+strconv.FormatBool(normalize)+"&deleted="+strconv.FormatBool(deleted),
		bodyOf(s), &answer)
	return answer.registered(), err
}

func (c *client) ByID(ctx context.Context, id int32, subject string) (Schema, error) {
	path := "/schemas/ids/" + strconv.Itoa(int(id)) + "?fetchMaxId=false"
	if subject != "" {
		path += "&subject=" + url.QueryEscape(subject)
	}
	var answer schemaBody
	err := c.do(ctx, http.MethodGet, path, nil, &answer)
	return answer.registered().Schema, err
}

func (c *client) Version(ctx context.Context, subject string, version int) (Registered, error) {
	v := "latest"
	if version > 0 {
		v = strconv.Itoa(version) + "?deleted=true" // what refers to a deleted schema still needs it
	}
	var answer schemaBody
	err := c.do(ctx, http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions/"+v, nil, &answer)
	return answer.registered(), err
}

// do asks, again while that may help: each address in turn, then after a pause.
func (c *client) do(ctx context.Context, method, path string, body, answer any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		err := c.round(ctx, method, path, payload, answer)
		if err == nil || try >= c.tries || ctx.Err() != nil || !transient(err) {
			return err
		}
		pause := min(c.wait<<min(try, 20), c.waitMost)
		if !sleep.For(ctx, pause/2+rand.N(pause/2+1)) { //nolint:gosec // no secret
			return err
		}
	}
}

// transient tells whether an error may pass: the registry's own, or that there was no answer.
func transient(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Transient()
	}
	_, ok := errors.AsType[*unreachable](err)
	return ok
}

// unreachable is an error of the way to a registry: there was no answer.
type unreachable struct{ error }

func (u *unreachable) Unwrap() error { return u.error }

// round asks each address once, beginning with the one that answered last.
func (c *client) round(ctx context.Context, method, path string, payload []byte, answer any) error {
	var err error
	for range c.bases {
		c.mu.Lock()
		at := c.current
		c.mu.Unlock()
		if err = c.once(ctx, c.bases[at], method, path, payload, answer); err == nil || !transient(err) || ctx.Err() != nil {
			return err
		}
		c.mu.Lock()
		if c.current == at {
			c.current = (at + 1) % len(c.bases)
		}
		c.mu.Unlock()
	}
	return err
}

func (c *client) once(ctx context.Context, base *url.URL, method, path string, payload []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(base.String(), "/")+path, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", accept)
	if payload != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if err := c.authorize(ctx, req); err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &unreachable{withoutUser(err)}
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return &unreachable{fmt.Errorf("reading the registry's answer: %w", err)}
	case len(text) > maxAnswer:
		return fmt.Errorf("the registry's answer to %s %s has more than %d bytes", method, path, maxAnswer)
	case resp.StatusCode >= 300:
		return refusal(resp, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the registry's answer to %s %s is not what it should be (is %s a schema registry?): %w", method, path, base.Redacted(), err)
	}
	return nil
}

// withoutUser takes the address out of an error of net/http, which names the request.
func withoutUser(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// refusal is the error that an answer tells. Gateways answer with other bodies than registries do.
func refusal(resp *http.Response, text []byte) error {
	var body struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &body) == nil && body.Code != 0 {
		return &Error{resp.StatusCode, body.Code, body.Message}
	}
	if resp.StatusCode < 400 {
		return &Error{resp.StatusCode, resp.StatusCode, "the registry sends elsewhere, which is not followed: set schema.registry.url to " + resp.Header.Get("Location")}
	}
	return &Error{resp.StatusCode, resp.StatusCode, http.StatusText(resp.StatusCode)}
}
