package httpapi

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

const plain = `{"connector.class":"` + listSource + `"}`

// etag is that of what is at a path.
func (s *site) etag(path string) string {
	s.Helper()
	resp, body := s.do("GET", path, "")
	require.Equal(s, 200, resp.StatusCode, body)
	require.NotEmpty(s, resp.Header.Get("ETag"))
	return resp.Header.Get("ETag")
}

func TestETag_is_of_one_version_in_one_life(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	resp, _ := s.do("POST", "/connectors", `{"name":"c","config":`+plain+`}`)
	created := resp.Header.Get("ETag")
	require.Equal(t, created, s.etag("/connectors/c/config"))
	require.Regexp(t, `^"[-0-9a-f]{36}\.1"$`, created)
	require.Equal(t, strings.TrimSuffix(created, `"`)+`.0"`, s.etag("/connectors/c"), "with its tasks, which are shown there")
	seen := map[string]bool{created: true}
	for _, step := range []struct{ method, body string }{{"PUT", plain}, {"PATCH", `{"a":"b"}`}} {
		resp, body := s.do(step.method, "/connectors/c/config", step.body)
		require.Equal(t, 200, resp.StatusCode, body)
		require.Equal(t, resp.Header.Get("ETag"), s.etag("/connectors/c/config"), step.method)
		require.False(t, seen[resp.Header.Get("ETag")], "also with equal content")
		seen[resp.Header.Get("ETag")] = true
	}
	s.do("PUT", "/connectors/c/pause", "")
	require.True(t, seen[s.etag("/connectors/c/config")], "a pause leaves the configuration as it is")
	s.do("DELETE", "/connectors/c", "")
	resp, _ = s.do("PUT", "/connectors/c/config", plain)
	require.Equal(t, 201, resp.StatusCode)
	require.Regexp(t, `\.1"$`, resp.Header.Get("ETag"))
	require.False(t, seen[resp.Header.Get("ETag")], "another life")
	resp, body := s.do("GET", "/connectors/nobody", "", "If-None-Match", "*")
	s.isError(resp, body, 404)
	require.Empty(t, resp.Header.Get("ETag"))
}

func TestIfNoneMatch_answers_304_to_whom_has_it(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	for _, path := range []string{"/connectors/c", "/connectors/c/config"} {
		etag := s.etag(path)
		for value, status := range map[string]int{
			etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, etag + `,"x"`: 304, "*": 304, " , ": 200, `"x"`: 200, `"x", W/"y"`: 200,
			strings.Trim(etag, `"`): 200, // no tag: nothing depends on it
			`"`:                     200,
		} {
			for _, method := range []string{"GET", "HEAD"} {
				resp, body := s.do(method, path, "", "If-None-Match", value)
				require.Equal(t, status, resp.StatusCode, "%s %s %s", method, path, value)
				require.Equal(t, etag, resp.Header.Get("ETag"))
				require.Equal(t, status == 200 && method == "GET", body != "", "%s %s %s", method, path, value)
				if status == 304 {
					require.Empty(t, resp.Header.Get("Content-Type"))
				}
			}
		}
	}
	tag := s.etag("/connectors/c")
	uid := s.view("c").UID
	s.runs("c", 2)
	require.Equal(t, strings.TrimSuffix(tag, `.0"`)+`.2"`, s.etag("/connectors/c"), "new tasks are news")
	require.Equal(t, uid, s.view("c").UID)
}

func (s *site) view(name string) cluster.ConnectorView {
	s.Helper()
	v, err := s.store.Connector(s.Context(), name)
	require.NoError(s, err)
	return v
}

// runs gives a connector to the runner, which splits it into tasks and says that it is up.
func (s *site) runs(name string, tasks int) {
	s.Helper()
	l, ok, _, err := s.store.AcquireLease(s.Context(), "leader", time.Hour)
	require.NoError(s, err)
	require.True(s, ok)
	v := s.view(name)
	job := cluster.InstanceJob(v.UID)
	_, err = s.store.CommitPlan(s.Context(), l.Term, []cluster.Decision{{Kind: cluster.Assign, Job: job, Session: "s", Epoch: 1}})
	require.NoError(s, err)
	r := cluster.TaskConfigReport{Job: job, Session: "s", Epoch: 1, ConfigVersion: v.ConfigVersion}
	for range tasks {
		r.Tasks = append(r.Tasks, cluster.Config{})
	}
	_, _, err = s.store.StoreTaskConfigs(s.Context(), r)
	require.NoError(s, err)
	s.says(job, cluster.StateRunning, 0)
}

// says reports the state of a job, with the restart that is applied.
func (s *site) says(job cluster.JobID, state cluster.State, restart int64) {
	s.Helper()
	accepted, _, _, err := s.store.StoreStatuses(s.Context(), []cluster.Status{{Job: job, Session: "s", Epoch: 1, RestartSeq: restart, State: state, WorkerID: "w:8083"}})
	require.NoError(s, err)
	require.Equal(s, []bool{true}, accepted)
}

