package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"encoding/pem"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/millrace/millrace/sdk/connecterr"
)

// sessionAttrs are what targetServerType says, as libpq says it.
var sessionAttrs = map[string]string{"any": "any", "primary": "read-write", "master": "read-write", "secondary": "read-only", "slave": "read-only",
	"prefersecondary": "prefer-standby", "preferslave": "prefer-standby", "preferprimary": "any"}

// postgres makes a connector of what pgjdbc would read.
func postgres(p *params, name string) (driver.Connector, error) {
	hosts, ports := make([]string, len(p.Hosts)), make([]string, len(p.Hosts))
	for i, h := range p.Hosts {
		hosts[i], ports[i] = h.Name, strconv.Itoa(h.Port)
	}
	mode := p.text("", "sslmode")
	if mode == "" && p.flag(false, "ssl") {
		mode = "verify-full"
	}
	if mode == "" {
		mode = "prefer"
	}
	rootCert := p.text("", "sslrootcert")
	if strings.HasSuffix(p.text("", "sslfactory"), ".NonValidatingFactory") && mode != "disable" {
		mode, rootCert = "require", ""
	}
	target := p.text("any", "targetServerType")
	attrs, ok := sessionAttrs[strings.ToLower(target)]
	if !ok {
		return nil, connecterr.New(connecterr.Config, "Parameter targetServerType of the JDBC URL is %s; any, primary, secondary, preferSecondary or preferPrimary is expected", target)
	}
	if name == "" {
		name = "Millrace"
	}
	settings := [][2]string{{"host", strings.Join(hosts, ",")}, {"port", strings.Join(ports, ",")}, {"sslmode", mode}, {"target_session_attrs", attrs},
		{"application_name", p.text(name, "ApplicationName")}, {"connect_timeout", "0"}}
	for _, s := range [][2]string{{"user", p.User}, {"password", p.Password}, {"sslrootcert", rootCert}, {"search_path", p.text("", "currentSchema")}, {"options", p.text("", "options")}} {
		if s[1] != "" {
			settings = append(settings, s)
		}
	}
	database := p.Database
	if database == "" {
		database = p.User // as pgjdbc does
	}
	if database != "" {
		settings = append(settings, [2]string{"dbname", database})
	}
	var dsn strings.Builder
	for _, s := range settings {
		dsn.WriteString(s[0] + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s[1]) + "' ")
	}
	cfg, err := pgx.ParseConfig(dsn.String())
	if err != nil {
		return nil, err
	}
	if cert := p.text("", "sslcert"); cert != "" {
		pair, err := clientCert(cert, p.text("", "sslkey"))
		if err != nil {
			return nil, err
		}
		configs := []*tls.Config{cfg.TLSConfig}
		for _, f := range cfg.Fallbacks {
			configs = append(configs, f.TLSConfig)
		}
		for _, c := range configs {
			if c != nil {
				c.Certificates = []tls.Certificate{pair}
			}
		}
	}
	timeout, err := p.duration(time.Second, 10*time.Second, "connectTimeout")
	if err != nil {
		return nil, err
	}
	silence, err := p.duration(time.Second, 0, "socketTimeout")
	if err != nil {
		return nil, err
	}
	if cfg.ConnectTimeout, err = p.duration(time.Second, 0, "loginTimeout"); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: timeout}
	if p.flag(false, "tcpKeepAlive") {
		dialer.KeepAlive = time.Minute
	}
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil || silence == 0 {
			return c, err
		}
		return &patient{Conn: c, silence: silence}, nil
	}
	p.ignored("stringtype", "prepareThreshold", "preferQueryMode", "defaultRowFetchSize", "reWriteBatchedInserts", "binaryTransfer", "binaryTransferEnable", "binaryTransferDisable",
		"loggerLevel", "loggerFile", "sslpassword", "assumeMinServerVersion", "databaseMetadataCacheFields", "preparedStatementCacheQueries", "preparedStatementCacheSizeMiB", "autosave",
		"cleanupSavepoints", "gssEncMode", "loadBalanceHosts", "hostRecheckSeconds", "readOnly", "cancelSignalTimeout", "logUnclosedConnections", "disableColumnSanitiser", "escapeSyntaxCallMode")
	return stdlib.GetConnector(*cfg), nil
}

// patient is a connection whose reads end when the other side is silent for too long. A deadline of pgx's, which it sets when
// a context ends, is in the past and stays.
type patient struct {
	net.Conn
	silence time.Duration
}

func (c *patient) Read(b []byte) (int, error) {
	t := time.AfterFunc(c.silence, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) }) // on a closed connection there is no read
	defer t.Stop()
	return c.Conn.Read(b)
}

// clientCert reads a certificate and its key, which may be PEM or, as pgjdbc wants it, PKCS#8 in DER.
func clientCert(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, connecterr.Wrap(connecterr.Config, err, "Couldn't read sslcert")
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, connecterr.Wrap(connecterr.Config, err, "Couldn't read sslkey")
	}
	if block, _ := pem.Decode(key); block == nil {
		if _, err := x509.ParsePKCS8PrivateKey(key); err != nil {
			return tls.Certificate{}, connecterr.Wrap(connecterr.Config, err, "sslkey %s is neither PEM nor PKCS#8 in DER without a password", keyFile)
		}
		key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, connecterr.Wrap(connecterr.Config, err, "sslcert %s and sslkey %s don't make a pair", certFile, keyFile)
	}
	return pair, nil
}
