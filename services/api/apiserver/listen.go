package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/loopback"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/secrets"
	sdkconfig "github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/services/api/internal/herder"
	"github.com/millrace/millrace/services/api/internal/httpapi"
	"github.com/millrace/millrace/services/api/internal/restconfig"
)

// WorkerDef defines the worker properties of the REST server.
func WorkerDef() *sdkconfig.Def { return restconfig.Def }

// restConfig reads the worker's properties, with the address that was given beside them.
func restConfig(cfg Config) (restconfig.Config, error) {
	var rest restconfig.Config
	refs, err := secrets.FromProperties(cfg.Worker, os.LookupEnv, cfg.Logger)
	if err == nil {
		err = refs.Read(cfg.Worker, func(props map[string]string) error {
			rest, err = restconfig.FromProperties(props)
			return err
		})
	}
	if err != nil {
		return rest, err
	}
	address := cfg.Listen
	if address == "" && len(rest.Listeners) == 0 {
		address = DefaultListen
	}
	if address != "" {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return rest, fmt.Errorf("the address %q to listen on must be host:port: %w", address, err)
		}
		rest.Listeners = []restconfig.Listener{{URL: address, Address: address}}
	}
	if rest.Users != nil && rest.Users.Everybody() {
		cfg.Logger.Warn("the file of users is empty: everybody is let in", slog.String("property", restconfig.UsersFile))
	}
	return rest, errors.Join(checkListen(cfg, rest, rest.Listeners), checkListen(cfg, rest, rest.Admin.Listeners))
}

// checkListen refuses to be open to everybody unless that is asked for by name.
func checkListen(cfg Config, rest restconfig.Config, listeners []restconfig.Listener) error {
	for _, l := range listeners {
		host, _, err := net.SplitHostPort(l.Address)
		if err != nil {
			return err
		}
		switch {
		case loopback.Is(host) || rest.Authenticated(l):
		case !cfg.AllowAnonymous:
			return fmt.Errorf("refusing to listen on %s: everybody who reaches it could manage connectors, since nobody has to log in. "+
				"Set rest.extension.classes and %s, or ssl.client.auth=required, in the worker configuration; or listen on a loopback address behind a proxy that asks for a login; "+
				"or say that this is wanted with -allow-anonymous", l.URL, restconfig.UsersFile)
		default:
			cfg.Logger.Warn("everybody who reaches this address can manage connectors: nobody has to log in", slog.String("listen", l.URL))
		}
	}
	return nil
}

// doors are what users reach.
type doors []*httpapi.Server

// open lets requests through to the herder.
func (d doors) open(h *herder.Herder) {
	for _, s := range d {
		s.Start(h)
	}
}

// close stops taking requests and waits for those that are running. It may be called again.
func (d doors) close(ctx context.Context) (err error) {
	for _, s := range d {
		err = errors.Join(err, s.Shutdown(ctx))
	}
	return err
}

// serve opens all listeners and answers on them that everything is starting. done gets the end of each.
func serve(ctx context.Context, rest restconfig.Config, cfg Config, info *Info, done chan<- error) (doors, error) {
	var opened []net.Listener
	open := func(list []restconfig.Listener) (lns []net.Listener, urls []string, err error) {
		for _, l := range list {
			var lc net.ListenConfig
			ln, err := lc.Listen(ctx, "tcp", l.Address)
			if err != nil {
				return nil, nil, exitcode.Missing(fmt.Errorf("listening for requests on %s: %w", l.URL, err))
			}
			urls = append(urls, l.Scheme()+"://"+ln.Addr().String())
			if l.TLS != nil {
				ln = tls.NewListener(ln, l.TLS)
			}
			lns, opened = append(lns, ln), append(opened, ln)
		}
		return lns, urls, nil
	}
	users, urls, err := open(rest.Listeners)
	var admins []net.Listener
	if err == nil {
		admins, info.AdminURLs, err = open(rest.Admin.Listeners)
	}
	if err != nil {
		for _, ln := range opened {
			err = errors.Join(err, ln.Close())
		}
		return nil, err
	}
	info.URLs, info.Addr = urls, users[0].Addr().String()

	o := httpapi.Options{Logger: obs.Named(cfg.Logger, obs.LogRest), Metrics: httpapi.NewMetrics(cfg.Registerer),
		CORS: rest.CORS, Headers: rest.Headers, Users: rest.Users}
	if rest.Admin.Off || len(admins) > 0 {
		o.Serves = httpapi.AllButAdmin
	}
	servers := doors{httpapi.New(o)}
	run := func(s *httpapi.Server, lns []net.Listener) {
		for _, ln := range lns {
			go func() { done <- s.Serve(ln) }()
		}
	}
	run(servers[0], users)
	if len(admins) > 0 {
		o.Serves, o.CORS, o.Headers = httpapi.OnlyAdmin, nil, nil
		servers = append(servers, httpapi.New(o))
		run(servers[1], admins)
	}
	return servers, nil
}