func TestIfMatch_changes_only_the_version_that_was_read(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"put":     {"PUT", "/connectors/c/config", plain, 200},
		"patch":   {"PATCH", "/connectors/c/config", `{"a":"b"}`, 200},
		"delete":  {"DELETE", "/connectors/c", "", 204},
		"pause":   {"PUT", "/connectors/c/pause", "", 202},
		"resume":  {"PUT", "/connectors/c/resume", "", 202},
		"stop":    {"PUT", "/connectors/c/stop", "", 204},
		"restart": {"POST", "/connectors/c/restart", "", 204},
		"topics":  {"PUT", "/connectors/c/topics/reset", "", 202},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			s.create("c")
			old := s.etag("/connectors/c/config")
			s.do("PUT", "/connectors/c/config", plain)
			now := s.etag("/connectors/c/config")
			before := s.view("c")
			for _, value := range []string{old, "W/" + now, `"x"`, `"", "a.b.c.d", "a.1.2"`, old + ", W/" + now} {
				resp, body := s.do(c.method, c.path, c.body, "If-Match", value)
				require.Contains(t, s.isError(resp, body, http.StatusPreconditionFailed), "Read it", value)
			}
			for _, value := range []string{now, "*", `"x" , ` + now} {
				resp, body := s.do(c.method, c.path, c.body, "If-None-Match", value)
				s.isError(resp, body, http.StatusPreconditionFailed)
			}
			for _, value := range []string{"", "x", `"x`, `"x" "y"`, `*, "x"`, `w/"x"`} {
				resp, body := s.raw(c.method, c.path, c.body, "If-Match", value)
				require.Contains(t, s.isError(resp, body, http.StatusBadRequest), "If-Match has the value", value)
			}
			require.Equal(t, before, s.view("c"), "nothing of this changed it")
			resp, body := s.do(c.method, c.path, c.body, "If-Match", `"x",`+s.etag("/connectors/c"), "If-None-Match", `"x"`)
			require.Equal(t, c.status, resp.StatusCode, body)
			if c.method != "DELETE" {
				resp, body = s.do(c.method, c.path, c.body, "If-Match", "*")
				require.Equal(t, c.status, resp.StatusCode, body)
			}
		})
	}
}

// raw is do with a header that may be empty.
func (s *site) raw(method, path, body, name, value string) (answered, string) {
	s.Helper()
	if value != "" {
		return s.do(method, path, body, name, value)
	}
	return s.do(method, path, body, name, " ")
}

func TestConditions_of_what_is_not_there(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, value := range []string{"*", `"u.1"`} {
		resp, body := s.do("PUT", "/connectors/c/config", plain, "If-Match", value)
		require.Contains(t, s.isError(resp, body, http.StatusPreconditionFailed), "does not exist")
	}
	resp, body := s.do("PUT", "/connectors/c/config", `{"connector.class":"no.such"}`, "If-Match", "*")
	require.Contains(t, s.isError(resp, body, http.StatusPreconditionFailed), "does not exist", "the condition comes before the content")
	for _, c := range [][3]string{{"DELETE", "/connectors/c", ""}, {"PATCH", "/connectors/c/config", "{}"}, {"PUT", "/connectors/c/pause", ""}, {"POST", "/connectors/c/restart", ""}} {
		resp, body := s.do(c[0], c[1], c[2], "If-Match", "*")
		s.isError(resp, body, http.StatusNotFound)
	}
	resp, body = s.do("PUT", "/connectors/c/config", plain, "If-None-Match", "*")
	require.Equal(t, 201, resp.StatusCode, body)
	resp, body = s.do("PUT", "/connectors/c/config", plain, "If-None-Match", "*")
	require.Contains(t, s.isError(resp, body, http.StatusPreconditionFailed), "create a new one")
	require.Equal(t, int64(1), s.view("c").ConfigVersion)
}

// Two people edit what they have read: one is told, and nothing is lost; over two api processes.
func TestIfMatch_loses_no_edit_of_many_at_once(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	both := []*site{s, s.peer(nil, Options{})}
	s.create("c")
	const writers, each = 6, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				etag := both[w%2].etag("/connectors/c/config")
				_, body := s.do("GET", "/connectors/c/config", "")
				resp, answer := both[w%2].do("PUT", "/connectors/c/config", strings.TrimSuffix(body, "}")+`,"w`+string(rune('0'+w))+string(rune('0'+done))+`":""}`, "If-Match", etag)
				if resp.StatusCode == 200 {
					done++
				} else if resp.StatusCode != http.StatusPreconditionFailed {
					t.Errorf("%d %s", resp.StatusCode, answer)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, s.view("c").Config, writers*each+2)
}

// A patch without a condition is put into what is there then, also when others patch at the same time.
func TestPatch_loses_no_key_of_many_at_once(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			resp, body := s.do("PATCH", "/connectors/c/config", `{"w`+string(rune('a'+w))+`":""}`)
			if resp.StatusCode != 200 {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	wg.Wait()
	require.Len(t, s.view("c").Config, 22)
}
