// Package jdbcurl reads the URLs that Java's database drivers take, since people have them in their configurations, and shows
// them without their secrets.
package jdbcurl

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Host is a server's address.
type Host struct {
	Name string
	Port int
}

// URL is a JDBC URL, read.
type URL struct {
	Sub            string // the sub-protocol: postgresql, mysql, mariadb, sqlite, sqlserver, oracle
	Hosts          []Host
	Database       string // or a file's name; of Oracle the service
	Instance       string // of SQL Server
	SID            string // of Oracle, in the form host:port:SID
	Descriptor     string // of Oracle: (DESCRIPTION=…) or the name of one
	TLS            bool   // of Oracle: tcps
	User, Password string
	Params         []Param // in their order, values decoded
}

// Param is a parameter of a URL or a driver's property.
type Param struct{ Name, Value string }

// Get is the last value of a parameter whose name matches in any case.
func (u *URL) Get(name string) (value string, ok bool) {
	for _, p := range u.Params {
		if strings.EqualFold(p.Name, name) {
			value, ok = p.Value, true
		}
	}
	return value, ok
}

// Text is Get with a default.
func (u *URL) Text(name, absent string) string {
	if v, ok := u.Get(name); ok {
		return v
	}
	return absent
}

// Flag is a parameter that is true or not.
func (u *URL) Flag(name string, absent bool) bool {
	v, ok := u.Get(name)
	if !ok {
		return absent
	}
	return strings.EqualFold(v, "true") || strings.EqualFold(v, "yes") || v == "1"
}

var form = regexp.MustCompile(`^(?i:jdbc):((?i:(?:microsoft|jtds):sqlserver)|[a-zA-Z0-9+]+):(?s:(.*))$`)

// Parse reads a URL. Errors show it without its secrets.
func Parse(text string) (*URL, error) {
	m := form.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return nil, connecterr.New(connecterr.Config, "Not a valid JDBC URL: %s", Mask(text))
	}
	u := &URL{Sub: strings.ToLower(m[1])}
	var ok bool
	switch u.Sub {
	case "postgresql":
		ok = u.server(m[2], 5432)
	case "mysql", "mysql+srv", "mariadb":
		rest := m[2]
		if !strings.HasPrefix(rest, "//") { // loadbalance:, replication:, sequential: …
			_, rest, _ = strings.Cut(rest, ":")
		}
		u.Sub = strings.TrimSuffix(u.Sub, "+srv")
		ok = u.server(rest, 3306)
	case "sqlite":
		ok = u.file(m[2])
	case "sqlserver", "microsoft:sqlserver", "jtds:sqlserver":
		ok = u.sqlServer(m[2])
		u.Sub = "sqlserver"
	case "oracle":
		ok = u.oracle(m[2])
	default:
		return nil, connecterr.New(connecterr.Config, "No driver is available for JDBC URL: %s", Mask(text))
	}
	if !ok {
		return nil, connecterr.New(connecterr.Config, "Not a valid JDBC URL: %s", Mask(text))
	}
	return u, nil
}

// server reads //host:port,host:port/database?parameters, or database?parameters.
func (u *URL) server(rest string, port int) bool {
	rest, query, _ := strings.Cut(rest, "?")
	if !u.query(query) {
		return false
	}
	hosts := ""
	if under, ok := strings.CutPrefix(rest, "//"); ok {
		hosts, rest, _ = strings.Cut(under, "/")
		if who, where, ok := cutLast(hosts, "@"); ok {
			hosts = where
			u.User, u.Password, _ = strings.Cut(who, ":")
			var bad1, bad2 error
			u.User, bad1 = url.QueryUnescape(u.User)
			u.Password, bad2 = url.QueryUnescape(u.Password)
			if bad1 != nil || bad2 != nil {
				return false
			}
		}
	}
	var err error
	if u.Database, err = url.PathUnescape(strings.TrimPrefix(rest, "/")); err != nil {
		return false
	}
	if hosts == "" {
		hosts = "localhost"
	}
	for h := range strings.SplitSeq(hosts, ",") {
		one, ok := readHost(h, port)
		if !ok {
			return false
		}
		u.Hosts = append(u.Hosts, one)
	}
	if v, ok := u.Get("user"); ok {
		u.User = v
	}
	if v, ok := u.Get("password"); ok {
		u.Password = v
	}
	return true
}

func readHost(text string, port int) (Host, bool) {
	name, number, ok := cutLast(text, ":")
	if !ok || strings.HasSuffix(text, "]") { // no port, or an IPv6 address without one
		return Host{strings.Trim(text, "[]"), port}, true
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if name == "" {
		name = "localhost"
	}
	return Host{strings.Trim(name, "[]"), int(n)}, err == nil && n > 0
}

func cutLast(text, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// query reads name=value pairs between ampersands.
func (u *URL) query(text string) bool {
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return false
		}
		u.Params = append(u.Params, Param{n, v})
	}
	return true
}

// file reads a SQLite file's name with parameters.
func (u *URL) file(rest string) bool {
	name, query, _ := strings.Cut(rest, "?")
	if path, ok := strings.CutPrefix(name, "file:"); ok { // SQLite's own URI; what is checked shall be what is opened
		if after, ok := strings.CutPrefix(path, "//"); ok {
			_, after, _ = strings.Cut(after, "/")
			path = "/" + after
		}
		path, _, _ = strings.Cut(path, "#")
		clear, err := url.PathUnescape(path)
		if err != nil || strings.HasPrefix(clear, "file:") {
			return false
		}
		name = clear
	}
	u.Database = name
	return !strings.ContainsAny(name, "?\x00") && u.query(query)
}

// Names are the names of the URL's parameters, as they stand.
func (u *URL) Names() []string {
	names := make([]string, len(u.Params))
	for i, p := range u.Params {
		names[i] = p.Name
	}
	return names
}

var (
	secretParam = regexp.MustCompile(`(?i)([?&;,(]?[^?&;,(=\s]*(?:password|secret|token|passphrase)[^?&;,(=\s]*=)[^&;,)\s]*`)
	beforeHost  = regexp.MustCompile(`//[^/?@\s]*@`)
	beforeAt    = regexp.MustCompile(`(:)[^:/@\s]+/[^@\s]+@`)
)

// Mask shows a text that may be, or hold, a JDBC URL without its secrets.
func Mask(text string) string {
	text = secretParam.ReplaceAllString(text, "${1}****")
	text = beforeHost.ReplaceAllString(text, "//****@")
	return beforeAt.ReplaceAllString(text, "${1}****@")
}
