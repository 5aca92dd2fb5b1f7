package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/sdk/plugin"
)

// unlisted are plugins that the recorded worker had but did not list.
var unlisted = []string{"Integer", "Long", "Float", "Short", "Double", "Number"}

// listed is a plugin as lists of them show it.
type listed struct{ Class, Type string }

// notInstalled asks for what is installed, and returns the names that people may use for the recorded worker's plugins, of those
// that are not.
func (p *Player) notInstalled() (map[string]bool, error) {
	req, err := http.NewRequest(http.MethodGet, p.target.Base+"/connector-plugins?connectorsOnly=false", http.NoBody) //nolint:noctx // a test's request
	if err != nil {
		return nil, err
	}
	if user, password, ok := strings.Cut(p.target.Login, ":"); ok {
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	if err != nil {
		return nil, err
	}
	var here []listed
	if err := json.Unmarshal(body, &here); err != nil {
		return nil, err
	}
	classes := make([]string, len(here))
	for i, l := range here {
		classes[i] = l.Class
	}
	return notAmong(classes)
}

// recordedPlugins are the plugins that the recorded worker had.
func recordedPlugins() (recorded []listed, err error) {
	b, err := read("plugins")
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(b) {
		var r row
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		if r.ID == "140.1" {
			err = json.Unmarshal([]byte(r.Response.Body), &recorded)
			break
		}
	}
	for _, n := range unlisted {
		recorded = append(recorded, listed{Class: "org.apache.kafka.connect.converters." + n + "Converter", Type: string(plugin.Converter)})
	}
	return recorded, err
}

// notAmong returns the names that people may use for the recorded worker's plugins, of those that are not among classes.
func notAmong(classes []string) (map[string]bool, error) {
	recorded, err := recordedPlugins()
	if err != nil {
		return nil, err
	}
	installed := map[string]bool{}
	for _, class := range classes {
		installed[class] = true
	}
	all := make([]plugin.Name, len(recorded))
	for i, l := range recorded {
		all[i] = plugin.Name{Kind: plugin.Kind(l.Type), Class: l.Class}
	}
	index := plugin.NewIndex(all)
	missing := map[string]bool{}
	for _, n := range all {
		if installed[n.Class] {
			continue
		}
		simple := plugin.SimpleName(n.Class)
		for _, name := range []string{n.Class, simple, strings.TrimSuffix(simple, "Connector"), strings.TrimSuffix(simple, "Converter")} {
			if class, known := index.Class(name); known && class == n.Class { // not an alias of several
				missing[name] = true
			}
		}
		outer, _, nested := strings.Cut(n.Class, "$")
		missing[outer] = missing[outer] || nested
	}
	return missing, nil
}

// needsMissing tells whether a row is about a plugin that is not installed.
func (p *Player) needsMissing(r row) bool {
	if rest, ok := strings.CutPrefix(r.Request.Path, "/connector-plugins/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		if decoded, err := url.PathUnescape(name); err == nil && p.missing[decoded] {
			return true
		}
	}
	var body any
	if r.Request.Body == nil || json.Unmarshal([]byte(*r.Request.Body), &body) != nil {
		return false
	}
	return p.mentions(body)
}

// follows tells whether a row is about a connector that was not made, or not changed, because of a plugin that is not
// installed. It ends with the next configuration, or with the connector; undo: the connector may have been there before.
func (p *Player) follows(r row) (follows, undo bool) {
	path, _, _ := strings.Cut(r.Request.Path, "?")
	segments := strings.Split(strings.Trim(path, "/"), "/")
	if segments[0] != "connectors" {
		return false, false
	}
	writes := r.Response.Status == http.StatusOK || r.Response.Status == http.StatusCreated
	var name string
	config := false
	switch {
	case len(segments) == 1 && r.Request.Method == http.MethodPost && r.Request.Body != nil:
		var body struct{ Name string }
		config = json.Unmarshal([]byte(*r.Request.Body), &body) == nil && writes
		name = body.Name
	case len(segments) > 1:
		name = segments[1]
		config = len(segments) == 3 && segments[2] == "config" && r.Request.Method == http.MethodPut && writes
	}
	switch {
	case config && p.needsMissing(r):
		if p.left == nil {
			p.left = map[string]bool{}
		}
		p.left[name] = true
	case config:
		delete(p.left, name)
	case p.left[name] && len(segments) == 2 && r.Request.Method == http.MethodDelete:
		delete(p.left, name)
		return true, true
	}
	return p.left[name], false
}

func (p *Player) mentions(v any) bool {
	switch v := v.(type) {
	case string:
		return p.missing[v]
	case map[string]any:
		for _, x := range v {
			if p.mentions(x) {
				return true
			}
		}
	}
	return false
}
