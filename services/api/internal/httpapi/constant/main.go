// Command constant answers the route of a connector's status with one body, whoever asks: what the HTTP framework can do when
// there is nothing to do. Benchmarks measure the api beside it.
package main

import (
	"flag"
	"log"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	body := flag.String("body", "{}", "what is answered")
	flag.Parse()
	app := fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true, CaseSensitive: true, StrictRouting: true})
	app.Get("/connectors/:name/status", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Status(http.StatusOK).SendString(*body)
	})
	log.Fatal(app.Listen(*listen))
}
