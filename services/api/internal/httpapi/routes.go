// Package httpapi is the REST contract of Kafka Connect over HTTP: routes, negotiation, bodies, errors. It is the only
// package that knows Fiber, and it decides nothing: each handler reads a request, calls one method of the herder, and
// writes the answer.
//
// Start reading at Routes, the one table of what is served; router.go finds a route in it, handlers.go answers, errors.go is
// the one place where errors become statuses, body.go reads JSON as strictly as Kafka Connect does.
package httpapi

import "net/http"

// Route is one line of the table.
type Route struct {
	Method  string
	Pattern string // segments in braces match one non-empty segment
	Doc     string
	body    bool   // the handler reads a body
	open    bool   // the Content-Type of the request does not matter
	keyed   bool   // an Idempotency-Key makes it happen once
	media   string // of the answer, if it is not JSON
	handle  handler

	internal bool // reserved for calls between workers: nobody logs in
}

// Routes is everything that is served.
func Routes() []Route {
	return []Route{
		{Method: http.MethodGet, Pattern: "/", Doc: "Version and Kafka cluster.", open: true, handle: (*server).root},
		{Method: http.MethodGet, Pattern: "/health", Doc: "Whether requests can be handled.", open: true, handle: (*server).health},
		{Method: http.MethodGet, Pattern: "/openapi.json", Doc: "This API as an OpenAPI document.", open: true, handle: (*server).openapi},

		{Method: http.MethodGet, Pattern: "/connectors", Doc: "Names of the connectors, all or some; with expand=status and expand=info, details.", handle: (*server).list},
		{Method: http.MethodPost, Pattern: "/connectors", Doc: "Create a connector.", body: true, keyed: true, handle: (*server).create},
		{Method: http.MethodPost, Pattern: "/connectors:apply", Doc: "Create or replace many connectors at once.", body: true, keyed: true, handle: (*server).apply},
		{Method: http.MethodGet, Pattern: "/connectors/{c}", Doc: "Configuration and tasks of a connector.", handle: (*server).get},
		{Method: http.MethodDelete, Pattern: "/connectors/{c}", Doc: "Delete a connector.", keyed: true, handle: (*server).remove},
		{Method: http.MethodGet, Pattern: "/connectors/{c}/config", Doc: "Configuration of a connector.", handle: (*server).config},
		{Method: http.MethodPut, Pattern: "/connectors/{c}/config", Doc: "Create a connector, or replace its configuration.", body: true, keyed: true, handle: (*server).putConfig},
		{Method: http.MethodPatch, Pattern: "/connectors/{c}/config", Doc: "Change some keys of a configuration; null removes a key.", body: true, keyed: true, handle: (*server).patchConfig},
		{Method: http.MethodGet, Pattern: "/connectors/{c}/status", Doc: "State of a connector and its tasks.", handle: (*server).status},
		{Method: http.MethodPost, Pattern: "/connectors/{c}/restart", Doc: "Restart a connector, with includeTasks and onlyFailed also its tasks.", keyed: true, handle: (*server).restart},
		{Method: http.MethodPut, Pattern: "/connectors/{c}/pause", Doc: "Pause a connector and its tasks.", handle: (*server).pause},
		{Method: http.MethodPut, Pattern: "/connectors/{c}/resume", Doc: "Resume a paused or stopped connector.", handle: (*server).resume},
		{Method: http.MethodPut, Pattern: "/connectors/{c}/stop", Doc: "Stop a connector and remove its tasks.", handle: (*server).stopConnector},
		{Method: http.MethodGet, Pattern: "/connectors/{c}/tasks", Doc: "Tasks of a connector with their configurations.", handle: (*server).tasks},
		{Method: http.MethodPost, Pattern: "/connectors/{c}/tasks", Doc: "Reserved: workers of Kafka Connect call it.", body: true, internal: true, handle: (*server).tasksOfWorker},
		{Method: http.MethodPut, Pattern: "/connectors/{c}/fence", Doc: "Reserved, too.", internal: true, handle: (*server).fence},
		{Method: http.MethodGet, Pattern: "/connectors/{c}/tasks/{task}/status", Doc: "State of a task.", handle: (*server).taskStatus},
		{Method: http.MethodPost, Pattern: "/connectors/{c}/tasks/{task}/restart", Doc: "Restart a task.", keyed: true, handle: (*server).restartTask},

		{Method: http.MethodGet, Pattern: "/connectors/{c}/topics", Doc: "Topics that the tasks of a connector have used.", handle: (*server).topics},
		{Method: http.MethodPut, Pattern: "/connectors/{c}/topics/reset", Doc: "Clear the list of used topics.", handle: (*server).resetTopics},
		{Method: http.MethodGet, Pattern: "/connectors/{c}/offsets", Doc: "Committed offsets of a connector.", handle: (*server).offsets},
		{Method: http.MethodPatch, Pattern: "/connectors/{c}/offsets", Doc: "Set or remove offsets of a stopped connector.", body: true, handle: (*server).alterOffsets},
		{Method: http.MethodDelete, Pattern: "/connectors/{c}/offsets", Doc: "Remove all offsets of a stopped connector.", handle: (*server).resetOffsets},

		{Method: http.MethodGet, Pattern: "/events", Doc: "Stream of what changes, as server-sent events.", media: mediaEvents, handle: (*server).events},

		{Method: http.MethodGet, Pattern: "/connector-plugins", Doc: "Installed plugins; with connectorsOnly=false all kinds.", handle: (*server).plugins},
		{Method: http.MethodGet, Pattern: "/connector-plugins/{p}/config", Doc: "Keys of a plugin.", handle: (*server).pluginConfig},
		{Method: http.MethodPut, Pattern: "/connector-plugins/{p}/config/validate", Doc: "Check a configuration without storing it.", body: true, handle: (*server).validate},

		{Method: http.MethodGet, Pattern: "/admin/loggers", Doc: "Loggers of this process with their levels.", handle: (*server).loggers},
		{Method: http.MethodGet, Pattern: "/admin/loggers/{l}", Doc: "Level of a logger.", handle: (*server).logger},
		{Method: http.MethodPut, Pattern: "/admin/loggers/{l}", Doc: "Set the level of a logger and those below it; with scope=cluster in every process.", body: true, handle: (*server).setLogger},
	}
}
