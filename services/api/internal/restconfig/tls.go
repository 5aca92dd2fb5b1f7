package restconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/tlsstore"
	"github.com/millrace/millrace/sdk/config"
)

var tlsVersions = map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

// serverTLS reads the keys that begin with ssl., with the prefix or, where that is not given at all, without (as Kafka
// Connect does: one prefixed key of the ssl family makes only prefixed ones count).
func serverTLS(prefix string, props map[string]string) (*tls.Config, error) {
	own := map[string]string{}
	for k, v := range props {
		if rest, ok := strings.CutPrefix(k, prefix); ok && strings.HasPrefix(rest, "ssl.") {
			own[rest] = v
		}
	}
	given := prefix
	if len(own) == 0 {
		own, given = props, ""
	}
	v, problems := Def.Parse(own)
	if len(problems) > 0 {
		return nil, wrong("%s", strings.ReplaceAll(problems[0].Message, "configuration ", "configuration "+given))
	}
	cert, err := tlsstore.KeyPair(given, v)
	if errors.Is(err, tlsstore.ErrNone) {
		return nil, wrong("An https listener needs a certificate: give %sssl.keystore.location, or %sssl.keystore.certificate.chain and %sssl.keystore.key", given, given, given)
	}
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	if err := versions(c, given, v); err != nil {
		return nil, err
	}
	if err := suites(c, given, v); err != nil {
		return nil, err
	}
	return c, clientAuth(c, given, v)
}

func versions(c *tls.Config, given string, v config.Values) error {
	var enabled []uint16
	for _, name := range v.List("ssl.enabled.protocols") {
		n, ok := tlsVersions[name]
		if !ok {
			return wrong("Invalid value %s for configuration %sssl.enabled.protocols: it must be TLSv1.2 or TLSv1.3; older versions are not safe", name, given)
		}
		enabled = append(enabled, n)
	}
	if len(enabled) == 0 {
		return wrong("Invalid value for configuration %sssl.enabled.protocols: at least one of TLSv1.2 and TLSv1.3 is needed", given)
	}
	c.MinVersion, c.MaxVersion = slices.Min(enabled), slices.Max(enabled)
	if p := v.String("ssl.protocol"); p != "" && p != "TLS" {
		n, ok := tlsVersions[p]
		if !ok {
			return wrong("Invalid value %s for configuration %sssl.protocol: it must be TLSv1.2 or TLSv1.3", p, given)
		}
		c.MaxVersion = max(c.MinVersion, min(c.MaxVersion, n))
	}
	return nil
}

func suites(c *tls.Config, given string, v config.Values) error {
	known := map[string]uint16{}
	for _, s := range tls.CipherSuites() {
		known[s.Name] = s.ID
	}
	for _, name := range v.List("ssl.cipher.suites") {
		id, ok := known[name]
		if !ok {
			return wrong("Invalid value %s for configuration %sssl.cipher.suites: it must be one of %s", name, given, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		c.CipherSuites = append(c.CipherSuites, id)
	}
	return nil
}

func clientAuth(c *tls.Config, given string, v config.Values) error {
	auth := v.String("ssl.client.auth")
	if auth == "none" {
		return nil
	}
	trusted, err := tlsstore.Trusted(given, v)
	if err != nil {
		return err
	}
	if len(trusted) == 0 {
		return wrong("ssl.client.auth=%s needs %sssl.truststore.location or %sssl.truststore.certificates: the certificates that sign those of clients", auth, given, given)
	}
	c.ClientCAs = x509.NewCertPool()
	for _, cert := range trusted {
		c.ClientCAs.AddCert(cert)
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if auth == "required" {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return nil
}
