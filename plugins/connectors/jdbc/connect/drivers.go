package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	mssql "github.com/microsoft/go-mssqldb"
	oracle "github.com/sijms/go-ora/v2"
	"modernc.org/sqlite"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
)

// connectorOf makes the connector of a database's driver.
func connectorOf(k dialect.Kind, p *params, name string) (driver.Connector, error) {
	switch k {
	case dialect.PostgreSQL:
		return postgres(p, name)
	case dialect.MySQL:
		return mysqlConnector(p, name)
	case dialect.SQLite:
		return sqliteConnector(p)
	case dialect.SQLServer:
		return sqlServerConnector(p, name)
	case dialect.Oracle:
		return oracleConnector(p)
	}
	return nil, connecterr.New(connecterr.Config, "no driver for dialect %d", k)
}

// mysqlConnector makes a connector of what Connector/J or MariaDB's driver would read.
func mysqlConnector(p *params, name string) (driver.Connector, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.DBName = p.User, p.Password, "tcp", p.Database
	cfg.InterpolateParams = true // a statement costs one round trip, and none has to be prepared
	cfg.ClientFoundRows = true   // as in Java
	cfg.MaxAllowedPacket = 0     // what the server takes
	cfg.Logger = &mysql.NopLogger{}
	cfg.ConnectionAttributes = "program_name:" + strings.NewReplacer(",", " ", ":", " ").Replace(name)
	var err error
	if cfg.Timeout, err = p.duration(time.Millisecond, 0, "connectTimeout"); err != nil {
		return nil, err
	}
	if cfg.ReadTimeout, err = p.duration(time.Millisecond, 0, "socketTimeout"); err != nil {
		return nil, err
	}
	cfg.WriteTimeout = cfg.ReadTimeout
	if cfg.TLS, cfg.AllowFallbackToPlaintext, err = mysqlTLS(p); err != nil {
		return nil, err
	}
	cfg.Params = map[string]string{}
	for _, set := range settings(p.text("", "sessionVariables")) {
		if n, v, ok := strings.Cut(set, "="); ok {
			cfg.Params[strings.TrimPrefix(strings.TrimSpace(n), "@@")] = strings.TrimSpace(v)
		}
	}
	if p.flag(true, "jdbcCompliantTruncation") {
		strictMode(cfg.Params, p.Sub == "mariadb")
	}
	p.ignored("allowPublicKeyRetrieval", "serverTimezone", "connectionTimeZone", "timezone", "zeroDateTimeBehavior", "tinyInt1isBit", "transformedBitIsBoolean", "yearIsDateType",
		"nullDatabaseMeansCurrent", "nullCatalogMeansCurrent", "characterEncoding", "useUnicode", "useCursorFetch", "rewriteBatchedStatements", "cachePrepStmts", "useServerPrepStmts",
		"prepStmtCacheSize", "prepStmtCacheSqlLimit", "autoReconnect", "useLegacyDatetimeCode", "useInformationSchema", "useBulkStmts", "usePipelineAuth", "useBatchMultiSend")
	list := make([]driver.Connector, len(p.Hosts))
	for i, h := range p.Hosts {
		one := cfg.Clone()
		one.Addr = net.JoinHostPort(h.Name, strconv.Itoa(h.Port))
		if one.TLS != nil && one.TLS.ServerName == "" {
			one.TLS.ServerName = h.Name
		}
		if list[i], err = mysql.NewConnector(one); err != nil {
			return nil, err
		}
	}
	return firstOf(list), nil
}

