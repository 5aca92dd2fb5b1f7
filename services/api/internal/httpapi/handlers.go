package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// flag reads a boolean parameter: true exactly when it says "true", in any case.
func (r *request) flag(name string, absent, empty bool) bool {
	args := r.Request().URI().QueryArgs()
	if !args.Has(name) {
		return absent
	}
	v := string(args.Peek(name))
	if v == "" {
		return empty
	}
	return strings.EqualFold(v, "true")
}

// argument reads a parameter; of several the first counts.
func (r *request) argument(name, absent string) string {
	args := r.Request().URI().QueryArgs()
	if !args.Has(name) {
		return absent
	}
	return string(args.Peek(name))
}

// taskBad tells whether a route's task number is none: then there is no such path.
func taskBad(route *tableRoute, params []string) bool {
	for i, name := range route.names {
		if name == "{task}" {
			if _, err := strconv.ParseInt(params[i], 10, 32); err != nil {
				return true
			}
		}
	}
	return false
}

func (r *request) task() int {
	n, err := strconv.ParseInt(r.params[1], 10, 32)
	if err != nil {
		return -1 // taskBad has looked
	}
	return int(n)
}

func (s *server) root(r *request) error {
	info, err := s.herder.Server(r.ctx)
	if err != nil {
		return err
	}
	return r.json(info)
}

// healthTime bounds the look at the database.
const healthTime = 10 * time.Second

type workerStatus struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (s *server) health(r *request) error {
	ctx, cancel := context.WithTimeout(r.ctx, healthTime)
	defer cancel()
	if err := s.herder.Health(ctx); err != nil {
		return write(r.Ctx, http.StatusInternalServerError, workerStatus{"unhealthy",
			"Worker was unable to handle this request and may be unable to handle other requests. The worker is currently waiting for the database."})
	}
	return r.json(workerStatus{"healthy", "Worker has completed startup and is ready to handle requests."})
}

// stillStarting is what is said before the database has answered for the first time.
const stillStarting = "Worker is still starting up. The worker is currently waiting for the database."

// starting answers before there is anything to ask.
func (s *server) starting(r *request, route *tableRoute) error {
	if route.Pattern != "/health" {
		return s.fail(r, cluster.Errorf(cluster.Busy, stillStarting))
	}
	if err := write(r.Ctx, http.StatusServiceUnavailable, workerStatus{"starting", stillStarting}); err != nil {
		return err
	}
	if r.Method() == http.MethodHead {
		r.Response().SkipBody = true
	}
	return nil
}

func (s *server) list(r *request) error {
	args := r.Request().URI().QueryArgs()
	q, err := listing(args)
	if err != nil {
		return err
	}
	if !args.Has("expand") {
		names, next, err := s.herder.Names(r.ctx, q)
		if err != nil {
			return err
		}
		r.linkNext(next)
		return r.json(names)
	}
	var status, info bool
	for _, v := range args.PeekMulti("expand") {
		status = status || string(v) == "status"
		info = info || string(v) == "info"
	}
	all, next, err := s.herder.Expand(r.ctx, q, status, info)
	if err != nil {
		return err
	}
	r.linkNext(next)
	r.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	r.Response().SetBodyRaw(all) // it is long, and nobody else has it
	return nil
}

func (s *server) create(r *request) error {
	body, err := parseCreate(r.BodyRaw())
	if err != nil {
		return err
	}
	info, delivered, err := s.herder.Create(r.ctx, herder.CreateRequest{Name: body.name, Config: body.config, Target: body.target, By: r.by(r.connector)})
	if err != nil {
		return err
	}
	return r.done(connectorAnswer(r.base(), info, true), delivered)
}

// base is where the client has found this server.
func (r *request) base() string {
	scheme := "http://"
	if r.Context().IsTLS() {
		scheme = "https://"
	}
	return scheme + string(r.Request().Host())
}

// connector words the answer to a connector that was created or replaced.
func (r *request) connector(out cluster.Outcome) cluster.Answer {
	return connectorAnswer(r.base(), herder.InfoOf(out.View), out.Created)
}

func connectorAnswer(base string, info herder.ConnectorInfo, created bool) cluster.Answer {
	a := worded(http.StatusOK, info)
	a.Header = map[string]string{fiber.HeaderETag: configTag(info.Ref)}
	if created {
		a.Status = http.StatusCreated
		a.Header[fiber.HeaderLocation] = base + "/connectors/" + escape(info.Name)
	}
	return a
}

// escape encodes a name for a path.
func escape(name string) string { return strings.ReplaceAll(url.PathEscape(name), ";", "%3B") }

func (s *server) get(r *request) error {
	info, err := s.herder.Info(r.ctx, r.params[0])
	if err != nil {
		return err
	}
	return r.tagged(connectorTag(info), info)
}

func (s *server) remove(r *request) error {
	delivered, err := s.herder.Delete(r.ctx, r.params[0], r.by(always(http.StatusNoContent)))
	if err != nil {
		return err
	}
	return r.done(cluster.Answer{Status: http.StatusNoContent}, delivered)
}

