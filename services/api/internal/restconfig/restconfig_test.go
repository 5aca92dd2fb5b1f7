package restconfig

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFromProperties_refuses_with_the_key_and_what_was_expected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key, value string
		want       string
	}{
		"no listener":         {"listeners", "", "Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443."},
		"an empty one":        {"listeners", "http://:1, ,http://:2", "Empty URL found when parsing listeners list."},
		"an empty admin one":  {"admin.listeners", "http://:1,,", "Empty URL found when parsing admin.listeners list."},
		"no scheme":           {"listeners", "localhost:8083", "Invalid value localhost:8083 for configuration listeners"},
		"another scheme":      {"listeners", "ftp://localhost:8083", "its scheme must be http or https"},
		"a port":              {"listeners", "http://localhost:70000", "port 70000"},
		"no port":             {"listeners", "http://localhost", "http://host:port"},
		"no certificate":      {"listeners", "https://localhost:1", "An https listener needs a certificate: give ssl.keystore.location"},
		"an origin":           {"access.control.allow.origin", "http://(", "access.control.allow.origin"},
		"an extension":        {"rest.extension.classes", "org.example.Auth", "Class org.example.Auth could not be found"},
		"no users":            {"rest.extension.classes", BasicAuth, UsersFile},
		"users for nothing":   {UsersFile, "/x", "rest.extension.classes does not ask for a login"},
		"client auth":         {"ssl.client.auth", "maybe", "ssl.client.auth"},
		"a port that is none": {"rest.advertised.port", "x", "Invalid value x for configuration rest.advertised.port"},
		"an advertised one":   {"rest.advertised.listener", "ftp", "rest.advertised.listener"},
		"a header":            {"response.http.headers.config", "set", "Invalid format of header config 'set'. Expected: '[action] [header name]:[header value]'"},
		"an action":           {"response.http.headers.config", "put A: b", "Invalid header config action: 'put'. Expected one of [set, add, setDate, addDate]"},
		"a pair":              {"response.http.headers.config", "set A", "Invalid format of header name and header value pair 'A'. Expected: '[header name]:[header value]'"},
		"a header's name":     {"response.http.headers.config", "set A B: c", "Invalid header name 'A B'. The '[header name]' cannot contain whitespace"},
		"an empty name":       {"response.http.headers.config", "set : c", "Invalid header name ''. The '[header name]' cannot contain whitespace"},
		"a date":              {"response.http.headers.config", "setDate A: soon", "a number of milliseconds"},
		"a line break":        {"response.http.headers.config", "set A: b\nC: d", "control character"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := FromProperties(map[string]string{c.key: c.value})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestFromProperties_listeners(t *testing.T) {
	t.Parallel()
	c, err := FromProperties(map[string]string{"listeners": "http://:8083, HTTP://127.0.0.1:0,http://[::1]:9/"})
	require.NoError(t, err)
	var addresses []string
	for _, l := range c.Listeners {
		require.Equal(t, "http", l.Scheme())
		addresses = append(addresses, l.Address)
	}
	require.Equal(t, []string{":8083", "127.0.0.1:0", "[::1]:9"}, addresses)
	require.Equal(t, Admin{}, c.Admin)

	c, err = FromProperties(map[string]string{"admin.listeners": "", "unknown.key": "x"})
	require.NoError(t, err)
	require.Empty(t, c.Listeners)
	require.True(t, c.Admin.Off)
	c, err = FromProperties(map[string]string{"admin.listeners": "http://localhost:1"})
	require.NoError(t, err)
	require.False(t, c.Admin.Off)
	require.Len(t, c.Admin.Listeners, 1)
}

func TestCORS_origins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		origins, methods string
		yes, no          []string
		says             string
	}{
		{"*", "", []string{"http://bar.com", "null", "", "a b"}, nil, "GET,POST,HEAD"},
		{"http://good.example, https://*.wild.example", "PUT, DELETE",
			[]string{"http://good.example", "HTTP://GOOD.example", "http://goodXexample", "https://wild.example", "https:///wild.example", "https://Xwild.example"},
			[]string{"http://good.example/", "xhttp://good.example", "http://good.example:80", "https://a.wild.example", "https://good.example", "null", ""}, "PUT,DELETE"},
		{"http://a|http://b", "", []string{"http://a", "http://b"}, []string{"http://ab", "xhttp://b", "http://ax"}, "GET,POST,HEAD"},
		{"http://a,*", "", []string{"anything"}, nil, "GET,POST,HEAD"},
	} {
		got, err := newCORS(c.origins, c.methods)
		require.NoError(t, err)
		require.Equal(t, c.says, got.Methods)
		for _, o := range c.yes {
			require.True(t, got.Allowed(o), "%s: %q", c.origins, o)
		}
		for _, o := range c.no {
			require.False(t, got.Allowed(o), "%s: %q", c.origins, o)
		}
	}
	off, err := newCORS("  ", "PUT")
	require.NoError(t, err)
	require.Nil(t, off)
}

func TestHeaders_rules(t *testing.T) {
	t.Parallel()
	rules, err := parseHeaders(`add X-XSS-Protection: 1; mode=block, "add Cache-Control: no-cache, no-store, must-revalidate", SET X:http://a:1/,setDate Expires: 60000,addDate Date2: -1000,`)
	require.NoError(t, err)
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.FixedZone("x", 3600))
	type shown struct {
		name, value string
		add         bool
	}
	var got []shown
	for _, r := range rules {
		got = append(got, shown{r.Name, r.Value(now), r.Add})
	}
	require.Equal(t, []shown{{"X-XSS-Protection", "1; mode=block", true}, {"Cache-Control", "no-cache, no-store, must-revalidate", true}, {"X", "http://a:1/", false},
		{"Expires", "Sat, 01 Aug 2026 11:01:00 GMT", false}, {"Date2", "Sat, 01 Aug 2026 10:59:59 GMT", true}}, got)
	none, err := parseHeaders("")
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestUsers_are_admitted_by_name_and_password(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, []byte("alice=secret1\nbob=pa:ss\nempty=\n"), 0o600))
	c, err := FromProperties(map[string]string{"rest.extension.classes": " " + BasicAuth, UsersFile: file})
	require.NoError(t, err)
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for header, user := range map[string]string{
		basic("alice:secret1"): "alice", basic("bob:pa:ss"): "bob", basic("empty:"): "empty",
		"bASIC" + basic("alice:secret1")[5:]: "alice",
		basic("alice:wrong"):                 "", basic("bob:pa"): "", basic("Alice:secret1"): "", basic("alice"): "", basic("alice:"): "", basic(":secret1"): "", basic(":"): "",
		basic("nobody:"): "", "": "", "Basic": "", "Basic ": "", "Basic !!!": "", "Bearer " + basic("alice:secret1")[6:]: "",
		"Basic  " + basic("alice:secret1")[6:]: "", basic("alice:secret1") + " x": "",
	} {
		got, ok := c.Users.Admit(header)
		require.Equal(t, user, got, header)
		require.Equal(t, user != "", ok, header)
	}
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	c, err = FromProperties(map[string]string{"rest.extension.classes": BasicAuth, UsersFile: file})
	require.NoError(t, err)
	require.True(t, c.Users.Everybody())
	_, ok := c.Users.Admit("")
	require.True(t, ok)
	require.False(t, c.Authenticated(Listener{}), "an empty file is no login")
	_, err = FromProperties(map[string]string{"rest.extension.classes": BasicAuth, UsersFile: file + "x"})
	require.ErrorContains(t, err, UsersFile)
}
