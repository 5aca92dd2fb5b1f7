package main

// mutant is one broken place: new instead of old in a file. part are the tests that should notice.
type mutant struct {
	name, file, old, new, part string
}

const (
	api    = "services/api/internal/httpapi/"
	herder = "services/api/internal/herder/"
	golden = "TestGolden_all_in_one/"
)

var mutants = []mutant{
	{"trailing slash", api + "router.go", `strings.Split(strings.TrimSuffix(path, "/"), "/")`, `strings.Split(path, "/")`, golden + "transport"},
	{"case of paths", api + "router.go", `s[0] != '{' && s != parts[i]`, `s[0] != '{' && !strings.EqualFold(s, parts[i])`, golden + "transport"},
	{"matrix parameters", api + "router.go", `rawPath = matrix.ReplaceAllString(rawPath, "")`, `_ = matrix`, golden + "names"},
	{"HEAD", api + "router.go", `if method == http.MethodHead {`, `if false {`, golden + "transport"},
	{"decoding of names", api + "router.go", `decoded, err := url.PathUnescape(p)`, `decoded, err := p, error(nil); _ = url.PathUnescape`, golden + "names"},
	{"405", api + "server.go", `statusError(http.StatusMethodNotAllowed)`, `statusError(http.StatusNotFound)`, golden + "transport"},
	{"Allow", api + "server.go", `r.Set(fiber.HeaderAllow, strings.Join(m.allowed, ","))`, ``, golden + "transport"},
	{"415", api + "server.go", `case refused:`, `case false && refused:`, golden + "transport"},
	{"406", api + "server.go", `case !acceptable(`, `case false && !acceptable(`, golden + "transport"},
	{"task ids", api + "server.go", `if taskBad(m.route, m.params) {`, `if false && taskBad(m.route, m.params) {`, golden + "transport"},
	{"login", api + "server.go", `if !s.admit(r, m.route) {`, `if false {`, golden + "variant-auth"},
	{"negotiation before login", api + "server.go", "\tm, err := s.route(r)\n", "\tm, err := s.route(r)\n\tif !s.admit(r, m.route) {\n\t\treturn r.unauthorized()\n\t}\n", golden + "variant-auth"},
	{"starting", api + "server.go", `if !s.started.Load() {`, `if false {`, "TestCase_004"},
	{"unhealthy", api + "handlers.go", `write(r.Ctx, http.StatusInternalServerError, workerStatus{"unhealthy"`, `write(r.Ctx, http.StatusOK, workerStatus{"unhealthy"`, "TestCase_003"},
	{"CORS echo", api + "edge.go", `r.Set(fiber.HeaderAccessControlAllowOrigin, string(origins[0]))`, `r.Set(fiber.HeaderAccessControlAllowOrigin, "*")`, golden + "variant-cors"},
	{"Vary", api + "edge.go", `r.Response().Header.Add(fiber.HeaderVary, fiber.HeaderOrigin)`, ``, golden + "variant-cors"},
	{"the operator's headers", api + "edge.go", `range s.headers {`, `range s.headers[:0] {`, golden + "variant-cors"},
	{"error_code", api + "errors.go", "`json:\"error_code\"`", "`json:\"code\"`", golden + "transport"},
	{"409", api + "errors.go", `cluster.AlreadyExists: http.StatusConflict`, `cluster.AlreadyExists: http.StatusBadRequest`, golden + "create"},
	{"403", api + "errors.go", `cluster.Forbidden:     http.StatusForbidden`, `cluster.Forbidden: http.StatusBadRequest`, golden + "variant-cors"},
	{"text of numbers", api + "body.go", `	d.UseNumber()`, ``, golden + "create"},
	{"byte order mark", api + "body.go", `b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))`, ``, golden + "json-bodies"},
	{"unknown fields", api + "body.go", `if !slices.Contains(fields, k) {`, `if false {`, golden + "json-bodies"},
	{"trailing tokens", api + "body.go", `return nil, bad("Trailing token found after value: the request's body must be one JSON value")`, `return v, nil`, golden + "json-bodies"},
	{"Location", api + "handlers.go", `a.Header[fiber.HeaderLocation] = base + "/connectors/" + escape(info.Name)`, ``, golden + "create"},
	{"escapes in Location", api + "handlers.go", `"/connectors/" + escape(info.Name)`, `"/connectors/" + info.Name`, golden + "names"},
	{"expand", api + "handlers.go", `info = info || string(v) == "info"`, `info = true`, golden + "create"},
	{"status of stop", api + "handlers.go", `s.target(r, cluster.Stopped, http.StatusNoContent)`, `s.target(r, cluster.Stopped, http.StatusAccepted)`, golden + "lifecycle"},
	{"onlyFailed alone", api + "handlers.go", `if !req.IncludeTasks && !req.OnlyFailed {`, `if !req.IncludeTasks {`, golden + "lifecycle"},
	{"connectorsOnly", api + "handlers.go", `r.flag("connectorsOnly", true, true)`, `true`, "TestCase_all_in_one"},
	{"scope of loggers", api + "loggers.go", "\tif everywhere {", "\tif false {", golden + "loggers"},
	{"trim of names", herder + "connectors.go", `name := strings.TrimFunc(r.Name, func(c rune) bool { return c <= ' ' })`, `name := r.Name; _ = strings.TrimFunc`, golden + "create"},
	{"name that differs", herder + "connectors.go", `ok && given != name {`, `ok && given != name && false {`, golden + "create"},
	{"null removes", herder + "connectors.go", `value == nil {`, `value == nil && false {`, golden + "update"},
	{"validation before storing", herder + "connectors.go", `text := infos.FirstErrors(); text != ""`, `text := infos.FirstErrors(); text != "" && false`, golden + "create"},
	{"tasks from before", herder + "connectors.go", `			v = before
`, ``, golden + "update"},
	{"404 of a status", herder + "connectors.go", `"No status found for connector %s"`, `"Connector %s not found"`, golden + "create"},
	{"RESTARTING", herder + "lifecycle.go", `info.Connector.State, info.Connector.Trace = cluster.StateRestarting, ticket.View.Status.Trace`, ``, golden + "lifecycle"},
	{"failed restart", herder + "lifecycle.go", `st.State == cluster.StateFailed && st.Reason`, `false && st.Reason`, golden + "misbehaving"},
	{"restart after too many tasks", herder + "lifecycle.go", ` && st.Reason != cluster.ReasonTooManyTasks {`, ` {`, "TestCase_all_in_one"},
	{"offsets of what runs", herder + "offsets.go", `(v.Target != cluster.Stopped || len(v.Tasks) > 0)`, `false`, golden + "offsets"},
	{"no offsets", herder + "offsets.go", `if len(changes) == 0 {`, `if false {`, golden + "offsets"},
	{"topics are not kept", herder + "topics.go", `if h.noTopics {`, `if false {`, golden + "variant-cors"},
	{"topics may not be forgotten", herder + "topics.go", `if h.noTopicReset {`, `if false {`, golden + "variant-auth"},
}
