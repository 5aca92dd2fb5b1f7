package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
)

func bad(format string, args ...any) error { return &bodyError{fmt.Sprintf(format, args...)} }

// parse reads exactly one JSON value. Numbers keep their text.
func parse(b []byte) (any, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, bad("No content to map due to end-of-input")
		}
		return nil, bad("The request's body is no JSON: %v", err)
	}
	var more any
	switch err := d.Decode(&more); {
	case errors.Is(err, io.EOF):
		return v, nil
	case err == nil:
		return nil, bad("Trailing token found after value: the request's body must be one JSON value")
	default:
		return nil, bad("The request's body is no JSON: %v", err)
	}
}

// token is how Jackson calls what a JSON value begins with.
func token(v any) string {
	switch v.(type) {
	case map[string]any:
		return "Object value (token `JsonToken.START_OBJECT`)"
	case []any:
		return "Array value (token `JsonToken.START_ARRAY`)"
	case json.Number:
		return "Number value (token `JsonToken.VALUE_NUMBER_INT`)"
	case bool:
		return "Boolean value (token `JsonToken.VALUE_TRUE`)"
	}
	return "String value (token `JsonToken.VALUE_STRING`)"
}

// text reads a string; numbers and booleans count as their text, null as nil.
func text(v any) (*string, error) {
	var s string
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		s = v
	case json.Number:
		s = v.String()
	case bool:
		s = fmt.Sprint(v)
	default:
		return nil, bad("Cannot deserialize value of type `java.lang.String` from %s", token(v))
	}
	return &s, nil
}

// object reads an open map.
func object(v any, what string) (map[string]any, error) {
	switch v := v.(type) {
	case map[string]any:
		return v, nil
	case nil:
		return nil, bad("%s must be a JSON object, not null", what)
	case string:
		if v == "" {
			return nil, bad("Cannot coerce empty String (\"\") to %s", what)
		}
		return nil, bad("Cannot construct instance of %s: it must be a JSON object, not a string", what)
	}
	return nil, bad("Cannot deserialize value of %s from %s", what, token(v))
}

// config reads a map of configuration keys.
func config(v any) (cluster.Config, error) {
	m, err := object(v, "a configuration")
	if err != nil {
		return nil, err
	}
	c := make(cluster.Config, len(m))
	for k, v := range m {
		if c[k], err = text(v); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// fixed reads an object of a fixed shape: it has no other fields than those named.
func fixed(v any, class string, fields ...string) (map[string]any, error) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !slices.Contains(fields, k) {
				return nil, bad("Unrecognized field %q (class %s), not marked as ignorable (%d known properties: \"%s\")", k, class, len(fields), strings.Join(fields, `", "`))
			}
		}
		return v, nil
	case nil:
		return nil, bad("The request's body must be a JSON object with %s, not null", strings.Join(fields, ", "))
	case []any:
		return nil, bad("Cannot deserialize value of type `%s` from %s", class, token(v))
	case string:
		if v == "" {
			return nil, bad("Cannot coerce empty String (\"\") to `%s`", class)
		}
	}
	return nil, bad("Cannot construct instance of `%s` from %s", class, token(v))
}

// createBody is the body of POST /connectors.
type createBody struct {
	name   string
	config cluster.Config
	target cluster.TargetState
}

func parseCreate(b []byte) (out createBody, err error) {
	v, err := parse(b)
	if err != nil {
		return out, err
	}
	m, err := fixed(v, "CreateConnectorRequest", "name", "config", "initial_state")
	if err != nil {
		return out, err
	}
	return readCreate(m)
}

func readCreate(m map[string]any) (out createBody, err error) {
	name, err := text(m["name"])
	if err != nil {
		return out, err
	}
	if name != nil {
		out.name = *name
	}
	if out.target, err = initialState(m["initial_state"]); err != nil {
		return out, err
	}
	if m["config"] == nil {
		return out, bad("The request's body has no config")
	}
	out.config, err = config(m["config"])
	return out, err
}

func initialState(v any) (cluster.TargetState, error) {
	s, err := text(v)
	if err != nil || s == nil {
		return "", err
	}
	up := strings.ToUpper(*s)
	t, ok := cluster.InitialTarget(up)
	if !ok {
		return "", bad("Cannot construct instance of `InitialState`, problem: No enum constant %s (through reference chain: CreateConnectorRequest[\"initial_state\"]); it must be RUNNING, PAUSED or STOPPED", up)
	}
	return t, nil
}
