package httpapi

import (
	"net/http"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
)

func (s *server) loggers(r *request) error { return r.json(s.herder.Loggers()) }

func (s *server) logger(r *request) error {
	l, err := s.herder.Logger(r.params[0])
	if err != nil {
		return err
	}
	return r.json(l)
}

func (s *server) setLogger(r *request) error {
	body, err := r.configBody() // a map of texts, too
	if err != nil {
		return err
	}
	everywhere := strings.EqualFold(string(r.Request().URI().QueryArgs().Peek("scope")), "cluster")
	changed, err := s.herder.SetLogger(r.params[0], body["level"], everywhere)
	if err != nil {
		return err
	}
	if everywhere {
		return r.done(cluster.Answer{Status: http.StatusNoContent}, true)
	}
	return r.json(changed)
}
