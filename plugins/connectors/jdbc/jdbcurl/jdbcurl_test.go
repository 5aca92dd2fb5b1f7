package jdbcurl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]URL{
		"jdbc:postgresql://h1:1,h2/db?user=me&password=a%26b&currentSchema=s": {Sub: "postgresql", Hosts: []Host{{"h1", 1}, {"h2", 5432}}, Database: "db", User: "me", Password: "a&b",
			Params: []Param{{"user", "me"}, {"password", "a&b"}, {"currentSchema", "s"}}},
		"jdbc:postgresql://h/":                   {Sub: "postgresql", Hosts: []Host{{"h", 5432}}},
		"jdbc:postgresql:db":                     {Sub: "postgresql", Hosts: []Host{{"localhost", 5432}}, Database: "db"},
		"jdbc:postgresql:/":                      {Sub: "postgresql", Hosts: []Host{{"localhost", 5432}}},
		"jdbc:postgresql://[::1]:77/a%20b":       {Sub: "postgresql", Hosts: []Host{{"::1", 77}}, Database: "a b"},
		"JDBC:mysql://u:p%40@h:3307/d?useSSL=1":  {Sub: "mysql", Hosts: []Host{{"h", 3307}}, Database: "d", User: "u", Password: "p@", Params: []Param{{"useSSL", "1"}}},
		"jdbc:mysql:loadbalance://a,b:2/d":       {Sub: "mysql", Hosts: []Host{{"a", 3306}, {"b", 2}}, Database: "d"},
		"jdbc:mariadb://h":                       {Sub: "mariadb", Hosts: []Host{{"h", 3306}}},
		"jdbc:sqlite:/tmp/a b.db?busy_timeout=5": {Sub: "sqlite", Database: "/tmp/a b.db", Params: []Param{{"busy_timeout", "5"}}},
		`jdbc:sqlserver://h\I:1434;databaseName=d;user=u;password={a;}}b};x`: {Sub: "sqlserver", Hosts: []Host{{"h", 1434}}, Instance: "I", Database: "d", User: "u", Password: "a;}b",
			Params: []Param{{"databaseName", "d"}, {"user", "u"}, {"password", "a;}b"}, {"x", ""}}},
		"jdbc:jtds:sqlserver://h/d;userName=u":       {Sub: "sqlserver", Hosts: []Host{{"h", 1433}}, Database: "d", User: "u", Params: []Param{{"userName", "u"}}},
		"jdbc:sqlserver://;serverName=s;port=77":     {Sub: "sqlserver", Hosts: []Host{{"s", 77}}, Params: []Param{{"serverName", "s"}, {"port", "77"}}},
		"jdbc:oracle:thin:scott/tiger@h:1522:ORCL":   {Sub: "oracle", Hosts: []Host{{"h", 1522}}, SID: "ORCL", User: "scott", Password: "tiger"},
		"jdbc:oracle:thin:@//h/pdb1":                 {Sub: "oracle", Hosts: []Host{{"h", 1521}}, Database: "pdb1"},
		"jdbc:oracle:oci:@tcps://h:2484/pdb1?a=b":    {Sub: "oracle", Hosts: []Host{{"h", 2484}}, Database: "pdb1", TLS: true, Params: []Param{{"a", "b"}}},
		`jdbc:oracle:thin:u/"p@w"@h:1:S`:             {Sub: "oracle", Hosts: []Host{{"h", 1}}, SID: "S", User: "u", Password: "p@w"},
		"jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=))": {Sub: "oracle", Descriptor: "(DESCRIPTION=(ADDRESS=))"},
		"jdbc:oracle:thin:@alias?TNS_ADMIN=/etc":     {Sub: "oracle", Descriptor: "alias", Params: []Param{{"TNS_ADMIN", "/etc"}}},
		"jdbc:sqlite::memory:":                       {Sub: "sqlite", Database: ":memory:"},
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, *got, text)
	}
	u, err := Parse("jdbc:mysql://h/d?UseSSL=TRUE&x=1&X=2")
	require.NoError(t, err)
	require.True(t, u.Flag("useSSL", false))
	require.True(t, u.Flag("absent", true))
	require.Equal(t, "2", u.Text("x", ""))
	for text, want := range map[string]string{
		"postgresql://h/d?password=x":           "Not a valid JDBC URL: postgresql://h/d?password=****",
		"jdbc:postgresql://h:port/d?password=x": "Not a valid JDBC URL: jdbc:postgresql://h:port/d?password=****",
		"jdbc:derby:x;password=y":               "No driver is available for JDBC URL: jdbc:derby:x;password=****",
		"":                                      "Not a valid JDBC URL: ",
	} {
		_, err := Parse(text)
		require.EqualError(t, err, want)
	}
}

func TestMask_leaves_no_secret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"jdbc:postgresql://h/d?user=u&password=SECRET&x=1", "jdbc:postgresql://h/d?sslPassword=SECRET", "jdbc:mysql://u:SECRET@h/d", "jdbc:mysql://(host=h,password=SECRET,user=u)/d",
		"jdbc:sqlserver://h;user=u;password=SECRET;encrypt=true", "jdbc:oracle:thin:scott/SECRET@h:1521:S", "cannot open jdbc:mysql://u:SECRET@h/d: no", "trustStorePassword=SECRET",
	} {
		got := Mask(text)
		require.NotContains(t, got, "SECRET")
		require.Contains(t, got, "****")
	}
	for _, text := range []string{"jdbc:postgresql://h:5432/d?user=u", "jdbc:oracle:thin:@//h:1521/s", "jdbc:sqlite:/tmp/x.db"} {
		require.Equal(t, text, Mask(text))
	}
	require.True(t, strings.HasSuffix(Mask("jdbc:postgresql://h/d?password=x&a=b"), "&a=b"))
}
