// Package tlsstore reads certificates and keys out of Kafka's ssl.* properties: from JKS, PKCS12 and PEM files, or as PEM text
// in the properties themselves.
package tlsstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
)

// ErrNone says that no certificate is configured.
var ErrNone = errors.New("no certificate is configured")

func wrong(format string, args ...any) error {
	return connecterr.New(connecterr.Config, format, args...)
}

// The kinds of store, by Kafka's names.
const (
	kindPEM    = "PEM"
	kindPKCS12 = "PKCS12"
	kindJKS    = "JKS"
)

// storeKind tells what a file is. Java reads both its own form and PKCS12 under either name, and so do we.
func storeKind(declared string, content []byte) string {
	switch {
	case strings.EqualFold(declared, kindPEM), declared == "" && bytes.Contains(content, []byte("-----BEGIN ")):
		return kindPEM
	case bytes.HasPrefix(content, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return kindJKS
	}
	return kindPKCS12
}

func checkKind(key, kind string) error {
	switch strings.ToUpper(kind) {
	case "", kindPEM, kindPKCS12, kindJKS:
		return nil
	}
	return wrong("Invalid value %s for configuration %s: it must be PKCS12, JKS or PEM", kind, key)
}

// KeyPair reads the certificate and key that are shown to others; ErrNone where there is none. given is what stands before
// ssl. in the names of the properties, for messages.
func KeyPair(given string, v config.Values) (cert tls.Certificate, err error) {
	chain, key := v.String("ssl.keystore.certificate.chain"), v.String("ssl.keystore.key")
	location := v.String("ssl.keystore.location")
	if err := checkKind(given+"ssl.keystore.type", v.String("ssl.keystore.type")); err != nil {
		return cert, err
	}
	keyPassword := v.String("ssl.key.password")
	switch {
	case chain != "" || key != "":
		if chain == "" || key == "" {
			return cert, wrong("%sssl.keystore.certificate.chain and %sssl.keystore.key must be given together", given, given)
		}
		cert, err = pemPair([]byte(chain), []byte(key), keyPassword)
		if err != nil {
			return cert, wrong("Invalid value for configuration %sssl.keystore.certificate.chain or %sssl.keystore.key: %v", given, given, err)
		}
		return cert, nil
	case location == "":
		return cert, ErrNone
	}
	content, err := os.ReadFile(location) //nolint:gosec // the operator names it
	if err == nil {
		cert, err = storedPair(content, v.String("ssl.keystore.type"), v.String("ssl.keystore.password"), keyPassword)
	}
	if err != nil {
		return cert, wrong("Invalid value %s for configuration %sssl.keystore.location: %v", location, given, err)
	}
	return cert, nil
}

func storedPair(content []byte, declared, password, keyPassword string) (tls.Certificate, error) {
	switch storeKind(declared, content) {
	case kindPEM:
		return pemPair(content, content, keyPassword)
	case kindJKS:
		return jksPair(content, password, keyPassword)
	}
	key, leaf, chain, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		return tls.Certificate{}, storeError(err)
	}
	return pair(key, append([]*x509.Certificate{leaf}, chain...))
}

// storeError says what is wrong with a store without quoting it.
func storeError(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return errors.New("the password of the store is wrong")
	}
	return fmt.Errorf("it can't be read as a key store: %w", err)
}

func pair(key any, chain []*x509.Certificate) (tls.Certificate, error) {
	cert := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	public, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok {
		return cert, errors.New("its private key is of a kind that TLS does not know")
	}
	same := false
	switch p := public.Public().(type) {
	case *rsa.PublicKey:
		same = p.Equal(chain[0].PublicKey)
	case *ecdsa.PublicKey:
		same = p.Equal(chain[0].PublicKey)
	case ed25519.PublicKey:
		same = p.Equal(chain[0].PublicKey)
	}
	if !same {
		return cert, errors.New("the private key does not belong to the first certificate of the chain")
	}
	return cert, nil
}

