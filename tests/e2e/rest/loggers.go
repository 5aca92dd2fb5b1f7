package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// compare returns how an answer differs from the recorded one, of loggers only those that the file sets.
func (p *Player) compare(r row, status int, header http.Header, body []byte) string {
	path, _, _ := strings.Cut(r.Request.Path, "?")
	if strings.HasPrefix(path, "/admin/loggers") && status == http.StatusOK && r.Response.Status == http.StatusOK {
		r.Response.Body = string(p.ownLoggers(strings.TrimSuffix(path, "/"), []byte(r.Response.Body)))
		body = p.ownLoggers(strings.TrimSuffix(path, "/"), body)
	}
	return compare(r, status, header, body)
}

// ownLoggers leaves the loggers that the file sets, and the root, in a list of loggers or of names.
func (p *Player) ownLoggers(path string, body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	switch v := v.(type) {
	case map[string]any:
		if path != "/admin/loggers" {
			return body
		}
		for name := range v {
			if !p.loggers[name] && name != "root" {
				delete(v, name)
			}
		}
		body, _ = json.Marshal(v) // it was JSON
	case []any:
		v = slices.DeleteFunc(v, func(name any) bool { s, _ := name.(string); return !p.loggers[s] && s != "root" })
		body, _ = json.Marshal(v) // it was JSON
	}
	return body
}

// loggersOf finds the loggers that the rows of a file set.
func loggersOf(file []byte) (map[string]bool, error) {
	set := map[string]bool{}
	for line := range bytes.SplitSeq(bytes.TrimSpace(file), []byte("\n")) {
		var r row
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		path, _, _ := strings.Cut(r.Request.Path, "?")
		if name, ok := strings.CutPrefix(path, "/admin/loggers/"); ok && r.Request.Method == http.MethodPut && r.Response.Status < 300 {
			decoded, err := url.PathUnescape(name)
			if err != nil {
				return nil, err
			}
			set[decoded] = true
		}
	}
	return set, nil
}
