package jdbcurl

import (
	"net/url"
	"strings"
)

// sqlServer reads //host[\instance][:port][/database][;name=value…], values as they are or in braces.
func (u *URL) sqlServer(rest string) bool {
	under, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return false
	}
	where, props, _ := strings.Cut(under, ";")
	if !u.semicolons(props) {
		return false
	}
	where, u.Database, _ = strings.Cut(where, "/")
	number := ""
	if host, port, with := cutLast(where, ":"); with && !strings.HasSuffix(where, "]") {
		where, number = host, ":"+port
	}
	name, instance, _ := strings.Cut(where, `\`)
	u.Instance = u.first(instance, "instanceName", "instance")
	name = u.first(name, "serverName", "server")
	if port := u.first("", "portNumber", "port"); port != "" && number == "" {
		number = ":" + port
	}
	if name == "" {
		name = "localhost"
	}
	host, ok := readHost(name+number, 1433)
	u.Hosts = []Host{host}
	u.Database = u.first(u.Database, "databaseName", "database")
	u.User, u.Password = u.first("", "user", "userName"), u.first("", "password")
	return ok
}

// first is the given text, or the first of the parameters that is set.
func (u *URL) first(given string, names ...string) string {
	for _, n := range names {
		if given == "" {
			given = u.Text(n, "")
		}
	}
	return given
}

// semicolons reads name=value pairs between semicolons; in a value in braces, a closing brace is doubled.
func (u *URL) semicolons(text string) bool {
	for text != "" {
		name, rest, _ := strings.Cut(text, "=")
		if i := strings.IndexByte(name, ';'); i >= 0 { // a name without a value
			name, rest = name[:i], text[i:]
		}
		var value string
		if in, braced := strings.CutPrefix(rest, "{"); braced {
			end := -1
			for i := 0; i < len(in); i++ {
				if in[i] != '}' {
					continue
				}
				if i+1 < len(in) && in[i+1] == '}' {
					i++
					continue
				}
				end = i
				break
			}
			if end < 0 {
				return false
			}
			value, rest = strings.ReplaceAll(in[:end], "}}", "}"), in[end+1:]
			_, text, _ = strings.Cut(rest, ";")
		} else {
			value, text, _ = strings.Cut(rest, ";")
		}
		if name = strings.TrimSpace(name); name != "" {
			u.Params = append(u.Params, Param{name, value})
		}
	}
	return true
}

// oracle reads what stands behind jdbc:oracle: — thin or oci, then [user/password]@ and one of host:port:SID,
// //host:port/service, host:port/service, tcps://host:port/service, (DESCRIPTION=…) and a name that TNS_ADMIN explains.
func (u *URL) oracle(rest string) bool {
	kind, rest, ok := strings.Cut(rest, ":")
	if !ok || !strings.EqualFold(kind, "thin") && !strings.EqualFold(kind, "oci") {
		return false
	}
	who, where, ok := cutFirstUnquoted(rest)
	if !ok {
		return false
	}
	u.User, u.Password, _ = strings.Cut(who, "/")
	u.Password = strings.Trim(u.Password, `"`)
	if strings.HasPrefix(where, "(") {
		u.Descriptor = where
		return true
	}
	where, query, _ := strings.Cut(where, "?")
	if !u.query(query) {
		return false
	}
	if scheme, after, with := strings.Cut(where, "://"); with {
		u.TLS, where = strings.EqualFold(scheme, "tcps"), after
		if !u.TLS && !strings.EqualFold(scheme, "tcp") {
			return false
		}
	}
	where = strings.TrimPrefix(where, "//")
	address, service, _ := strings.Cut(where, "/")
	host, after := address, ""
	if !strings.HasPrefix(address, "[") {
		host, after, _ = strings.Cut(address, ":")
	} else if end := strings.IndexByte(address, ']'); end > 0 {
		host, after = address[:end+1], strings.TrimPrefix(address[end+1:], ":")
	}
	port, sid, _ := strings.Cut(after, ":")
	if service == "" && after == "" { // a name
		u.Descriptor = host
		return host != ""
	}
	if port != "" {
		host += ":" + port
	}
	h, ok := readHost(host, 1521)
	service, _, _ = strings.Cut(service, ":") // the kind of server
	decoded, err := url.PathUnescape(service)
	u.Hosts, u.Database, u.SID = []Host{h}, decoded, sid
	return ok && err == nil && (service != "" || sid != "")
}

// cutFirstUnquoted cuts at the @ before the address; one inside the password's quotes does not count.
func cutFirstUnquoted(s string) (before, after string, ok bool) {
	quoted := false
	for i, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '@' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