func pemPair(certs, key []byte, password string) (tls.Certificate, error) {
	block := pemBlock(key, func(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") })
	if block == nil {
		return tls.Certificate{}, errors.New("there is no PRIVATE KEY in PEM form in it")
	}
	switch {
	case block.Headers["DEK-Info"] != "":
		return tls.Certificate{}, errors.New("its private key is encrypted in an old form that is not safe; write it as PKCS #8 (openssl pkcs8 -topk8)")
	case block.Type == "ENCRYPTED PRIVATE KEY":
		key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
		if err != nil {
			return tls.Certificate{}, errors.New("its private key can't be decrypted; is ssl.key.password right?")
		}
		plain, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return tls.Certificate{}, err
		}
		block = &pem.Block{Type: "PRIVATE KEY", Bytes: plain}
	}
	return tls.X509KeyPair(certs, pem.EncodeToMemory(block))
}

func pemBlock(b []byte, want func(*pem.Block) bool) *pem.Block {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil || want(block) {
			return block
		}
	}
}

func jksPair(content []byte, password, keyPassword string) (tls.Certificate, error) {
	ks := keystore.New()
	if err := ks.Load(bytes.NewReader(content), []byte(password)); err != nil {
		return tls.Certificate{}, storeError(err)
	}
	if keyPassword == "" {
		keyPassword = password
	}
	aliases := ks.Aliases()
	slices.Sort(aliases)
	for _, alias := range aliases {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		entry, err := ks.GetPrivateKeyEntry(alias, []byte(keyPassword))
		if err != nil {
			return tls.Certificate{}, storeError(err)
		}
		key, err := x509.ParsePKCS8PrivateKey(entry.PrivateKey)
		if err != nil {
			return tls.Certificate{}, storeError(err)
		}
		var chain []*x509.Certificate
		for _, c := range entry.CertificateChain {
			cert, err := x509.ParseCertificate(c.Content)
			if err != nil {
				return tls.Certificate{}, storeError(err)
			}
			chain = append(chain, cert)
		}
		if len(chain) > 0 {
			return pair(key, chain)
		}
	}
	return tls.Certificate{}, errors.New("there is no private key with a certificate in it")
}

// Trusted reads the certificates that sign those of others; none where none are configured.
func Trusted(given string, v config.Values) ([]*x509.Certificate, error) {
	if text := v.String("ssl.truststore.certificates"); text != "" {
		certs, err := pemCertificates([]byte(text))
		if err != nil {
			return nil, wrong("Invalid value for configuration %sssl.truststore.certificates: %v", given, err)
		}
		return certs, nil
	}
	location := v.String("ssl.truststore.location")
	if location == "" {
		return nil, nil
	}
	if err := checkKind(given+"ssl.truststore.type", v.String("ssl.truststore.type")); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(location) //nolint:gosec // the operator names it
	var certs []*x509.Certificate
	if err == nil {
		certs, err = storedCertificates(content, v.String("ssl.truststore.type"), v.String("ssl.truststore.password"))
	}
	if err != nil {
		return nil, wrong("Invalid value %s for configuration %sssl.truststore.location: %v", location, given, err)
	}
	return certs, nil
}

func storedCertificates(content []byte, declared, password string) (certs []*x509.Certificate, err error) {
	switch storeKind(declared, content) {
	case kindPEM:
		return pemCertificates(content)
	case kindJKS:
		ks := keystore.New()
		if err := ks.Load(bytes.NewReader(content), []byte(password)); err != nil {
			return nil, storeError(err)
		}
		for _, alias := range ks.Aliases() {
			if !ks.IsTrustedCertificateEntry(alias) {
				continue
			}
			entry, err := ks.GetTrustedCertificateEntry(alias)
			if err != nil {
				return nil, storeError(err)
			}
			cert, err := x509.ParseCertificate(entry.Certificate.Content)
			if err != nil {
				return nil, storeError(err)
			}
			certs = append(certs, cert)
		}
	default:
		if certs, err = pkcs12.DecodeTrustStore(content, password); err != nil {
			return nil, storeError(err)
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no trusted certificate in it")
	}
	return certs, nil
}

func pemCertificates(b []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a certificate in it can't be read: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no CERTIFICATE in PEM form in it")
	}
	return certs, nil
}
