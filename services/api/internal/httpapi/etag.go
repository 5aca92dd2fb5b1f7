package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// An entity tag is "UID.VERSION" of a configuration: of one life of a connector, so that one that was deleted and created
// again has another. A connector's own tag has the number of its tasks behind it ("UID.VERSION.TASKS"), since its
// representation shows them; conditions of writes look at the configuration only.

func configTag(ref cluster.ConfigRef) string {
	return `"` + string(ref.UID) + "." + strconv.FormatInt(ref.Version, 10) + `"`
}

func connectorTag(info herder.ConnectorInfo) string {
	return strings.TrimSuffix(configTag(info.Ref), `"`) + "." + strconv.Itoa(len(info.Tasks)) + `"`
}

// tag is one of the tags of a condition.
type tag struct {
	text string // without quotes
	weak bool
}

// ref is the configuration that a tag of ours names.
func (t tag) ref() (ref cluster.ConfigRef, ok bool) {
	parts := strings.Split(t.text, ".")
	if len(parts) != 2 && len(parts) != 3 {
		return ref, false
	}
	version, err := strconv.ParseInt(parts[1], 10, 64)
	return cluster.ConfigRef{UID: cluster.UID(parts[0]), Version: version}, err == nil
}

// tags are what a condition compares with.
type tags struct {
	any bool // "*"
	all []tag
}

// parseTags reads the value of If-Match or If-None-Match: "*", or quoted tags with commas between.
func parseTags(s string) (t tags, ok bool) {
	rest := strings.Trim(s, " \t")
	if rest == "*" {
		return tags{any: true}, true
	}
	for {
		var one tag
		rest, one.weak = strings.CutPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return t, false
		}
		if one.text, rest, ok = strings.Cut(rest[1:], `"`); !ok {
			return t, false
		}
		t.all = append(t.all, one)
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return t, true
		}
		if !strings.HasPrefix(rest, ",") {
			return t, false
		}
		if rest = strings.Trim(rest, ", \t"); rest == "" { // empty elements count as none
			return t, true
		}
	}
}

// refs are the configurations that tags name. If-Match takes strong tags only (RFC 9110, 13.1.1); what is no tag of ours
// matches nothing.
func (t tags) refs(weak bool) []cluster.ConfigRef {
	refs := []cluster.ConfigRef{}
	for _, one := range t.all {
		if ref, ok := one.ref(); ok && (weak || !one.weak) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// precondition reads the conditions of a write; nil stands for a header that is not there.
func precondition(ifMatch, ifNoneMatch *string) (p cluster.Precondition, err error) {
	read := func(name string, value *string) (t tags, err error) {
		if value == nil {
			return t, nil
		}
		t, ok := parseTags(*value)
		if !ok {
			err = cluster.Errorf(cluster.Invalid, "%s has the value %.100q, and must be * or ETags as they were answered, in their quotes and with commas between", name, *value)
		}
		return t, err
	}
	match, err := read("If-Match", ifMatch)
	if err != nil {
		return p, err
	}
	differ, err := read("If-None-Match", ifNoneMatch)
	if err != nil {
		return p, err
	}
	p.Exists, p.Absent = match.any, differ.any
	if ifMatch != nil && !match.any {
		p.Match = match.refs(false)
	}
	p.Differ = differ.refs(true)
	return p, nil
}

// header is all values of a header in one, nil when it is not there.
func (r *request) header(name string) *string {
	values := r.Request().Header.PeekAll(name)
	if len(values) == 0 {
		return nil
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = string(v)
	}
	all := strings.Join(parts, ",")
	return &all
}

// tagged answers with something that has a tag, or says that the client has it already. What is no condition is passed over
// here: nothing depends on it.
func (r *request) tagged(etag string, v any) error {
	r.Set(fiber.HeaderETag, etag)
	if value := r.header(fiber.HeaderIfNoneMatch); value != nil {
		t, ok := parseTags(*value)
		same := ok && t.any
		for _, one := range t.all {
			same = same || ok && `"`+one.text+`"` == etag
		}
		if same {
			return r.send(cluster.Answer{Status: http.StatusNotModified})
		}
	}
	return r.json(v)
}
