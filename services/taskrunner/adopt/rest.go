package adopt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
)

// API is Millrace's REST API.
type API struct {
	URL, User, Password string
}

// refusal is an answer that is not what was asked for.
type refusal struct {
	status int
	what   string
	text   string
}

func (r *refusal) Error() string {
	if r.status == http.StatusBadRequest {
		return fmt.Sprintf("%s: status 400; the text of the answer may hold values of the configuration and is not shown", r.what)
	}
	return fmt.Sprintf("%s: status %d: %s", r.what, r.status, r.text)
}

// is tells whether an error is an answer with a status.
func is(err error, status int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status == status
}

const requestTime = 100 * time.Second // the API gives itself 90

// ask sends a request below /connectors or /connector-plugins; path elements are escaped here.
func (a API) ask(ctx context.Context, method string, body, into any, path ...string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	at := strings.TrimRight(a.URL, "/")
	for _, p := range path {
		at += "/" + url.PathEscape(p)
	}
	var text io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, at, text)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.User != "" {
		req.SetBasicAuth(a.User, a.Password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it is read to its end
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		r := &refusal{status: resp.StatusCode, what: method + " /" + strings.Join(path, "/"), text: string(answer)}
		var m struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(answer, &m) == nil && m.Message != "" {
			r.text = m.Message
		}
		return r
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s /%s: reading the answer: %w", method, strings.Join(path, "/"), err)
	}
	return nil
}

// plugins lists the connectors that runners have.
func (a API) plugins(ctx context.Context) (*plugin.Index, error) {
	var all []struct {
		Class, Type, Version string
	}
	if err := a.ask(ctx, http.MethodGet, nil, &all, "connector-plugins"); err != nil {
		return nil, err
	}
	names := make([]plugin.Name, len(all))
	for i, p := range all {
		names[i] = plugin.Name{Class: p.Class, Kind: plugin.Kind(p.Type), Version: p.Version}
	}
	return plugin.NewIndex(names), nil
}

// here looks at what there is of a connector.
func (a API) here(ctx context.Context, c Connector, known *plugin.Index) (here Here, err error) {
	class, _ := c.Config.Get("connector.class")
	if i, err := known.Connector(class); err == nil {
		here.Type = cluster.ConnectorType(known.At(i).Kind)
	}
	var info struct {
		Config cluster.Config        `json:"config"`
		Type   cluster.ConnectorType `json:"type"`
	}
	switch err := a.ask(ctx, http.MethodGet, nil, &info, "connectors", c.Name); {
	case err == nil:
		here.Exists, here.Config = true, info.Config
		here.Target, err = a.target(ctx, c.Name)
		return here, err
	case !is(err, http.StatusNotFound):
		return here, err
	}
	if here.Type == "" {
		return here, nil
	}
	var checked struct {
		Configs []struct {
			Value struct {
				Name   string   `json:"name"`
				Errors []string `json:"errors"`
			} `json:"value"`
		} `json:"configs"`
	}
	config := c.Config.Clone()
	name := c.Name
	config["name"] = &name
	if err := a.ask(ctx, http.MethodPut, config, &checked, "connector-plugins", class, "config", "validate"); err != nil {
		return here, err
	}
	for _, v := range checked.Configs {
		if len(v.Value.Errors) > 0 {
			here.Wrong = append(here.Wrong, v.Value.Name)
		}
	}
	return here, nil
}

// target tells what a connector is meant to do. Only whether it is stopped is of interest; what has not been reported yet is
// waited for.
func (a API) target(ctx context.Context, name string) (cluster.TargetState, error) {
	var status struct {
		Connector struct {
			State cluster.State `json:"state"`
		} `json:"connector"`
	}
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	for {
		err := a.ask(ctx, http.MethodGet, nil, &status, "connectors", name, "status")
		switch {
		case err == nil && status.Connector.State == cluster.StateStopped:
			return cluster.Stopped, nil
		case err == nil && status.Connector.State != cluster.StateUnassigned:
			return cluster.Started, nil
		case err != nil && !is(err, http.StatusNotFound):
			return "", err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("connector %s is here, and no runner has reported its state yet: %w", name, ctx.Err())
		}
	}
}

const reportTime = 30 * time.Second

func (a API) create(ctx context.Context, c Connector, state cluster.TargetState) error {
	initial := string(state)
	if state == cluster.Started {
		initial = string(cluster.StateRunning)
	}
	return a.ask(ctx, http.MethodPost, map[string]any{"name": c.Name, "config": c.Config, "initial_state": initial}, nil, "connectors")
}

// aim brings a stopped connector to its target.
func (a API) aim(ctx context.Context, name string, target cluster.TargetState) error {
	switch target {
	case cluster.Started:
		return a.ask(ctx, http.MethodPut, nil, nil, "connectors", name, "resume")
	case cluster.Paused:
		return a.ask(ctx, http.MethodPut, nil, nil, "connectors", name, "pause")
	case cluster.Stopped:
	}
	return nil
}

// offset is a source partition's offset as users write it.
type offset struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

type offsetList struct {
	Offsets []offset `json:"offsets"`
}

// errOtherOffsets is about a connector that has been at work here.
var errOtherOffsets = errors.New("it has other offsets here, and stays STOPPED: delete them (DELETE /connectors/NAME/offsets) and repeat the import, " +
	"or resume it to go on from those")

// perRequest is how many offsets are sent at once.
const perRequest = 500

// bring sets those offsets of a stopped source that are not here, and tells how many: none if Millrace keeps its offsets in
// the same topic.
func (a API) bring(ctx context.Context, c Connector) (brought int, err error) {
	var list offsetList
	if err := a.ask(ctx, http.MethodGet, nil, &list, "connectors", c.Name, "offsets"); err != nil {
		return 0, err
	}
	have := make([]offsets.Entry, len(list.Offsets))
	for i, o := range list.Offsets {
		if have[i].Partition, err = offsets.Parse(o.Partition); err == nil {
			have[i].Offset, err = offsets.Parse(o.Offset)
		}
		if err != nil {
			return 0, err
		}
	}
	// With a topic of its own, what is there counts, and the worker's topic may have an older copy.
	_, ownTopic := c.Config.Get(offsets.TopicKey)
	missing, differs, err := offsets.Missing(c.Offsets, have)
	switch {
	case err != nil:
		return 0, err
	case differs && !ownTopic:
		return 0, errOtherOffsets
	}
	for len(missing) > 0 {
		part := missing[:min(perRequest, len(missing))]
		missing = missing[len(part):]
		send := offsetList{Offsets: make([]offset, len(part))}
		for i, e := range part {
			if send.Offsets[i].Partition, send.Offsets[i].Offset, err = e.JSON(); err != nil {
				return brought, err
			}
		}
		if err := a.ask(ctx, http.MethodPatch, send, nil, "connectors", c.Name, "offsets"); err != nil {
			return brought, err
		}
		brought += len(part)
	}
	return brought, nil
}
