package rest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// answered is an answer as it came.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// Write writes a recording into the folder of the recordings, packed if it is packed there, or new. What is the same is the same
// file.
func Write(dir, name string, recording []byte) error {
	path := filepath.Join(dir, filepath.FromSlash(name)+".jsonl")
	if _, err := os.Stat(path); err == nil {
		return os.WriteFile(path, recording, 0o644) //nolint:gosec // for everybody to read
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(recording); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path+".gz", b.Bytes(), 0o644) //nolint:gosec // for everybody to read
}

// recorded is the last answer as a line of a recording: without what varies from run to run, and of a long answer to a
// validation only what says something.
func (p *Player) recorded(r row) ([]byte, error) {
	r.Response.Status = p.last.status
	r.Response.Headers = map[string]string{"content-type": media(p.last.header.Get("Content-Type"))}
	text := p.general().Replace(withoutPlugins(string(p.last.body)))
	var answer any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	r.Reduced = shorten(answer, *r.Request.Body)
	body, err := plainJSON(answer)
	if err != nil {
		return nil, err
	}
	r.Response.Body = string(body)
	return plainJSON(r)
}

// general takes out of an answer what is of this run and this worker.
func (p *Player) general() *strings.Replacer {
	return strings.NewReplacer(filepath.ToSlash(p.dir), "{{TMP}}", p.host(), "{{WORKER}}", p.run, "{{RUN}}", p.target.Version, "{{VERSION}}")
}

// withoutPlugins takes out of a message what is installed.
func withoutPlugins(body string) string {
	if head, _, cut := strings.Cut(body, "available connectors are: "); cut {
		return head + `available connectors are: {{PLUGIN_LIST}}"}`
	}
	return body
}

// plainJSON is JSON with <, > and & as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// shorten reduces the answer to a validation as reduce does: to the names of all keys, and to the entries that have errors,
// are named in the request or have no definition. It tells whether there was anything to reduce.
func shorten(answer any, request string) bool {
	m, _ := answer.(map[string]any)
	all, ok := m["configs"].([]any)
	if !ok {
		return false
	}
	var named map[string]any
	_ = json.Unmarshal([]byte(request), &named) // the request is JSON; one that is not names nothing
	var keys, kept []any
	for _, e := range all {
		entry, _ := e.(map[string]any)
		value, _ := entry["value"].(map[string]any)
		definition, defined := entry["definition"].(map[string]any)
		delete(definition, "documentation")
		if recommended := list(value["recommended_values"]); len(recommended) > 1 { // what else is installed
			sortTexts(recommended)
		}
		keys = append(keys, entryName(e))
		if _, asked := named[entryName(e)]; asked || !defined || len(list(value["errors"])) > 0 {
			kept = append(kept, e)
		}
	}
	m["keys"], m["configs"] = keys, slices.Clip(kept)
	if kept == nil {
		m["configs"] = []any{}
	}
	sortConverters(m)
	return true
}
