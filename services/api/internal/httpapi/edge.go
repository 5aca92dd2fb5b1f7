package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Serves says which of the routes a server has.
type Serves int

// The kinds of server.
const (
	Everything Serves = iota
	AllButAdmin
	OnlyAdmin
)

const adminPrefix = "/admin/"

func (k Serves) routes() (all []Route) {
	for _, r := range Routes() {
		admin := strings.HasPrefix(r.Pattern, adminPrefix)
		if k == Everything || admin == (k == OnlyAdmin) {
			all = append(all, r)
		}
	}
	return all
}

// decorate sets the headers that every answer carries, whatever becomes of the request: those the operator wants, and what
// a browser wants to know of a page's origin.
func (s *server) decorate(r *request) {
	now := time.Now()
	for _, h := range s.headers {
		if h.Add {
			r.Response().Header.Add(h.Name, h.Value(now))
		} else {
			r.Response().Header.Set(h.Name, h.Value(now))
		}
	}
	if s.cors == nil {
		return
	}
	r.Response().Header.Add(fiber.HeaderVary, fiber.HeaderOrigin)
	origins := r.Request().Header.PeekAll(fiber.HeaderOrigin)
	if len(origins) == 0 || !s.cors.Allowed(string(origins[0])) {
		return
	}
	r.Set(fiber.HeaderAccessControlAllowOrigin, string(origins[0]))
	if r.Method() == http.MethodOptions && len(r.Request().Header.Peek(fiber.HeaderAccessControlRequestMethod)) > 0 {
		r.Set(fiber.HeaderAccessControlAllowMethods, s.cors.Methods)
		r.Set(fiber.HeaderAccessControlAllowHeaders, fiber.HeaderContentType)
		r.Set(fiber.HeaderAccessControlMaxAge, "60")
	}
}

// admit tells whether a request may go on, and remembers who sent it. route is nil for OPTIONS.
func (s *server) admit(r *request, route *tableRoute) (ok bool) {
	if s.users == nil || route != nil && route.internal {
		return true
	}
	r.user, ok = s.users.Admit(r.Get(fiber.HeaderAuthorization))
	return ok
}

// unauthorized answers as Kafka Connect's extension does: with a bare text.
func (r *request) unauthorized() error {
	r.Response().Header.Del(fiber.HeaderAllow)
	r.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	if r.Method() == http.MethodOptions {
		r.Set(fiber.HeaderContentType, "text/plain")
	}
	if r.Method() == http.MethodHead {
		r.Response().SkipBody = true
	}
	return r.Status(http.StatusUnauthorized).SendString("User cannot access the resource.")
}
