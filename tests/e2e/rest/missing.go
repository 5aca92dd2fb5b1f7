package rest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/plugin"
)

// unlisted are plugins that the recorded worker had but did not list.
var unlisted = []string{"Integer", "Long", "Float", "Short", "Double", "Number"}

// notInstalled are the names that people may use for the recorded worker's plugins, of those that are not installed here.
func (p *Player) notInstalled(t *testing.T) map[string]bool {
	t.Helper()
	type listed struct{ Class, Type string }
	var recorded, here []listed
	lines := bufio.NewScanner(bytes.NewReader(read(t, "plugins")))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() && recorded == nil {
		var r row
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		if r.ID == "140.1" {
			require.NoError(t, json.Unmarshal([]byte(r.Response.Body), &recorded))
		}
	}
	require.NotEmpty(t, recorded)
	for _, n := range unlisted {
		recorded = append(recorded, listed{Class: "org.apache.kafka.connect.converters." + n + "Converter", Type: string(plugin.Converter)})
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.target.Base+"/connector-plugins?connectorsOnly=false", http.NoBody)
	require.NoError(t, err)
	if user, password, ok := strings.Cut(p.target.Login, ":"); ok {
		req.SetBasicAuth(user, password)
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", body)
	require.NoError(t, json.Unmarshal(body, &here))
	installed := map[string]bool{}
	for _, l := range here {
		installed[l.Class] = true
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
	return missing
}

// needsMissing tells whether a row is about a plugin that is not installed.
func (p *Player) needsMissing(r row) bool {
	if rest, ok := strings.CutPrefix(r.Request.Path, "/connector-plugins/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		if p.missing[name] {
			return true
		}
	}
	var body any
	if r.Request.Body == nil || json.Unmarshal([]byte(*r.Request.Body), &body) != nil {
		return false
	}
	return p.mentions(body)
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
