// Command constant answers the route of a connector's status with one body, whoever asks. Benchmarks measure the api beside it:
// with -bare it is what the HTTP framework can do when there is nothing to do; otherwise it is the api itself, whose store has
// the answer at hand.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/services/api/internal/herder"
	"github.com/millrace/millrace/services/api/internal/httpapi"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	body := flag.String("body", "{}", "what is answered: the status of a connector with tasks")
	bare := flag.Bool("bare", false, "the framework alone")
	flag.Parse()
	ln, err := net.Listen("tcp", *listen) //nolint:noctx // at once
	if err != nil {
		log.Fatal(err)
	}
	if *bare {
		log.Fatal(framework(*body).Listener(ln))
	}
	shown, err := parse(*body)
	if err != nil {
		log.Fatal(err)
	}
	h, err := herder.New(herder.Config{Store: ready{memstore.New(time.Now), shown}, Bus: membus.New(membus.Faults{}, nil).Connect(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(httpapi.New(httpapi.Options{Herder: h, Logger: slog.New(slog.DiscardHandler)}).Serve(ln))
}

func framework(body string) *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true, CaseSensitive: true, StrictRouting: true})
	app.Get("/connectors/:name/status", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Status(http.StatusOK).SendString(body)
	})
	return app
}

// ready is a store that has the answer at hand.
type ready struct {
	herder.Store
	shown cluster.Shown
}

func (r ready) LastConnector(context.Context, string) (cluster.Shown, error) { return r.shown, nil }

// parse reads an answer as the store would have it.
func parse(body string) (cluster.Shown, error) {
	type state struct {
		ID       int              `json:"id"`
		State    cluster.State    `json:"state"`
		WorkerID cluster.RunnerID `json:"worker_id"`
		Version  string           `json:"version"`
	}
	var b struct {
		Name      string                `json:"name"`
		Type      cluster.ConnectorType `json:"type"`
		Connector state                 `json:"connector"`
		Tasks     []state               `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return cluster.Shown{}, err
	}
	shown := func(s state, task int) cluster.ShownState {
		return cluster.ShownState{Task: task, State: s.State, WorkerID: s.WorkerID, Version: s.Version}
	}
	own := shown(b.Connector, -1)
	c := cluster.Shown{Name: b.Name, Type: b.Type, Status: &own}
	for _, t := range b.Tasks {
		c.TaskStatuses = append(c.TaskStatuses, shown(t, t.ID))
	}
	return c, nil
}
