package workerconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Connector is what a connector file holds.
type Connector struct {
	File         string
	Name         string
	Config       map[string]string
	InitialState string // RUNNING, PAUSED, STOPPED, or "" when the file says nothing
}

const nameKey = "name"

// ReadConnector reads a connector file in one of the three forms that Kafka Connect's standalone worker takes, which are
// tried in this order: a JSON object of texts; a JSON object with name, config and initial_state; Java properties. Its errors
// are of kind connecterr.General, with Kafka's text where it has one.
func ReadConnector(path string) (Connector, error) {
	b, err := readAll(path)
	if err != nil {
		return Connector{}, connecterr.Wrap(connecterr.General, err, "Connector configuration at '%s' can't be read", path)
	}
	if object, err := jsonObject(b); err == nil {
		if flat, ok := texts(object); ok {
			return named(path, flat)
		}
		if c, ok, err := request(path, object); ok || err != nil {
			return c, err
		}
	}
	props, err := parse(b)
	if err != nil {
		return Connector{}, connecterr.Wrap(connecterr.General, err, "Connector configuration at '%s' is neither JSON nor a properties file", path)
	}
	return named(path, props)
}

func named(path string, config map[string]string) (Connector, error) {
	name, ok := config[nameKey]
	if !ok {
		return Connector{}, connecterr.New(connecterr.General, "Connector configuration at '%s' is missing the mandatory 'name' configuration", path)
	}
	return Connector{File: path, Name: name, Config: config}, nil
}

// jsonObject reads a file that is one JSON object; numbers keep their text.
func jsonObject(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("null is no object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the object")
	}
	return object, nil
}

// texts is an object of texts; numbers and booleans count as their text. A null is left out, as if the key were not there.
func texts(object map[string]any) (map[string]string, bool) {
	out := make(map[string]string, len(object))
	for k, v := range object {
		switch v := v.(type) {
		case nil:
		case string:
			out[k] = v
		case json.Number:
			out[k] = v.String()
		case bool:
			out[k] = fmt.Sprint(v)
		default:
			return nil, false
		}
	}
	return out, true
}

// request reads the form that is also the body of a request to create a connector; other members are passed over. ok: it is
// of that form.
func request(path string, object map[string]any) (c Connector, ok bool, err error) {
	nested, isObject := object["config"].(map[string]any)
	if !isObject {
		return c, false, nil
	}
	config, ok := texts(nested)
	head, headOK := texts(map[string]any{nameKey: object[nameKey], "initial_state": object["initial_state"]})
	if !ok || !headOK {
		return c, false, nil
	}
	c = Connector{File: path, Name: head[nameKey], Config: config, InitialState: strings.ToUpper(head["initial_state"])}
	switch c.InitialState {
	case "", "RUNNING", "PAUSED", "STOPPED":
	default:
		return c, false, connecterr.New(connecterr.General, "Connector configuration at '%s' has the initial_state '%s': it must be RUNNING, PAUSED or STOPPED", path, head["initial_state"])
	}
	given, both := config[nameKey]
	switch {
	case both && given != c.Name:
		return c, false, connecterr.New(connecterr.General, "Connector name configuration in 'config' doesn't match the one specified in 'name' at '%s'", path)
	case c.Name == "":
		return c, false, connecterr.New(connecterr.General, "Connector configuration at '%s' is missing the mandatory 'name' configuration", path)
	}
	config[nameKey] = c.Name
	return c, true, nil
}
