package restconfig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate that by signs; nil: itself.
func issue(t *testing.T, name string, by *issued) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<40))
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return issued{cert, key}
}

func (i issued) certPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw}))
}

func (i issued) keyDER(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	require.NoError(t, err)
	return der
}

func (i issued) keyPEM(t *testing.T) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: i.keyDER(t)}))
}

func (i issued) encryptedKeyPEM(t *testing.T, password string) string {
	t.Helper()
	der, err := pkcs8.MarshalPrivateKey(i.key, []byte(password), nil)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
}

// write writes a file and returns its path.
func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func javaStore(t *testing.T, add func(*keystore.KeyStore)) string {
	t.Helper()
	ks := keystore.New()
	add(&ks)
	var b bytes.Buffer
	require.NoError(t, ks.Store(&b, []byte("secret")))
	return write(t, b.Bytes())
}

// shake makes a handshake with the listener's configuration; the error is the client's and the server's.
func shake(t *testing.T, server *tls.Config, client *tls.Config) (state tls.ConnectionState, err error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(10 * time.Second)
	require.NoError(t, a.SetDeadline(deadline))
	require.NoError(t, b.SetDeadline(deadline))
	done := make(chan error, 1)
	go func() {
		s := tls.Server(b, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		done <- err
		_ = b.Close()
	}()
	c := tls.Client(a, client)
	err = c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // with TLS 1.3 a refused certificate shows here
	}
	_ = a.Close()
	return c.ConnectionState(), errors.Join(err, <-done)
}

func TestTLS_every_form_of_key_store_serves(t *testing.T) {
	t.Parallel()
	ca := issue(t, "ca", nil)
	host := issue(t, "localhost", &ca)
	chain := host.certPEM() + ca.certPEM()
	p12, err := pkcs12.Modern.Encode(host.key, host.cert, []*x509.Certificate{ca.cert}, "secret")
	require.NoError(t, err)
	jks := javaStore(t, func(ks *keystore.KeyStore) {
		require.NoError(t, ks.SetPrivateKeyEntry("host", keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: host.keyDER(t),
			CertificateChain: []keystore.Certificate{{Type: "X509", Content: host.cert.Raw}, {Type: "X509", Content: ca.cert.Raw}}}, []byte("secret")))
	})
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for name, keys := range map[string]map[string]string{
		"PKCS12":              {"ssl.keystore.location": write(t, p12), "ssl.keystore.password": "secret", "ssl.keystore.type": "PKCS12"},
		"PKCS12 called JKS":   {"ssl.keystore.location": write(t, p12), "ssl.keystore.password": "secret", "ssl.keystore.type": "JKS"},
		"PKCS12 by itself":    {"ssl.keystore.location": write(t, p12), "ssl.keystore.password": "secret"},
		"JKS":                 {"ssl.keystore.location": jks, "ssl.keystore.password": "secret", "ssl.key.password": "secret"},
		"PEM file":            {"ssl.keystore.location": write(t, []byte(host.keyPEM(t)+chain)), "ssl.keystore.type": "PEM"},
		"PEM text":            {"ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": chain, "ssl.keystore.key": host.keyPEM(t)},
		"encrypted PEM":       {"ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": chain, "ssl.keystore.key": host.encryptedKeyPEM(t, "k"), "ssl.key.password": "k"},
		"TLS 1.2":             {"ssl.keystore.certificate.chain": chain, "ssl.keystore.key": host.keyPEM(t), "ssl.enabled.protocols": "TLSv1.2", "ssl.cipher.suites": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		"newest version":      {"ssl.keystore.certificate.chain": chain, "ssl.keystore.key": host.keyPEM(t), "ssl.protocol": "TLSv1.2"},
		"truststore unneeded": {"ssl.keystore.certificate.chain": chain, "ssl.keystore.key": host.keyPEM(t), "ssl.truststore.location": "/none"},
	} {
		for _, prefix := range []string{"", "listeners.https."} {
			t.Run(strings.TrimSpace(name+" "+prefix), func(t *testing.T) {
				t.Parallel()
				props := map[string]string{"listeners": "http://localhost:0,https://localhost:0"}
				for k, v := range keys {
					props[prefix+k] = v
				}
				c, err := FromProperties(props)
				require.NoError(t, err)
				require.Nil(t, c.Listeners[0].TLS)
				require.Equal(t, "https", c.Listeners[1].Scheme())
				state, err := shake(t, c.Listeners[1].TLS, &tls.Config{RootCAs: roots, ServerName: "localhost"})
				require.NoError(t, err)
				require.Equal(t, strings.Contains(name, "1.2") || name == "newest version", state.Version == tls.VersionTLS12)
			})
		}
	}
}