func (s *server) config(r *request) error {
	info, err := s.herder.Info(r.ctx, r.params[0])
	if err != nil {
		return err
	}
	return r.tagged(configTag(info.Ref), info.Config)
}

func (r *request) configBody() (cluster.Config, error) {
	v, err := parse(r.BodyRaw())
	if err != nil {
		return nil, err
	}
	return config(v)
}

func (s *server) putConfig(r *request) error {
	body, err := r.configBody()
	if err != nil {
		return err
	}
	info, created, delivered, err := s.herder.Put(r.ctx, r.params[0], body, r.by(r.connector))
	if err != nil {
		return err
	}
	return r.done(connectorAnswer(r.base(), info, created), delivered)
}

func (s *server) patchConfig(r *request) error {
	var patch cluster.Config
	if !emptyBody(r.BodyRaw()) {
		var err error
		if patch, err = r.configBody(); err != nil {
			return err
		}
	} else if _, err := s.herder.Info(r.ctx, r.params[0]); err != nil {
		return err // an unknown connector is told of before a body that is nothing
	} else {
		return bad("The request's body must be a JSON object with the keys to change")
	}
	info, delivered, err := s.herder.Patch(r.ctx, r.params[0], patch, r.by(r.connector))
	if err != nil {
		return err
	}
	return r.done(connectorAnswer(r.base(), info, false), delivered)
}

// emptyBody tells whether there is nothing in a body, or the word null.
func emptyBody(b []byte) bool {
	text := strings.TrimSpace(string(b))
	return text == "" || text == "null"
}

func (s *server) status(r *request) error {
	body, err := s.herder.Status(r.ctx, r.params[0])
	if err != nil {
		return err
	}
	return r.send(cluster.Answer{Status: http.StatusOK, Body: body})
}

func (s *server) restart(r *request) error {
	req := cluster.RestartRequest{Name: r.params[0], IncludeTasks: r.flag("includeTasks", false, false), OnlyFailed: r.flag("onlyFailed", false, false)}
	if !req.IncludeTasks && !req.OnlyFailed {
		delivered, err := s.herder.Restart(r.ctx, req.Name, r.byWaiting(http.StatusNoContent))
		if err != nil {
			return err
		}
		return r.done(cluster.Answer{Status: http.StatusNoContent}, delivered)
	}
	req.By = r.by(func(out cluster.Outcome) cluster.Answer {
		info, err := herder.RestartInfo(out.Ticket)
		if err != nil {
			return s.refusal(r, err)
		}
		return worded(http.StatusAccepted, info)
	})
	info, delivered, err := s.herder.RestartSome(r.ctx, req)
	if err != nil {
		return err
	}
	return r.done(worded(http.StatusAccepted, info), delivered)
}

// byWaiting is by for a change whose effect is waited for: what it is answered at the end is recorded then.
func (r *request) byWaiting(status int) cluster.Author {
	if r.key != nil {
		r.key.Pending = true
	}
	return r.by(always(status))
}

func (s *server) pause(r *request) error {
	return s.target(r, cluster.Paused, http.StatusAccepted)
}

func (s *server) resume(r *request) error {
	return s.target(r, cluster.Started, http.StatusAccepted)
}

func (s *server) stopConnector(r *request) error {
	return s.target(r, cluster.Stopped, http.StatusNoContent)
}

func (s *server) target(r *request, t cluster.TargetState, status int) error {
	delivered, err := s.herder.SetTarget(r.ctx, r.params[0], t, r.by(nil))
	if err != nil {
		return err
	}
	return r.done(cluster.Answer{Status: status}, delivered)
}

func (s *server) tasks(r *request) error {
	tasks, err := s.herder.Tasks(r.ctx, r.params[0])
	if err != nil {
		return err
	}
	return r.json(tasks)
}

func (s *server) taskStatus(r *request) error {
	state, err := s.herder.TaskStatus(r.ctx, r.params[0], r.task())
	if err != nil {
		return err
	}
	return r.json(state)
}

func (s *server) restartTask(r *request) error {
	delivered, err := s.herder.RestartTask(r.ctx, r.params[0], r.task(), r.byWaiting(http.StatusNoContent))
	if err != nil {
		return err
	}
	return r.done(cluster.Answer{Status: http.StatusNoContent}, delivered)
}

func (s *server) plugins(r *request) error {
	list, err := s.herder.Plugins(r.ctx, r.flag("connectorsOnly", true, true))
	if err != nil {
		return err
	}
	return r.json(list)
}

func (s *server) pluginConfig(r *request) error {
	keys, err := s.herder.PluginConfig(r.ctx, r.params[0], r.argument("version", "latest"))
	if err != nil {
		return err
	}
	return r.json(keys)
}

func (s *server) validate(r *request) error {
	body, err := r.configBody()
	if err != nil {
		return err
	}
	infos, err := s.herder.Validate(r.ctx, r.params[0], body)
	if err != nil {
		return err
	}
	return r.json(infos)
}
