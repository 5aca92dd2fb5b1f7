package allinone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/pgmigrate"
	"github.com/millrace/millrace/embedded/childproc"
	"github.com/millrace/millrace/embedded/natsembed"
	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/api/apiserver"
	"github.com/millrace/millrace/tests/e2e/rest"
	"github.com/millrace/millrace/tests/servers"
)

// caller asks a world as a client would, with a new connection for each request.
type caller struct {
	*testing.T
	base string
	dir  string
}

var eachAnew = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (c caller) do(method, path, body string) (status int, answer string, header http.Header) {
	c.Helper()
	var in io.Reader = http.NoBody
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.Context(), method, c.base+path, in)
	require.NoError(c, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := eachAnew.Do(req)
	require.NoError(c, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(c, err)
	return resp.StatusCode, string(b), resp.Header
}

// is asks for something that must be answered with a status, and returns the answer.
func (c caller) is(status int, method, path, body string) string {
	c.Helper()
	got, answer, _ := c.do(method, path, body)
	require.Equal(c, status, got, "%s %s: %s", method, path, answer)
	return answer
}

// eventually polls a path until its answer contains a text.
func (c caller) eventually(path, text string) {
	c.Helper()
	var answer string
	require.Eventually(c, func() bool {
		_, answer, _ = c.do(http.MethodGet, path, "")
		return strings.Contains(answer, text)
	}, 60*time.Second, 20*time.Millisecond, "%s does not show %s", path, text)
}

func (c caller) source(more string) string {
	return fmt.Sprintf(`{"connector.class":"FileStreamSource","tasks.max":"1","file":%q,"topic":"t"%s}`, c.dir+"/in", more)
}

// nothing is a transformation that does nothing.
type nothing struct{}

func (nothing) Configure(map[string]string) error     { return nil }
func (nothing) Apply(*transform.Record) (bool, error) { return true, nil }
func (nothing) Close() error                          { return nil }
func (nothing) plugin() plugin.Plugin {
	return plugin.Plugin{Class: "org.example.Nothing", Kind: plugin.Transformation, Version: "1", Def: &config.Def{}, Doc: "Does nothing.",
		NewTransformation: func() transform.Transformation { return nothing{} }}
}

// explicit are the cases that are no recorded exchange, or are more than that.
var explicit = []struct {
	number int
	name   string
	run    func(c caller)
}{
	{21, "errors have exactly a code, which is the status, and a message", func(c caller) {
		for path, status := range map[string]int{"/nope": 404, "/connectors/x": 404, "/connectors/x/pause": 405, "/connectors/x/foo": 404, "/connectors/x/tasks/abc/status": 404} {
			var e map[string]any
			require.NoError(c, json.Unmarshal([]byte(c.is(status, http.MethodGet, path, "")), &e))
			require.Len(c, e, 2, path)
			require.EqualValues(c, status, e["error_code"], path)
			require.IsType(c, "", e["message"], path)
			require.NotEmpty(c, e["message"], path)
		}
	}},
	{32, "a create, a change and a delete are seen at once by whoever is asked next", func(c caller) {
		for i := range 20 {
			name := fmt.Sprintf("now-%d", i)
			c.is(201, http.MethodPost, "/connectors", fmt.Sprintf(`{"name":%q,"initial_state":"STOPPED","config":%s}`, name, c.source("")))
			require.Contains(c, c.is(200, http.MethodGet, "/connectors/"+name, ""), `"topic":"t"`)
			require.Contains(c, c.is(200, http.MethodGet, "/connectors", ""), name)
			c.is(200, http.MethodPut, "/connectors/"+name+"/config", c.source(`,"k":"2"`))
			require.Contains(c, c.is(200, http.MethodGet, "/connectors/"+name+"/config", ""), `"k":"2"`)
			c.is(204, http.MethodDelete, "/connectors/"+name, "")
			c.is(404, http.MethodGet, "/connectors/"+name, "")
			require.NotContains(c, c.is(200, http.MethodGet, "/connectors", ""), `"`+name+`"`)
		}
	}},
	{57, "a name with all that has to be escaped is led to, read and deleted", func(c caller) {
		const name = `sp ace+ü%/?#[x]{y}'"`
		body, err := json.Marshal(map[string]any{"name": name, "initial_state": "STOPPED", "config": json.RawMessage(c.source(""))})
		require.NoError(c, err)
		status, answer, header := c.do(http.MethodPost, "/connectors", string(body))
		require.Equal(c, 201, status, answer)
		location, err := url.Parse(header.Get("Location"))
		require.NoError(c, err)
		require.Equal(c, "/connectors/"+name, location.Path)
		path := "/connectors/" + url.PathEscape(name)
		require.Contains(c, c.is(200, http.MethodGet, path, ""), `"type":"source"`)
		c.is(204, http.MethodDelete, path, "")
		c.is(404, http.MethodGet, path, "")
	}},
	{84, "of two puts at once one wins entirely", func(c caller) {
		c.is(201, http.MethodPut, "/connectors/race/config", c.source(""))
		for range 10 {
			var wg sync.WaitGroup
			sent := []string{c.source(`,"who":"a","a":"1"`), c.source(`,"who":"b","b":"1"`)}
			for _, body := range sent {
				wg.Go(func() {
					status, answer, _ := c.do(http.MethodPut, "/connectors/race/config", body)
					if status != 200 && status != 409 {
						c.Errorf("%d %s", status, answer)
					}
				})
			}
			wg.Wait()
			var got map[string]string
			require.NoError(c, json.Unmarshal([]byte(c.is(200, http.MethodGet, "/connectors/race/config", "")), &got))
			require.NotEqual(c, got["a"] == "1", got["b"] == "1", "%v", got)
			require.Equal(c, "1", got[got["who"]], "%v", got)
		}
		c.is(204, http.MethodDelete, "/connectors/race", "")
	}},
	{98, "only the failed task restarts", func(c caller) {
		c.is(201, http.MethodPut, "/connectors/half/config", `{"connector.class":"MockSource","mock_mode":"task-failure","delay_ms":"0"}`)
		c.eventually("/connectors/half/tasks/0/status", `"FAILED"`)
		c.eventually("/connectors/half/status", `"connector":{"state":"RUNNING"`)
		var got struct {
			Connector struct{ State string }
			Tasks     []struct{ State, Trace string }
		}
		require.NoError(c, json.Unmarshal([]byte(c.is(202, http.MethodPost, "/connectors/half/restart?onlyFailed=true&includeTasks=true", "")), &got))
		require.Equal(c, "RUNNING", got.Connector.State)
		require.Equal(c, "RESTARTING", got.Tasks[0].State)
		require.NotEmpty(c, got.Tasks[0].Trace)
		c.is(204, http.MethodDelete, "/connectors/half", "")
	}},
	{104, "a stopped connector has no task to restart", func(c caller) {
		c.is(201, http.MethodPut, "/connectors/halt/config", c.source(""))
		c.eventually("/connectors/halt/tasks", `"task":0`)
		c.is(204, http.MethodPut, "/connectors/halt/stop", "")
		require.JSONEq(c, `{"error_code":404,"message":"Unknown task: halt-0"}`, c.is(404, http.MethodPost, "/connectors/halt/tasks/0/restart", ""))
		c.is(204, http.MethodDelete, "/connectors/halt", "")
	}},
	{115, "a connector that starts and then makes too many tasks has been restarted each time", func(c caller) {
		c.is(201, http.MethodPut, "/connectors/greedy/config", `{"connector.class":"golden.GreedySourceConnector","tasks.max":"1"}`)
		for range 20 {
			c.eventually("/connectors/greedy/status", "which is greater than 1")
			c.is(204, http.MethodPost, "/connectors/greedy/restart", "")
		}
		c.is(204, http.MethodDelete, "/connectors/greedy", "")
	}},
	{140, "the list of all plugins has more than connectors", func(c caller) {
		for query, want := range map[string][]string{"": {"sink", "source"}, "?connectorsOnly=true": {"sink", "source"}, "?connectorsOnly=false": {"converter", "header_converter", "predicate", "sink", "source", "transformation"}} {
			var plugins []struct{ Type string }
			require.NoError(c, json.Unmarshal([]byte(c.is(200, http.MethodGet, "/connector-plugins"+query, "")), &plugins))
			kinds := map[string]bool{}
			for _, p := range plugins {
				kinds[p.Type] = true
			}
			require.Subset(c, slices.Collect(maps.Keys(kinds)), want, query)
			if query != "?connectorsOnly=false" {
				require.Len(c, kinds, len(want), query)
			}
		}
	}},
	{173, "a transformation is named twice", func(c caller) {
		c.finds(`,"transforms":"t, t","transforms.t.type":"org.example.Nothing"`, "Invalid value [t, t] for configuration transforms: Duplicate alias provided.")
	}},
	{177, "a predicate that is not there can't be negated", func(c caller) {
		c.finds(`,"transforms":"t","transforms.t.type":"org.example.Nothing","transforms.t.negate":"true"`,
			"Config 'transforms.t.negate' was provided but there is no config 'transforms.t.predicate' defining a predicate to be negated.")
	}},
	{190, "a level that was set shows when", func(c caller) {
		before := time.Now().Add(-time.Second)
		require.Contains(c, c.is(200, http.MethodPut, "/admin/loggers/root", `{"level":"DEBUG"}`), `"root"`)
		var got struct {
			Level string
			At    int64 `json:"last_modified"`
		}
		require.NoError(c, json.Unmarshal([]byte(c.is(200, http.MethodGet, "/admin/loggers/root", "")), &got))
		require.Equal(c, "DEBUG", got.Level)
		require.WithinRange(c, time.UnixMilli(got.At), before, time.Now().Add(time.Second))
	}},
}

// finds validates a source with more keys, in which exactly one thing is wrong.
func (c caller) finds(more, want string) {
	c.Helper()
	var got struct {
		Count   int `json:"error_count"`
		Configs []struct{ Value struct{ Errors []string } }
	}
	require.NoError(c, json.Unmarshal([]byte(c.is(200, http.MethodPut, "/connector-plugins/FileStreamSource/config/validate", c.source(`,"name":"v"`+more))), &got))
	var all []string
	for _, one := range got.Configs {
		all = append(all, one.Value.Errors...)
	}
	require.Equal(c, []string{want}, all)
	require.Equal(c, 1, got.Count)
}

// outages are cases that need a database of their own.
var outages = map[int]func(t *testing.T){
	3: testCase003HealthWhileTheDatabaseIsAway,
	4: testCase004HealthBeforeTheStartHasEnded,
}

func TestCase_all_in_one(t *testing.T)                            { t.Parallel(); cases(t, oneProcess) }
func TestCase_two_apis_behind_one_address(t *testing.T)           { t.Parallel(); cases(t, twoProcesses) }
func TestCase_003_health_while_the_database_is_away(t *testing.T) { t.Parallel(); outages[3](t) }
func TestCase_004_health_before_the_start_has_ended(t *testing.T) { t.Parallel(); outages[4](t) }

func cases(t *testing.T, start world) {
	t.Helper()
	dir := t.TempDir()
	target, stop := start(t, dir, []plugin.Plugin{nothing{}.plugin(), rest.Greedy()}, nil)
	t.Cleanup(stop)
	for _, one := range explicit {
		t.Run(fmt.Sprintf("%03d_%s", one.number, strings.ReplaceAll(one.name, " ", "_")), func(t *testing.T) {
			base := target.Base
			if one.number >= 188 && target.Sticky != nil {
				base = target.Sticky("/admin/") // levels are a process's own
			}
			one.run(caller{t, base, dir})
		})
	}
}

func testCase003HealthWhileTheDatabaseIsAway(t *testing.T) {
	pg, err := pgembed.Start(t.Context(), pgembed.Options{Unsafe: true, Fetch: true})
	if err != nil {
		servers.Missing(t, err)
	}
	_, err = pgmigrate.Up(t.Context(), pgmigrate.Options{URL: pg.URL()})
	require.NoError(t, err)
	bus, err := natsembed.Start(t.Context(), natsembed.Options{DataDir: t.TempDir(), Port: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bus.Close(context.Background())) })
	var both []caller
	for range 2 {
		addr, stop := startAPI(t, apiserver.Config{Postgres: pg.URL(), NATS: natsbus.Options{URL: bus.URL()}})
		t.Cleanup(stop)
		both = append(both, caller{t, "http://" + addr, ""})
	}
	for _, c := range both {
		require.JSONEq(t, `{"status":"healthy","message":"Worker has completed startup and is ready to handle requests."}`, c.is(200, http.MethodGet, "/health", ""))
	}
	require.NoError(t, pg.Close(t.Context()))
	for _, c := range both {
		began := time.Now()
		var got struct{ Status, Message string }
		require.NoError(t, json.Unmarshal([]byte(c.is(500, http.MethodGet, "/health", "")), &got))
		require.Less(t, time.Since(began), 15*time.Second)
		require.Equal(t, "unhealthy", got.Status)
		require.True(t, strings.HasPrefix(got.Message, "Worker was unable to handle this request and may be unable to handle other requests."), got.Message)
	}
}

