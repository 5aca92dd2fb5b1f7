package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/tlsstore"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
)

// options are what a client is made of.
type options struct {
	bases                       []*url.URL
	authorize                   func(context.Context, *http.Request) error
	tls                         *tls.Config
	proxy                       *url.URL
	connectTimeout, readTimeout time.Duration
	retries                     int
	retryWait, retryWaitMost    time.Duration
	randomize                   bool
}

func wrong(format string, args ...any) error {
	return connecterr.New(connecterr.Config, format, args...)
}

// open makes the client that a configuration describes.
func open(v config.Values) (api, error) {
	urls := v.List(keyURL)
	mocked := 0
	for _, u := range urls {
		if strings.HasPrefix(u, mockScheme) {
			mocked++
		}
	}
	switch {
	case mocked == 1 && len(urls) == 1:
		return mockOf(urls[0]), nil
	case mocked > 0:
		return nil, wrong("Invalid value for configuration %s: a %s address must be the only one", keyURL, mockScheme)
	}
	ms := func(key string) time.Duration { return time.Duration(v.Int(key)) * time.Millisecond }
	o := &options{connectTimeout: ms("http.connect.timeout.ms"), readTimeout: ms("http.read.timeout.ms"), retries: int(v.Int("max.retries")),
		retryWait: ms("retries.wait.ms"), retryWaitMost: ms("retries.max.wait.ms"), randomize: v.Bool("schema.registry.url.randomize")}
	for _, text := range urls {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" { // the text may have a password in it
			return nil, wrong("Invalid value for configuration %s: each address must be like http://host:8081 or https://host:8081", keyURL)
		}
		u.RawQuery, u.Fragment = "", ""
		o.bases = append(o.bases, u)
	}
	if host := v.String("proxy.host"); host != "" {
		port := v.Int("proxy.port")
		if port < 1 || port > 65535 {
			return nil, wrong("Invalid value %d for configuration proxy.port: proxy.host needs a port from 1 to 65535", port)
		}
		o.proxy = &url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.FormatInt(port, 10))}
	}
	var err error
	if o.tls, err = clientTLS(v); err != nil {
		return nil, err
	}
	if err = o.credentials(v); err != nil {
		return nil, err
	}
	return newClient(o), nil
}

var versions = map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

func clientTLS(v config.Values) (*tls.Config, error) {
	own := config.Values{}
	for k, value := range v {
		if rest, ok := strings.CutPrefix(k, prefix); ok && strings.HasPrefix(rest, "ssl.") {
			own[rest] = value
		}
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var enabled []uint16
	for _, name := range own.List("ssl.enabled.protocols") {
		n, ok := versions[name]
		if !ok {
			return nil, wrong("Invalid value %s for configuration %sssl.enabled.protocols: it must be TLSv1.2 or TLSv1.3; older versions are not safe", name, prefix)
		}
		enabled = append(enabled, n)
	}
	if len(enabled) > 0 {
		c.MinVersion, c.MaxVersion = slices.Min(enabled), slices.Max(enabled)
	}
	switch cert, err := tlsstore.KeyPair(prefix, own); {
	case err == nil:
		c.Certificates = []tls.Certificate{cert}
	case !errors.Is(err, tlsstore.ErrNone):
		return nil, err
	}
	trusted, err := tlsstore.Trusted(prefix, own)
	if err != nil {
		return nil, err
	}
	if len(trusted) > 0 {
		c.RootCAs = x509.NewCertPool()
		for _, cert := range trusted {
			c.RootCAs.AddCert(cert)
		}
	}
	switch name := own.String("ssl.endpoint.identification.algorithm"); {
	case name == "":
		acceptAnyName(c)
	case !strings.EqualFold(name, "https"):
		return nil, wrong("Invalid value %s for configuration %sssl.endpoint.identification.algorithm: it must be https or blank", name, prefix)
	}
	return c, nil
}

// acceptAnyName leaves the name in the registry's certificate alone, and checks all else.
func acceptAnyName(c *tls.Config) {
	c.InsecureSkipVerify = true //nolint:gosec // it is verified below, all but the name
	c.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: c.RootCAs, Intermediates: between})
		return err
	}
}

// either reads a key that may stand with the prefix schema.registry., too.
func either(v config.Values, key string) string {
	if s := v.String(key); s != "" {
		return s
	}
	return v.String(prefix + key)
}

// credentials decides what goes with each request.
func (o *options) credentials(v config.Values) error {
	basic, bearer := either(v, keyBasic), v.String(keyBearer)
	if basic != "" && bearer != "" {
		return wrong("Only one of '%s' and '%s' may be specified", keyBasic, keyBearer)
	}
	switch strings.ToUpper(bearer) {
	case "":
	case "STATIC_TOKEN":
		token := v.String(keyToken)
		if token == "" {
			return wrong("Missing required configuration %q: %s=STATIC_TOKEN needs the token", keyToken, keyBearer)
		}
		cluster, pool := v.String("bearer.auth.logical.cluster"), v.String("bearer.auth.identity.pool.id")
		o.authorize = func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			for name, value := range map[string]string{"target-sr-cluster": cluster, "Confluent-Identity-Pool-Id": pool} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			return nil
		}
		return nil
	default:
		return wrong("Invalid value %s for configuration %s: it must be STATIC_TOKEN; others are not supported", bearer, keyBearer)
	}
	user, password, err := basicUser(v, basic, o.bases)
	if err != nil {
		return err
	}
	for _, u := range o.bases {
		u.User = nil
	}
	o.authorize = func(_ context.Context, r *http.Request) error {
		if user != "" || password != "" {
			r.SetBasicAuth(user, password)
		}
		return nil
	}
	return nil
}

func basicUser(v config.Values, source string, bases []*url.URL) (user, password string, err error) {
	switch strings.ToUpper(source) {
	case "", "URL":
		for _, u := range bases {
			if u.User != nil {
				password, _ := u.User.Password()
				return u.User.Username(), password, nil
			}
		}
		return "", "", nil
	case "USER_INFO":
		info := either(v, keyUserInfo)
		if info == "" {
			return "", "", wrong("Missing required configuration %q: %s=USER_INFO needs it, as user:password", keyUserInfo, keyBasic)
		}
		user, password, _ := strings.Cut(info, ":")
		return user, password, nil
	case "SASL_INHERIT":
		user, password := loginOf(v.String(keyJaas))
		if user == "" {
			return "", "", wrong("Missing required configuration %q: %s=SASL_INHERIT needs a login with username and password beside it", keyJaas, keyBasic)
		}
		return user, password, nil
	}
	return "", "", wrong("Invalid value %s for configuration %s: it must be URL, USER_INFO or SASL_INHERIT", source, keyBasic)
}

var jaasOption = regexp.MustCompile(`(?:^|\s)(username|password)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))`)

var jaasEscape = regexp.MustCompile(`\\(.)`)

// loginOf finds user and password in a login of Java's form.
func loginOf(jaas string) (user, password string) {
	for _, m := range jaasOption.FindAllStringSubmatch(jaas, -1) {
		value := jaasEscape.ReplaceAllString(m[2], "$1") + m[3]
		if m[1] == "username" {
			user = value
		} else {
			password = value
		}
	}
	return user, password
}
