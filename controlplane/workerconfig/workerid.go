package workerconfig

import (
	"cmp"
	"net"
	"net/url"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// The parts of a worker id that nothing says otherwise of.
const defaultPort = "8083"

// WorkerID is host:port as REST clients see it in worker_id: what rest.advertised.* says, else the listener that
// rest.advertised.listener chooses, else the first; a listener on every address counts as host. given tells that the
// properties say something of it.
func WorkerID(props map[string]string, host string) (id string, given bool, err error) {
	scheme := strings.ToLower(strings.TrimSpace(props["rest.advertised.listener"]))
	if scheme != "" && scheme != "http" && scheme != "https" {
		return "", false, connecterr.New(connecterr.Config, "Invalid value %s for configuration rest.advertised.listener: it must be http or https", props["rest.advertised.listener"])
	}
	name, port := strings.TrimSpace(props["rest.advertised.host.name"]), strings.TrimSpace(props["rest.advertised.port"])
	var listenHost, listenPort string
	for l := range strings.SplitSeq(props["listeners"], ",") {
		u, err := url.Parse(strings.TrimSpace(l))
		if err != nil || u.Port() == "" || scheme != "" && u.Scheme != scheme {
			continue
		}
		listenHost, listenPort = u.Hostname(), u.Port()
		break
	}
	if listenHost == "0.0.0.0" || listenHost == "::" {
		listenHost = ""
	}
	if listenPort == "0" { // any free one
		listenPort = ""
	}
	given = name+port+listenHost+listenPort != ""
	return net.JoinHostPort(cmp.Or(name, listenHost, host), cmp.Or(port, listenPort, defaultPort)), given, nil
}
