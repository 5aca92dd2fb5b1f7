package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// apply sends a bulk request that is answered.
func (s *site) apply(query, body string, headers ...string) applied {
	s.Helper()
	resp, answer := s.do("POST", "/connectors:apply"+query, body, headers...)
	require.Equal(s, http.StatusOK, resp.StatusCode, answer)
	var out applied
	require.NoError(s, json.Unmarshal([]byte(answer), &out))
	return out
}

func TestApply_answers_each_item_as_its_own_route_does(t *testing.T) {
	t.Parallel()
	s, twin := serve(t, nil), serve(t, nil)
	for _, at := range []*site{s, twin} {
		at.create("there")
		at.create("kept")
	}
	etag := s.etag("/connectors/there/config")
	for name, c := range map[string]struct {
		item, config, header, value string // the item without its config; what the single route is sent
		status                      int
	}{
		"new":           {`"name":"new one/2"`, plain, "", "", 201},
		"replaced":      {`"name":"there","if_match":` + quoted(etag), plain, "", "", 200},
		"not current":   {`"name":"kept","if_match":"\"u.1\""`, plain, "If-Match", `"u.1"`, 412},
		"no tag":        {`"name":"n","if_match":"u.1"`, plain, "If-Match", `u.1`, 400},
		"must exist":    {`"name":"n","if_match":"*"`, plain, "If-Match", "*", 412},
		"must be new":   {`"name":"kept","if_none_match":"*"`, plain, "If-None-Match", "*", 412},
		"invalid":       {`"name":"bad"`, `{"connector.class":"no.such"}`, "", "", 400},
		"another name":  {`"name":"bad"`, `{"connector.class":"` + listSource + `","name":"x"}`, "", "", 400},
		"no map":        {`"name":"bad"`, `7`, "", "", 500},
		"nested values": {`"name":"bad"`, `{"a":{}}`, "", "", 500},
	} {
		out := s.apply("", `[{`+c.item+`,"config":`+c.config+`}]`)
		require.Len(t, out.Results, 1)
		got := out.Results[0]
		require.Equal(t, c.status, got.Status, "%s: %s", name, got.Body)
		require.Equal(t, c.status >= 400, out.Failed == 1, name)
		headers := []string{}
		if c.header != "" {
			headers = append(headers, c.header, c.value)
		}
		resp, body := twin.do("PUT", "/connectors/"+escape(got.Name)+"/config", c.config, headers...)
		require.Equal(t, resp.StatusCode, got.Status, name)
		require.JSONEq(t, body, string(got.Body), name)
		require.Equal(t, resp.Header.Get("ETag") != "", got.ETag != "", name)
		if got.ETag != "" {
			require.Equal(t, s.etag("/connectors/"+escape(got.Name)+"/config"), got.ETag, name)
		}
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(b)
}

func TestApply_takes_what_is_good_beside_what_is_bad(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	out := s.apply("", `[{"name":"a","config":`+plain+`},{"name":"b"},7,null,{"name":"c","config":`+plain+`,"initial_state":"stopped"},{"config":`+plain+`},
		{"name":"a","config":`+plain+`},{"name":"e","config":`+plain+`,"more":1},{"name":"f","config":`+plain+`,"initial_state":"asleep"},{"name":"g","config":`+plain+`,"if_match":{}}]`)
	var got []string
	for _, r := range out.Results {
		got = append(got, fmt.Sprint(r.Name, " ", r.Status))
	}
	require.Equal(t, []string{"a 201", "b 500", " 500", " 500", "c 201", " 400", "a 400", "e 500", "f 500", "g 500"}, got)
	require.Equal(t, 8, out.Failed)
	require.Contains(t, string(out.Results[6].Body), "earlier item")
	require.Equal(t, int64(1), s.view("a").ConfigVersion)
	require.Equal(t, cluster.Stopped, s.view("c").Target)
	names, err := s.store.FindNames(t.Context(), cluster.ConnectorQuery{})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "c"}, names)

	out = s.apply("", `[{"name":"c","config":`+plain+`,"initial_state":"RUNNING"}]`)
	require.Equal(t, 200, out.Results[0].Status)
	require.Equal(t, cluster.Stopped, s.view("c").Target, "it is the state of new ones only")
	require.Empty(t, s.apply("", "[]").Results)
}

func TestApply_dry_tells_what_would_become_of_them_and_stores_nothing(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("there")
	before := s.state()
	out := s.apply("?dry_run=TRUE", `[{"name":"new","config":`+plain+`},{"name":"there","config":{"connector.class":"`+listSource+`","a":"b"}},{"name":"bad","config":{}},
		{"name":"x","config":`+plain+`,"if_match":"*"},{"name":"there2","config":`+plain+`,"if_none_match":"*"}]`)
	var got []int
	for _, r := range out.Results {
		got = append(got, r.Status)
		require.Empty(t, r.ETag)
	}
	require.Equal(t, []int{201, 200, 400, 412, 201}, got)
	require.JSONEq(t, `{"name":"there","config":{"connector.class":"`+listSource+`","a":"b","name":"there"},"tasks":[],"type":"source"}`, string(out.Results[1].Body))
	require.Equal(t, before, s.state())
	for _, value := range []string{"yes", "", "1"} {
		resp, body := s.do("POST", "/connectors:apply?dry_run="+value, `[{"name":"new","config":`+plain+`}]`)
		require.Contains(t, s.isError(resp, body, 400), "true or false", "who gets this wrong must not write")
	}
	require.Equal(t, before, s.state())
	require.Len(t, s.apply("?dry_run=false", `[{"name":"new","config":`+plain+`}]`).Results, 1)
	require.NotEqual(t, before, s.state())
}

func TestApply_is_bounded(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	items := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`{"name":"c%d","config":%s}`, i, plain)
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	resp, body := s.do("POST", "/connectors:apply", items(maxApply+1))
	require.Contains(t, s.isError(resp, body, 400), "501 connectors")
	require.Equal(t, uint64(maxApply), *described(t, s).Components.Schemas["ConnectorsToApply"].Value.MaxItems)
	out := s.apply("", items(maxApply))
	require.Zero(t, out.Failed)
	names, err := s.store.FindNames(t.Context(), cluster.ConnectorQuery{})
	require.NoError(t, err)
	require.Len(t, names, maxApply)
	for body, want := range map[string]string{"{}": "JSON array", "7": "JSON array", "null": "JSON array", "[": "no JSON", "": "No content", "[] []": "Trailing"} {
		resp, answer := s.do("POST", "/connectors:apply", body, "Content-Type", "application/json")
		require.Contains(t, s.isError(resp, answer, 400), want, body)
	}
	resp, body = s.do("POST", "/connectors:apply", "[]", "If-Match", "*")
	require.Contains(t, s.isError(resp, body, 400), "put them into the items")
}

// A connector may have any name: none hides the route, and the route hides none.
func TestApply_collides_with_no_connector(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, name := range []string{":apply", "connectors:apply", "apply"} {
		s.create(name)
		resp, _ := s.do("GET", "/connectors/"+name, "")
		require.Equal(t, 200, resp.StatusCode)
	}
	for path, status := range map[string]int{"/connectors:apply": 200, "/connectors%3Aapply": 200, "/connectors:apply/": 200, "/connectors:apply/x": 404, "/connectors:other": 404} {
		resp, body := s.do("POST", path, "[]")
		require.Equal(t, status, resp.StatusCode, "%s: %s", path, body)
	}
	resp, body := s.do("GET", "/connectors:apply", "")
	s.isError(resp, body, 405)
}