func TestTLS_clients_show_certificates_where_they_must(t *testing.T) {
	t.Parallel()
	ca, other := issue(t, "ca", nil), issue(t, "other", nil)
	host, good, bad := issue(t, "localhost", &ca), issue(t, "client", &ca), issue(t, "client", &other)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	trust, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.cert}, "secret")
	require.NoError(t, err)
	jks := javaStore(t, func(ks *keystore.KeyStore) {
		require.NoError(t, ks.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: ca.cert.Raw}}))
	})
	for store, keys := range map[string]map[string]string{
		"PEM":    {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": ca.certPEM()},
		"file":   {"ssl.truststore.location": write(t, []byte(ca.certPEM()))},
		"PKCS12": {"ssl.truststore.location": write(t, trust), "ssl.truststore.password": "secret"},
		"JKS":    {"ssl.truststore.location": jks, "ssl.truststore.password": "secret", "ssl.truststore.type": "JKS"},
	} {
		for _, c := range []struct {
			auth   string
			client *issued
			ok     bool
		}{
			{"none", nil, true}, {"none", &bad, true},
			{"requested", nil, true}, {"requested", &good, true}, {"requested", &bad, false},
			{"required", nil, false}, {"required", &good, true}, {"required", &bad, false},
		} {
			props := map[string]string{"listeners": "https://localhost:0", "ssl.client.auth": c.auth, "ssl.keystore.certificate.chain": host.certPEM(), "ssl.keystore.key": host.keyPEM(t)}
			maps.Copy(props, keys)
			cfg, err := FromProperties(props)
			require.NoError(t, err, store)
			require.Equal(t, c.auth == "required", cfg.Authenticated(cfg.Listeners[0]))
			client := &tls.Config{RootCAs: roots, ServerName: "localhost"}
			if c.client != nil {
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &tls.Certificate{Certificate: [][]byte{c.client.cert.Raw}, PrivateKey: c.client.key}, nil
				}
			}
			_, err = shake(t, cfg.Listeners[0].TLS, client)
			require.Equal(t, c.ok, err == nil, "%s %+v: %v", store, c, err)
		}
	}
}

func TestTLS_refuses_with_the_key_and_without_the_secret(t *testing.T) {
	t.Parallel()
	ca := issue(t, "ca", nil)
	host, stranger := issue(t, "localhost", &ca), issue(t, "localhost", &ca)
	p12, err := pkcs12.Modern.Encode(host.key, host.cert, nil, "secret")
	require.NoError(t, err)
	pair := map[string]string{"ssl.keystore.certificate.chain": host.certPEM(), "ssl.keystore.key": host.keyPEM(t)}
	with := func(more ...string) map[string]string {
		m := maps.Clone(pair)
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		keys map[string]string
		want string
	}{
		"wrong password":         {map[string]string{"ssl.keystore.location": write(t, p12), "ssl.keystore.password": "hush"}, "the password of the store is wrong"},
		"no file":                {map[string]string{"ssl.keystore.location": "/none/there"}, "Invalid value /none/there for configuration ssl.keystore.location"},
		"no store":               {map[string]string{"ssl.keystore.location": write(t, []byte("hush"))}, "can't be read as a key store"},
		"half a Java store":      {map[string]string{"ssl.keystore.location": write(t, []byte{0xfe, 0xed, 0xfe, 0xed, 0}), "ssl.keystore.password": "hush"}, "can't be read as a key store"},
		"PEM without a key":      {map[string]string{"ssl.keystore.location": write(t, []byte(host.certPEM()))}, "no PRIVATE KEY"},
		"only a chain":           {map[string]string{"ssl.keystore.certificate.chain": host.certPEM()}, "must be given together"},
		"another key":            {with("ssl.keystore.key", stranger.keyPEM(t)), "private key does not match"},
		"encrypted, no password": {with("ssl.keystore.key", host.encryptedKeyPEM(t, "hush")), "is ssl.key.password right?"},
		"a type":                 {map[string]string{"ssl.keystore.location": "/x", "ssl.keystore.type": "BKS"}, "Invalid value BKS for configuration ssl.keystore.type"},
		"a version":              {with("ssl.enabled.protocols", "TLSv1"), "ssl.enabled.protocols"},
		"no version":             {with("ssl.enabled.protocols", ""), "at least one of"},
		"a suite":                {with("ssl.cipher.suites", "TLS_NULL"), "ssl.cipher.suites"},
		"client auth":            {with("ssl.client.auth", "required"), "ssl.truststore.location"},
		"trust in nothing":       {with("ssl.client.auth", "required", "ssl.truststore.certificates", "hush"), "no CERTIFICATE"},
		"a prefixed one":         {map[string]string{"listeners.https.ssl.client.auth": "hush2"}, "configuration listeners.https.ssl.client.auth"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			props := maps.Clone(c.keys)
			props["listeners"] = "https://localhost:0"
			_, err := FromProperties(props)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, strings.ReplaceAll(err.Error(), "hush2", ""), "hush")
			require.NotContains(t, err.Error(), "BEGIN")
		})
	}
}
