package httpapi

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/internal/version"
)

// schemas are the shapes of what is sent and answered.
//
//go:embed openapi.schemas.json
var schemas []byte

// operation is what the OpenAPI document says of a route beyond the route table.
type operation struct {
	id      string
	query   []query
	headers []query        // beyond that of keyed routes
	tagged  bool           // the answer has an ETag
	body    string         // schema of the request; "" without one
	answers map[int]string // schema by status; "" for an answer without a body
}

type query struct{ name, typ, doc string }

var (
	ifMatch      = query{"If-Match", "string", "ETags, or * for any: only if the configuration is one of these at the moment of the change; else 412."}
	ifNoneMatch  = query{"If-None-Match", "string", "ETags, or * for any: 304 if it is one of these."}
	ifNone       = query{"If-None-Match", "string", "* creates only: 412 if the connector exists."}
	keyHeader    = query{headerKey, "string", "1 to 255 characters: a repetition within 24 hours changes nothing and gets the first answer; another request with the key gets 422."}
	conditional  = []query{ifMatch}
	conditionals = []query{ifMatch, ifNone}
	unlessKnown  = []query{ifNoneMatch}
)

func ok(schema string) map[int]string { return map[int]string{http.StatusOK: schema} }

var empty = ""

// operations has a line for each public route, by method and pattern.
var operations = map[string]operation{
	"GET /":             {id: "getServer", answers: ok("ServerInfo")},
	"GET /health":       {id: "getHealth", answers: map[int]string{200: "WorkerStatus", 500: "WorkerStatus", 503: "WorkerStatus"}},
	"GET /openapi.json": {id: "getOpenAPI", answers: ok("Document")},
	"GET /connectors": {id: "listConnectors", answers: ok("Connectors"), query: append([]query{
		{"expand", "string", "status or info, or both in two parameters: details instead of names."}}, listingQuery()...)},
	"GET /events": {id: "watchEvents", answers: ok("Events"), query: []query{
		{"after", "string", "The id of an event: what came behind it is sent, too. now (default): what comes from now on."},
		{"connector", "string", "Only events of this connector; given several times, of these."}},
		headers: []query{{lastEventID, "string", "As after, and stronger: browsers send it when they come back."}}},
	"POST /connectors": {id: "createConnector", tagged: true, body: "NewConnector", answers: map[int]string{201: "Connector"}},
	"POST /connectors:apply": {id: "applyConnectors", body: "ConnectorsToApply", answers: ok("Applied"), query: []query{
		{"dry_run", "boolean", "true: store nothing, only say what would become of each."}}},
	"GET /connectors/{c}":          {id: "getConnector", headers: unlessKnown, tagged: true, answers: map[int]string{200: "Connector", 304: empty}},
	"DELETE /connectors/{c}":       {id: "deleteConnector", headers: conditional, answers: map[int]string{204: empty}},
	"GET /connectors/{c}/config":   {id: "getConfig", headers: unlessKnown, tagged: true, answers: map[int]string{200: "StoredConfig", 304: empty}},
	"PUT /connectors/{c}/config":   {id: "putConfig", headers: conditionals, tagged: true, body: "Config", answers: map[int]string{200: "Connector", 201: "Connector"}},
	"PATCH /connectors/{c}/config": {id: "patchConfig", headers: conditional, tagged: true, body: "Config", answers: ok("Connector")},
	"GET /connectors/{c}/status":   {id: "getStatus", answers: ok("ConnectorStatus")},
	"POST /connectors/{c}/restart": {id: "restartConnector", headers: conditional, answers: map[int]string{202: "ConnectorStatus", 204: empty}, query: []query{
		{"includeTasks", "boolean", "Restart the tasks, too."}, {"onlyFailed", "boolean", "Restart only what has failed."}}},
	"PUT /connectors/{c}/pause":                  {id: "pauseConnector", headers: conditional, answers: map[int]string{202: empty}},
	"PUT /connectors/{c}/resume":                 {id: "resumeConnector", headers: conditional, answers: map[int]string{202: empty}},
	"PUT /connectors/{c}/stop":                   {id: "stopConnector", headers: conditional, answers: map[int]string{204: empty}},
	"GET /connectors/{c}/tasks":                  {id: "listTasks", answers: ok("Tasks")},
	"GET /connectors/{c}/tasks/{task}/status":    {id: "getTaskStatus", answers: ok("TaskStatus")},
	"POST /connectors/{c}/tasks/{task}/restart":  {id: "restartTask", headers: conditional, answers: map[int]string{204: empty}},
	"GET /connectors/{c}/topics":                 {id: "getTopics", answers: ok("Topics")},
	"PUT /connectors/{c}/topics/reset":           {id: "resetTopics", headers: conditional, answers: map[int]string{202: empty}},
	"GET /connectors/{c}/offsets":                {id: "getOffsets", answers: ok("Offsets")},
	"PATCH /connectors/{c}/offsets":              {id: "alterOffsets", headers: conditional, body: "Offsets", answers: ok("Message")},
	"DELETE /connectors/{c}/offsets":             {id: "resetOffsets", headers: conditional, answers: ok("Message")},
	"PUT /connector-plugins/{p}/config/validate": {id: "validateConfig", body: "Config", answers: ok("Validation")},
	"GET /admin/loggers":                         {id: "listLoggers", answers: ok("Loggers")},
	"GET /admin/loggers/{l}":                     {id: "getLogger", answers: ok("LoggerLevel")},
	"GET /connector-plugins": {id: "listPlugins", answers: ok("Plugins"), query: []query{
		{"connectorsOnly", "boolean", "Default true; false: all kinds of plugins."}}},
	"GET /connector-plugins/{p}/config": {id: "getPluginConfig", answers: ok("ConfigKeys"), query: []query{
		{"version", "string", "Version or range of versions of the plugin; default: the newest."}}},
	"PUT /admin/loggers/{l}": {id: "setLogger", body: "NewLevel", answers: map[int]string{200: "Names", 204: empty}, query: []query{
		{"scope", "string", "worker (default): this process; cluster: every process, answered at once with 204."}}},
}