// settings are the parts of sessionVariables, between commas or semicolons that are in no quotes and no parentheses, as for Java's
// drivers.
func settings(text string) (parts []string) {
	from := 0
	for i, c := range dialect.Outermost(text) {
		if c == ',' || c == ';' {
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}

// strictMode asks for errors where values do not fit, whatever the server's mode, as Java's drivers do. A mode among the session's
// variables is added to by MySQL's, and left alone by MariaDB's.
func strictMode(variables map[string]string, mariaDB bool) {
	mode := "@@sql_mode"
	for n, v := range variables {
		if strings.EqualFold(n, "sql_mode") {
			if mariaDB {
				return
			}
			mode = v
			delete(variables, n)
		}
	}
	variables["sql_mode"] = "CONCAT(" + mode + ",',STRICT_TRANS_TABLES')"
}

// mysqlTLS reads the parameters about TLS; fallback: without it, if the server has none.
func mysqlTLS(p *params) (c *tls.Config, fallback bool, err error) {
	mode := strings.ToUpper(strings.ReplaceAll(p.text("", "sslMode"), "-", "_"))
	if mode == "" {
		switch use, given := p.lookup("useSSL"); {
		case p.flag(false, "requireSSL") || given && p.flag(false, "useSSL"):
			mode = "REQUIRED"
			if p.flag(false, "verifyServerCertificate") {
				mode = "VERIFY_CA"
			}
		case given && use != "":
			mode = "DISABLED"
		case p.Sub == "mariadb":
			mode = "DISABLED"
		default:
			mode = "PREFERRED"
		}
	}
	c = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // what the modes without verification ask for
	if file := p.text("", "serverSslCert"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, false, connecterr.Wrap(connecterr.Config, err, "Couldn't read serverSslCert")
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, false, connecterr.New(connecterr.Config, "serverSslCert %s has no certificate in PEM", file)
		}
	}
	for _, store := range []string{"trustCertificateKeyStoreUrl", "clientCertificateKeyStoreUrl"} {
		if v, ok := p.lookup(store); ok {
			return nil, false, connecterr.New(connecterr.Config, "%s=%s: Java key stores can't be read for MySQL; give the CA as PEM in serverSslCert", store, v)
		}
	}
	switch mode {
	case "DISABLED", "DISABLE", "FALSE":
		return nil, false, nil
	case "PREFERRED":
		return c, true, nil
	case "REQUIRED", "TRUST":
	case "VERIFY_CA":
		c.VerifyConnection = verifyChain(c.RootCAs)
	case "VERIFY_IDENTITY", "VERIFY_FULL", "TRUE":
		c.InsecureSkipVerify = false
	default:
		return nil, false, connecterr.New(connecterr.Config, "Parameter sslMode of the JDBC URL is %s; DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY is expected", mode)
	}
	return c, false, nil
}

// verifyChain checks who signed a certificate and not whose it is.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the server has no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}

// firstOf connects to the first that answers.
type firstOf []driver.Connector

func (f firstOf) Connect(ctx context.Context) (driver.Conn, error) {
	var all error
	for _, c := range f {
		conn, err := c.Connect(ctx)
		if err == nil {
			return conn, nil
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

func (f firstOf) Driver() driver.Driver { return f[0].Driver() }

var word = regexp.MustCompile(`^-?\w+$`)

func sqliteConnector(p *params) (driver.Connector, error) {
	busy := p.text("3000", "busy_timeout")
	if _, err := strconv.Atoi(busy); err != nil {
		return nil, connecterr.New(connecterr.Config, "Parameter busy_timeout of the JDBC URL is %s; a number of milliseconds is expected", busy)
	}
	query := url.Values{"_pragma": {"busy_timeout(" + busy + ")"}}
	for _, pragma := range []string{"foreign_keys", "journal_mode", "synchronous", "cache_size"} {
		if v, ok := p.lookup(pragma); ok {
			if !word.MatchString(v) { // it becomes a statement
				return nil, connecterr.New(connecterr.Config, "Parameter %s of the JDBC URL is %s; a word or a number is expected", pragma, v)
			}
			query.Add("_pragma", pragma+"("+v+")")
		}
	}
	for _, known := range []string{"mode", "cache", "immutable"} { // of SQLite's own URIs
		if v, ok := p.lookup(known); ok {
			query.Add(known, v)
		}
	}
	p.ignored("date_class", "date_precision", "date_string_format")
	return sqlite.NewConnector(p.Database + "?" + query.Encode())
}

func sqlServerConnector(p *params, name string) (driver.Connector, error) {
	h := p.Hosts[0]
	u := url.URL{Scheme: "sqlserver", Host: net.JoinHostPort(h.Name, strconv.Itoa(h.Port)), Path: p.Instance}
	token := p.text("", "accessToken")
	if p.User != "" {
		u.User = url.UserPassword(p.User, p.Password)
	} else if token == "" {
		token = p.Password
	}
	if p.Instance != "" && !strings.Contains(strings.Join(p.Names(), ","), "port") && h.Port == 1433 {
		u.Host = h.Name // the browser service tells the port
	}
	q := url.Values{"app name": {p.text(name, "applicationName")}}
	for _, m := range [][3]string{{"encrypt", "encrypt", "true"}, {"trustServerCertificate", "TrustServerCertificate", "false"}, {"hostNameInCertificate", "hostNameInCertificate", ""},
		{"serverCertificate", "certificate", ""}, {"applicationIntent", "ApplicationIntent", ""}, {"multiSubnetFailover", "MultiSubnetFailover", ""}, {"loginTimeout", "dial timeout", ""},
		{"workstationID", "workstation id", ""}, {"packetSize", "packet size", ""}, {"failoverPartner", "failoverpartner", ""}} {
		if v := p.text(m[2], m[0]); v != "" {
			q.Set(m[1], v)
		}
	}
	database := p.Database
	if database == "" {
		database = p.text("", "databaseName", "database")
	}
	if database != "" {
		q.Set("database", database)
	}
	for _, store := range []string{"trustStore", "authentication"} {
		if v, ok := p.lookup(store); ok && v != "" && v != "NotSpecified" && v != "SqlPassword" {
			return nil, connecterr.New(connecterr.Config, "%s=%s of the JDBC URL is not supported: give the certificate as PEM in serverCertificate, a token in connection.accessToken", store, v)
		}
	}
	idle, err := p.duration(time.Millisecond, 0, "socketTimeout")
	if err != nil {
		return nil, err
	}
	if idle > 0 { // the driver counts seconds
		q.Set("connection timeout", strconv.Itoa(int((idle+time.Second-1)/time.Second)))
	}
	p.ignored("databaseName", "database", "serverName", "server", "portNumber", "port", "instanceName", "instance", "selectMethod", "responseBuffering", "sendStringParametersAsUnicode",
		"integratedSecurity", "authenticationScheme", "lockTimeout", "queryTimeout", "sendTimeAsDatetime", "useBulkCopyForBatchInsert")
	u.RawQuery = q.Encode()
	if token != "" {
		return mssql.NewAccessTokenConnector(u.String(), func() (string, error) { return token, nil })
	}
	return mssql.NewConnector(u.String())
}

func oracleConnector(p *params) (driver.Connector, error) {
	options := map[string]string{}
	if p.TLS {
		options["SSL"] = "true"
		options["SSL VERIFY"] = strconv.FormatBool(p.flag(true, "oracle.net.ssl_server_dn_match"))
	}
	if t := p.text("", "oracle.net.CONNECT_TIMEOUT"); t != "" {
		options["CONNECTION TIMEOUT"] = t
	}
	idle, err := p.duration(time.Millisecond, 0, "oracle.jdbc.ReadTimeout")
	if err != nil {
		return nil, err
	}
	if idle > 0 {
		options["TIMEOUT"] = strconv.Itoa(int((idle + time.Second - 1) / time.Second))
	}
	if w := p.text("", "oracle.net.wallet_location"); w != "" {
		options["WALLET"] = w
	}
	if p.Descriptor != "" {
		if !strings.HasPrefix(p.Descriptor, "(") {
			return nil, connecterr.New(connecterr.Config, "The net service name %s of the JDBC URL can't be resolved: write its (DESCRIPTION=…) or host:port/service", p.Descriptor)
		}
		return oracle.NewConnector(oracle.BuildJDBC(p.User, p.Password, p.Descriptor, options)), nil
	}
	if p.SID != "" {
		options["SID"] = p.SID
	}
	return oracle.NewConnector(oracle.BuildUrl(p.Hosts[0].Name, p.Hosts[0].Port, p.Database, p.User, p.Password, options)), nil
}
