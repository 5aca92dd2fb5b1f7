package httpapi

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// maxApply bounds the connectors of one request.
const maxApply = 500

// applied answers POST /connectors:apply.
type applied struct {
	Results []applyResult `json:"results"` // one for each item, in their order
	Failed  int           `json:"failed"`  // those with a status from 400 on
}

// applyResult is what the route of one connector would have answered.
type applyResult struct {
	Name   string          `json:"name"`
	Status int             `json:"status"`
	ETag   string          `json:"etag,omitempty"`
	Body   json.RawMessage `json:"body"`
}

// apply creates or replaces many connectors. The answer is 200 whatever becomes of the items: each has a status of its own.
func (s *server) apply(r *request) error {
	dry, err := r.dryRun()
	if err != nil {
		return err
	}
	if !r.condition.IsZero() {
		return cluster.Errorf(cluster.Invalid, "If-Match and If-None-Match are for one connector: put them into the items, as if_match and if_none_match")
	}
	items, err := parseItems(r.BodyRaw())
	if err != nil {
		return err
	}
	answers := make([]cluster.Answer, len(items))
	base := r.base()
	var asked []herder.CreateRequest
	var index []int // of those that are asked for, among all
	for i := range items {
		item := &items[i]
		if item.err != nil {
			answers[i] = s.refusal(r, item.err)
			continue
		}
		by := cluster.Author{Actor: r.user, RequestID: r.id, Terms: cluster.Terms{If: item.condition}}
		if r.key != nil && !dry {
			o := r.key.Once // a key of its own: after a crash, a repetition does what was not done
			o.Key += "\n" + strconv.Itoa(i)
			o.Answer = func(out cluster.Outcome) cluster.Answer {
				return connectorAnswer(base, herder.InfoOf(out.View), out.Created)
			}
			by.Once = &o
		}
		asked, index = append(asked, herder.CreateRequest{Name: item.name, Config: item.config, Target: item.target, By: by}), append(index, i)
	}
	delivered := true
	for k, a := range s.herder.Apply(r.ctx, asked, dry) {
		i := index[k]
		if was, ok := errors.AsType[*cluster.Recorded](a.Err); ok {
			answers[i] = was.Answer
			continue
		}
		if a.Err != nil {
			answers[i] = s.refusal(r, a.Err)
			if r.key != nil && !lasting(a.Err) {
				r.key.unfinished = true
			}
			continue
		}
		answers[i] = connectorAnswer(base, a.Info, a.Created)
		if dry {
			answers[i].Header = nil // nothing is there that it could name
		}
		delivered = delivered && a.Delivered
	}
	out := applied{Results: make([]applyResult, len(items))}
	for i, a := range answers {
		out.Results[i] = applyResult{Name: items[i].name, Status: a.Status, ETag: a.Header[fiber.HeaderETag], Body: a.Body}
		if a.Status >= fiber.StatusBadRequest {
			out.Failed++
		}
	}
	r.delivery(delivered)
	return r.json(out)
}

// dryRun reads a parameter that nobody should get wrong: unlike others it must be true or false.
func (r *request) dryRun() (bool, error) {
	value := r.argument("dry_run", "false")
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, cluster.Errorf(cluster.Invalid, "dry_run has the value %.100q, and must be true or false", value)
}

// applyItem is one connector of many; err says what is wrong with its form.
type applyItem struct {
	createBody
	condition cluster.Precondition
	err       error
}

// parseItems reads the body of POST /connectors:apply. The form of the whole is this API's own, so that what is wrong with it
// is the client's mistake (400); an item is read as the body of POST /connectors is.
func parseItems(b []byte) ([]applyItem, error) {
	v, err := parse(b)
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "%s", err.Error())
	}
	list, ok := v.([]any)
	if !ok {
		return nil, cluster.Errorf(cluster.Invalid, "The request's body must be a JSON array of connectors: [{\"name\": …, \"config\": {…}}, …]")
	}
	if len(list) > maxApply {
		return nil, cluster.Errorf(cluster.Invalid, "The request has %d connectors, and may have %d at most: send them in several requests", len(list), maxApply)
	}
	items := make([]applyItem, len(list))
	for i, v := range list {
		items[i].err = items[i].read(v)
	}
	return items, nil
}

func (item *applyItem) read(v any) error {
	if m, ok := v.(map[string]any); ok { // also of one that is wrong
		if name, err := text(m["name"]); err == nil && name != nil {
			item.name = *name
		}
	}
	m, err := fixed(v, "ConnectorToApply", "name", "config", "initial_state", "if_match", "if_none_match")
	if err != nil {
		return err
	}
	body, err := readCreate(m)
	if err != nil {
		return err
	}
	item.createBody = body
	ifMatch, err := text(m["if_match"])
	if err != nil {
		return err
	}
	ifNoneMatch, err := text(m["if_none_match"])
	if err != nil {
		return err
	}
	item.condition, err = precondition(ifMatch, ifNoneMatch)
	return err
}