// params explain what stands in braces in patterns.
var params = map[string]query{
	"c": {"c", "string", "Name of the connector."}, "task": {"task", "integer", "Number of the task, from 0."},
	"p": {"p", "string", "Class of the plugin, or its short name."}, "l": {"l", "string", "Name of the logger; root for all."},
}

var brace = regexp.MustCompile(`\{(\w+)\}`)

type m = map[string]any

// document describes routes as an OpenAPI document.
func document(routes []Route) ([]byte, error) {
	shapes := m{"Document": m{"type": "object"}}
	if err := json.Unmarshal(schemas, &shapes); err != nil {
		return nil, err
	}
	paths := map[string]m{}
	for _, r := range routes {
		if r.internal {
			continue
		}
		op, ok := operations[r.Method+" "+r.Pattern]
		if !ok {
			return nil, fmt.Errorf("%s %s has no operation", r.Method, r.Pattern)
		}
		if paths[r.Pattern] == nil {
			paths[r.Pattern] = m{}
		}
		paths[r.Pattern][strings.ToLower(r.Method)] = op.describe(r)
	}
	return json.Marshal(m{
		"openapi": "3.1.0",
		"info": m{"title": "Millrace", "version": version.Millrace, "license": m{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "The REST API of Kafka Connect. Clients, UIs and operators that manage Kafka Connect manage Millrace without a change."},
		"servers":    []any{m{"url": "/"}},
		"paths":      paths,
		"security":   []any{m{}, m{"basic": []string{}}},
		"components": m{"schemas": shapes, "securitySchemes": m{"basic": m{"type": "http", "scheme": "basic"}}},
	})
}

func (op operation) describe(r Route) m {
	content := func(schema, media string) m {
		return m{cmp.Or(media, fiber.MIMEApplicationJSON): m{"schema": m{"$ref": "#/components/schemas/" + schema}}}
	}
	parameters := []any{}
	for _, found := range brace.FindAllStringSubmatch(r.Pattern, -1) {
		p := params[found[1]]
		parameters = append(parameters, m{"name": p.name, "in": "path", "required": true, "description": p.doc, "schema": m{"type": p.typ}})
	}
	for _, q := range op.query {
		parameters = append(parameters, m{"name": q.name, "in": "query", "description": q.doc, "schema": m{"type": q.typ}})
	}
	headers := op.headers
	if r.keyed {
		headers = append(headers[:len(headers):len(headers)], keyHeader)
	}
	for _, h := range headers {
		parameters = append(parameters, m{"name": h.name, "in": "header", "description": h.doc, "schema": m{"type": h.typ}})
	}
	responses := m{"default": m{"description": "What is wrong, in words for people.", "content": content("Error", "")}}
	for status, schema := range op.answers {
		answer := m{"description": http.StatusText(status)}
		if schema != empty {
			answer["content"] = content(schema, r.media)
		}
		if op.tagged {
			answer["headers"] = m{"ETag": m{"description": "Of this version of the configuration, for If-Match.", "schema": m{"type": "string"}}}
		}
		responses[strconv.Itoa(status)] = answer
	}
	out := m{"operationId": op.id, "summary": r.Doc, "parameters": parameters, "responses": responses}
	if op.body != "" {
		out["requestBody"] = m{"required": true, "content": content(op.body, "")}
	}
	return out
}

func (s *server) openapi(r *request) error {
	b, err := s.document()
	if err != nil {
		return err
	}
	r.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return r.Status(http.StatusOK).Send(b)
}