func testCase004HealthBeforeTheStartHasEnded(t *testing.T) {
	mute, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // a database that takes connections and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = mute.Close() })
	port, err := childproc.FreePort()
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- apiserver.Run(ctx, apiserver.Config{Postgres: "postgres://u@" + mute.Addr().String() + "/db?sslmode=disable", NATS: natsbus.Options{URL: "nats://127.0.0.1:1"},
			Listen: addr, Logger: slog.New(slog.DiscardHandler)})
	}()
	c := caller{t, "http://" + addr, ""}
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	for _, path := range []string{"/health", "/health/"} {
		var got struct{ Status, Message string }
		require.NoError(t, json.Unmarshal([]byte(c.is(503, http.MethodGet, path, "")), &got))
		require.Equal(t, "starting", got.Status)
		require.True(t, strings.HasPrefix(got.Message, "Worker is still starting up."), got.Message)
	}
	require.Empty(t, c.is(503, http.MethodHead, "/health", ""))
	require.Contains(t, c.is(503, http.MethodGet, "/connectors", ""), `"error_code":503`)
	c.is(404, http.MethodGet, "/nope", "")
	cancel()
	require.Equal(t, exitcode.OK, exitcode.Of(<-done))
}

// Every case of the contract has a recorded exchange whose answer is compared, or a test of its own.
func TestCases_each_of_all_195_has_a_test(t *testing.T) {
	t.Parallel()
	classes := []string{rest.Greedy().Class}
	for _, p := range plugins.All(connectors.Options{}) {
		classes = append(classes, p.Class)
	}
	replayed, titles, own := rest.Replayed(t, classes), rest.Cases(t), map[int]bool{}
	for _, one := range explicit {
		require.False(t, own[one.number], one.number)
		own[one.number] = true
	}
	for n := range outages {
		own[n] = true
	}
	rows, without := 0, 0
	for n := 1; n <= rest.LastCase; n++ {
		require.NotEmpty(t, titles[n], "case %d has no title", n)
		rows += len(replayed[n])
		if len(replayed[n]) == 0 {
			without++
			require.True(t, own[n], "nothing tests case %d: %s", n, titles[n])
		}
	}
	require.Len(t, titles, rest.LastCase)
	t.Logf("%d cases: %d by %d recorded exchanges, %d more by tests of their own (%d have one)", rest.LastCase, rest.LastCase-without, rows, without, len(own))
}
