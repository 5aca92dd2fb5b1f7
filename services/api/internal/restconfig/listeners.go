package restconfig

import (
	"crypto/tls"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Listener is one URL to listen on.
type Listener struct {
	URL     string      // as it was given; of -listen without a scheme
	Address string      // host:port; the host can be empty: every address
	TLS     *tls.Config // nil: plain HTTP
}

// Scheme is http or https.
func (l Listener) Scheme() string {
	if l.TLS != nil {
		return "https"
	}
	return "http"
}

var listenerURL = regexp.MustCompile(`^(.*)://(?:\[([0-9a-zA-Z:.%]+)\]|([^:/\[\]]*)):([0-9]+)/?$`)

// parseListeners reads the URLs of key.
func parseListeners(key string, urls []string, props map[string]string) (all []Listener, err error) {
	for _, u := range urls {
		if strings.TrimSpace(u) == "" {
			return nil, wrong("Empty URL found when parsing %s list.", key)
		}
		l, err := parseListener(key, strings.TrimSpace(u), props)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func parseListener(key, url string, props map[string]string) (Listener, error) {
	m := listenerURL.FindStringSubmatch(url)
	if m == nil {
		return Listener{}, wrong("Invalid value %s for configuration %s: it must be http://host:port or https://host:port", url, key)
	}
	if port, err := strconv.ParseUint(m[4], 10, 16); err != nil {
		return Listener{}, wrong("Invalid value %s for configuration %s: port %s is not between 0 and 65535 (%d)", url, key, m[4], port)
	}
	l := Listener{URL: url, Address: net.JoinHostPort(m[2]+m[3], m[4])}
	switch strings.ToLower(m[1]) {
	case "http":
	case "https":
		var err error
		if l.TLS, err = serverTLS(key+".https.", props); err != nil {
			return Listener{}, err
		}
	default:
		return Listener{}, wrong("Invalid value %s for configuration %s: its scheme must be http or https", url, key)
	}
	return l, nil
}
