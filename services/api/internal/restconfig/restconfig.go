// Package restconfig is what a worker's configuration says about the REST server, by the property names of Kafka Connect:
// where it listens and with which certificates, who may call it, and which headers answers carry.
//
// Start reading at FromProperties; listeners.go, tls.go, cors.go, headers.go and auth.go have one subject each.
package restconfig

import (
	"crypto/tls"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
)

// Config is the configuration of a REST server.
type Config struct {
	// Listeners are where the routes are served. Empty: the configuration names none.
	Listeners []Listener
	// Admin says where /admin is served.
	Admin Admin

	CORS    *CORS        // nil: off
	Headers []HeaderRule // of every answer
	Users   *Users       // nil: nobody has to log in
}

// Admin says where the routes below /admin are.
type Admin struct {
	Off       bool       // nowhere
	Listeners []Listener // only there; empty and not Off: with the others
}

// BasicAuth is the class that rest.extension.classes names for basic authentication.
const BasicAuth = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension"

// UsersFile is our own key: Kafka Connect has the file in a JAAS configuration.
const UsersFile = "millrace.rest.basic.auth.file"

func text(name, def, doc string) config.Key {
	return config.Key{Name: name, Type: config.String, Default: config.Default(def), Importance: config.Low, Doc: doc}
}

func optional(name string, t config.Type, doc string) config.Key {
	return config.Key{Name: name, Type: t, Importance: config.Low, Doc: doc}
}

// Def is the definition of the properties that are looked at here. Those that begin with ssl. can be given for all
// listeners, or after listeners.https. or admin.listeners.https. for these only.
var Def = &config.Def{Keys: []config.Key{
	optional("listeners", config.List, "URLs to listen on, such as http://127.0.0.1:8083,https://:8443; without a host: every address."),
	optional("admin.listeners", config.List, "Where /admin is served: null: with the rest; empty: nowhere; URLs: only there."),
	optional("rest.advertised.host.name", config.String, "Host in worker_id; else that of a listener, or of the machine."),
	optional("rest.advertised.port", config.Int, "Port in worker_id; else that of a listener."),
	optional("rest.advertised.listener", config.String, "http or https: which listener gives the port of worker_id."),
	text("access.control.allow.origin", "", "Origins whose pages may call the API: regular expressions, comma-separated; * for all; empty: CORS is off."),
	text("access.control.allow.methods", "", "Methods that such pages may use; empty: GET, POST and HEAD."),
	text("response.http.headers.config", "", "Headers of every answer: rules such as add Cache-Control: no-store, comma-separated, a rule with a comma in quotes. Actions: set, add, setDate, addDate."),
	{Name: "rest.extension.classes", Type: config.List, Default: config.Default(""), Importance: config.Low, Doc: "Extensions: " + BasicAuth + " for basic authentication. Others are refused."},
	optional(UsersFile, config.String, "Users of basic authentication: a properties file with lines user=password; an empty file lets everybody in."),
	{Name: "ssl.client.auth", Type: config.String, Default: config.Default("none"), Importance: config.Low, Doc: "Whether clients of HTTPS listeners must show a certificate: required, requested or none.",
		Validators: []config.Rule{config.OneOf("required", "requested", "none")}},
	optional("ssl.keystore.location", config.String, "File with the server's certificate and key: PKCS12, JKS or PEM."),
	optional("ssl.keystore.password", config.Password, "Its password."),
	optional("ssl.keystore.type", config.String, "PKCS12, JKS or PEM; default: what the file is."),
	optional("ssl.keystore.certificate.chain", config.Password, "The certificate chain itself, as PEM text."),
	optional("ssl.keystore.key", config.Password, "The private key itself, as PEM text (PKCS #8)."),
	optional("ssl.key.password", config.Password, "Password of the key, where it has one."),
	optional("ssl.truststore.location", config.String, "File with the certificates that sign those of clients."),
	optional("ssl.truststore.password", config.Password, "Its password."),
	optional("ssl.truststore.type", config.String, "PKCS12, JKS or PEM; default: what the file is."),
	optional("ssl.truststore.certificates", config.Password, "Those certificates themselves, as PEM text."),
	optional("ssl.protocol", config.String, "Newest TLS version: TLSv1.2 or TLSv1.3."),
	{Name: "ssl.enabled.protocols", Type: config.List, Default: config.Default("TLSv1.2,TLSv1.3"), Importance: config.Medium, Doc: "TLS versions that are offered."},
	optional("ssl.cipher.suites", config.List, "Cipher suites of TLS 1.2, by their IANA names; default: Go's choice."),
}}

func wrong(format string, args ...any) error {
	return connecterr.New(connecterr.Config, format, args...)
}

// FromProperties reads a worker's properties. Its errors are of kind connecterr.Config and name the key.
func FromProperties(props map[string]string) (Config, error) {
	v, problems := Def.Parse(props)
	if len(problems) > 0 {
		return Config{}, wrong("%s", problems[0].Message)
	}
	var c Config
	if _, _, err := workerconfig.WorkerID(props, "localhost"); err != nil {
		return Config{}, err
	}
	var err error
	if v.Has("listeners") {
		if c.Listeners, err = parseListeners("listeners", v.List("listeners"), props); err != nil {
			return Config{}, err
		}
		if len(c.Listeners) == 0 {
			return Config{}, wrong("Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443.")
		}
	}
	if v.Has("admin.listeners") {
		if c.Admin.Listeners, err = parseListeners("admin.listeners", v.List("admin.listeners"), props); err != nil {
			return Config{}, err
		}
		c.Admin.Off = len(c.Admin.Listeners) == 0
	}
	if c.CORS, err = newCORS(v.String("access.control.allow.origin"), v.String("access.control.allow.methods")); err != nil {
		return Config{}, err
	}
	if c.Headers, err = parseHeaders(v.String("response.http.headers.config")); err != nil {
		return Config{}, err
	}
	c.Users, err = users(v.List("rest.extension.classes"), v.String(UsersFile))
	return c, err
}

// Authenticated tells whether a listener lets in only those who are known.
func (c Config) Authenticated(l Listener) bool {
	return c.Users != nil && !c.Users.Everybody() || l.TLS != nil && l.TLS.ClientAuth == tls.RequireAndVerifyClientCert
}
