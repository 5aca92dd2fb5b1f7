package connect

import (
	"database/sql/driver"
	"log/slog"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
)

// The keys.
const (
	URLKey      = "connection.url"
	UserKey     = "connection.user"
	PasswordKey = "connection.password"
	ProviderKey = "jdbc.credentials.provider.class"
	DialectKey  = "dialect.name"
	AttemptsKey = "connection.attempts"
	BackoffKey  = "connection.backoff.ms"

	defaultProvider = "io.confluent.connect.jdbc.util.DefaultJdbcCredentialsProvider"
	prefix          = "connection."
)

// Keys are the keys of sink and source, in the sink's order; Order counts from 1.
func Keys(group string) []config.Key {
	keys := []config.Key{
		{Name: URLKey, Type: config.String, Required: true, Importance: config.High, Width: config.WidthLong, DisplayName: "JDBC URL",
			Doc: "JDBC connection URL, such as jdbc:postgresql://host/db, jdbc:mysql://host/db, jdbc:sqlite:file.db, jdbc:sqlserver://host;databaseName=db or jdbc:oracle:thin:@//host/service."},
		{Name: UserKey, Type: config.String, Importance: config.High, Width: config.WidthMedium, DisplayName: "JDBC User", Doc: "JDBC connection user."},
		{Name: PasswordKey, Type: config.Password, Importance: config.High, Width: config.WidthMedium, DisplayName: "JDBC Password", Doc: "JDBC connection password."},
		{Name: ProviderKey, Type: config.Class, Default: config.Default(defaultProvider), Importance: config.Low, Width: config.WidthLong, DisplayName: "JDBC Credentials Provider Class",
			Doc: "Where user and password come from. Only the default provider is there: it takes connection.user and connection.password."},
		{Name: DialectKey, Type: config.String, Default: config.Default(""), Importance: config.Low, Width: config.WidthLong, DisplayName: "Database Dialect",
			Doc: "The dialect; empty: chosen by the URL.", Validators: []config.Rule{config.Enumerator(dialect.Names()...)}, Recommend: config.Recommend(dialect.Names()...)},
		{Name: AttemptsKey, Type: config.Int, Default: config.Default("3"), Importance: config.Low, Width: config.WidthShort, DisplayName: "JDBC connection attempts",
			Doc: "How often a connection is tried.", Validators: []config.Rule{config.AtLeast(1)}},
		{Name: BackoffKey, Type: config.Long, Default: config.Default("10000"), Importance: config.Low, Width: config.WidthShort, DisplayName: "JDBC connection backoff in milliseconds",
			Doc: "Milliseconds between two attempts."},
	}
	for i := range keys {
		keys[i].Group, keys[i].Order = group, i+1
	}
	return keys
}

// Settings say which database, and how it is reached.
type Settings struct {
	URL            string
	User, Password *string // nil: those of the URL
	Dialect        string
	Attempts       int
	Backoff        time.Duration
	Properties     []jdbcurl.Param // for the driver: connection.<name>
	Name           string          // of the connector, for the database's list of sessions
	Log            *slog.Logger
	Policy
}

// Policy is what the operator of the workers decides.
type Policy struct {
	Blocked []string // names of parameters and properties that are forbidden, in any case
	// Files judges the file of a SQLite database; nil: every file. Where it is set, a session can't reach other files either.
	Files func(path string) error
	// Connector makes what connects in place of a database's driver. nil, as outside of tests: the driver connects.
	Connector func(k dialect.Kind, url string) driver.Connector
}

// Read makes settings of a configuration, parsed by def.
func Read(def *config.Def, v config.Values, raw map[string]string) Settings {
	s := Settings{URL: v.String(URLKey), Dialect: v.String(DialectKey), Attempts: int(v.Int(AttemptsKey)), Backoff: time.Duration(v.Int(BackoffKey)) * time.Millisecond, Name: raw["name"]}
	text := func(key string) *string {
		if !v.Has(key) {
			return nil
		}
		t := v.String(key)
		return &t
	}
	s.User, s.Password = text(UserKey), text(PasswordKey)
	for _, key := range sorted(raw) {
		name, ok := strings.CutPrefix(key, prefix)
		if _, known := def.Key(key); ok && !known && name != "" {
			s.Properties = append(s.Properties, jdbcurl.Param{Name: name, Value: raw[key]})
		}
	}
	return s
}

// CheckProvider refuses a provider of credentials that is not there.
func CheckProvider(v config.Values) error {
	if c := v.String(ProviderKey); c != "" && c != defaultProvider {
		return connecterr.New(connecterr.Config, "Invalid value %s for configuration %s: Class %s could not be found. Only %s is there; use config providers for other sources of secrets", c, ProviderKey, c, defaultProvider)
	}
	return nil
}

// check applies the operator's policy.
func (s *Settings) check(u *jdbcurl.URL) error {
	blocked := func(name string) bool {
		for _, b := range s.Blocked {
			if strings.EqualFold(strings.TrimSpace(b), name) {
				return true
			}
		}
		return false
	}
	for _, name := range u.Names() {
		if blocked(name) {
			return connecterr.New(connecterr.Config, "JDBC URL contains blocked connection parameter '%s' which is not permitted by the Connect cluster's configured policy.", name)
		}
	}
	for _, p := range s.Properties {
		if blocked(p.Name) {
			return connecterr.New(connecterr.Config, "JDBC connection property '%s' is not permitted by the Connect cluster's configured policy.", p.Name)
		}
	}
	if u.Sub == "sqlite" && s.Files != nil && !inMemory(u.Database) {
		if err := s.Files(u.Database); err != nil {
			return connecterr.Wrap(connecterr.Config, err, "The file %s of the JDBC URL may not be used", u.Database)
		}
	}
	return nil
}

func inMemory(file string) bool { return file == "" || file == ":memory:" }
