package jdbcsink

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/sdk/data"
)

// made is what a writer would make for records of item, without a database: SQL Server and Oracle can't be had here.
func made(t *testing.T, url string, pairs ...string) (*settings, *shape) {
	t.Helper()
	s, err := read(confluentDef, with(url, pairs...))
	require.NoError(t, err)
	u, err := jdbcurl.Parse(url)
	require.NoError(t, err)
	d, err := dialect.Find("", u)
	require.NoError(t, err)
	n, err := s.tableName(d, "orders")
	require.NoError(t, err)
	sh, err := s.makeShape(&target{d: d, name: n, text: n.Text(d, s.quote), table: &dialect.Table{}}, nil, idName)
	require.NoError(t, err)
	return s, sh
}

const (
	atSQLServer = "jdbc:sqlserver://h;databaseName=d"
	atOracle    = "jdbc:oracle:thin:@//h/s"
)

func TestCase19_upsert_of_SQLServer(t *testing.T) {
	t.Parallel()
	keyed := []string{"insert.mode=upsert", "pk.mode=record_value", "pk.fields=id"}
	s, sh := made(t, atSQLServer, keyed...)
	require.Equal(t, "merge into [dbo].[orders] with (HOLDLOCK) AS target using (select @p1 AS [id], @p2 AS [name]) AS incoming on (target.[id]=incoming.[id]) when matched then update set "+
		"[name]=incoming.[name] when not matched then insert ([name], [id]) values (incoming.[name],incoming.[id]);", s.makeStatements(sh).single)
	s, sh = made(t, atSQLServer, append(keyed, "mssql.use.merge.holdlock=false")...)
	require.Contains(t, s.makeStatements(sh).single, "merge into [dbo].[orders] AS target using")
	s, sh = made(t, atSQLServer, "insert.ignore.duplicates=true", "pk.mode=record_value", "pk.fields=id")
	require.NotContains(t, s.makeStatements(sh).single, "when matched")
	v, err := s.bindValue(sh.table.d, &field{schema: data.NewSchema(data.Bytes, data.Optional())}, nil) // 56
	require.NoError(t, err)
	require.Equal(t, []byte(nil), v)
}

func TestStatements_of_Oracle(t *testing.T) {
	t.Parallel()
	s, sh := made(t, atOracle, "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id", "quote.sql.identifiers=never")
	require.Equal(t, "merge into ORDERS using (select :1 id, :2 name FROM dual) incoming on(ORDERS.id=incoming.id) when matched then update set ORDERS.name=incoming.name "+
		"when not matched then insert(ORDERS.name,ORDERS.id) values(incoming.name,incoming.id)", s.makeStatements(sh).single)
}

func TestCase34_types_of_each_database(t *testing.T) {
	t.Parallel()
	all := []data.Field{}
	for name, c := range map[string]*data.Schema{"a": data.NewSchema(data.Int8), "b": data.NewSchema(data.Int16), "c": i32, "d": i64, "e": data.NewSchema(data.Float32), "f": data.NewSchema(data.Float64),
		"g": data.NewSchema(data.Boolean), "h": str, "i": data.NewSchema(data.Bytes), "j": data.DecimalSchema(2), "k": data.DateSchema(), "l": data.TimeSchema(), "m": data.TimestampSchema()} {
		all = append(all, data.Field{Name: name, Schema: c})
	}
	want := map[string]string{
		"jdbc:postgresql://h/d": "SMALLINT SMALLINT INT BIGINT REAL DOUBLE PRECISION BOOLEAN TEXT BYTEA DECIMAL DATE TIME TIMESTAMP",
		"jdbc:mysql://h/d":      "TINYINT SMALLINT INT BIGINT FLOAT DOUBLE TINYINT TEXT VARBINARY(1024) DECIMAL(65,2) DATE TIME(3) DATETIME(3)",
		"jdbc:sqlite:f":         "INTEGER INTEGER INTEGER INTEGER REAL REAL INTEGER TEXT BLOB NUMERIC NUMERIC NUMERIC NUMERIC",
		atSQLServer:             "tinyint smallint int bigint real float bit varchar(max) varbinary(max) decimal(38,2) date time datetime2",
		atOracle:                "NUMBER(3,0) NUMBER(5,0) NUMBER(10,0) NUMBER(19,0) BINARY_FLOAT BINARY_DOUBLE NUMBER(1,0) VARCHAR2(4000) BLOB NUMBER(*,2) DATE DATE TIMESTAMP",
	}
	for url, types := range want {
		s, sh := made(t, url)
		got := ""
		for c := 'a'; c <= 'm'; c++ {
			for _, f := range all {
				if f.Name == string(c) {
					typ, err := s.columnType(sh.table.d, &field{name: f.Name, schema: f.Schema})
					require.NoError(t, err)
					got += " " + typ
				}
			}
		}
		require.Equal(t, " "+types, got)
	}
	s, sh := made(t, atSQLServer, "auto.create=true", "pk.mode=record_value", "pk.fields=id", "ddl.types=wide")
	create, err := s.createTable(sh.table.d, sh.table.text, sh.ddlOrder(sh.fields()))
	require.NoError(t, err)
	require.Equal(t, "CREATE TABLE [dbo].[orders] (\n[id] int NOT NULL,\n[name] nvarchar(max) NULL,\nPRIMARY KEY([id]))", create)
	s, sh = made(t, atOracle)
	alter, err := s.alterTable(sh.table.d, sh.table.text, sh.fields())
	require.NoError(t, err)
	require.Equal(t, []string{"ALTER TABLE \"orders\" ADD(\n\"id\" NUMBER(10,0) NOT NULL,\n\"name\" VARCHAR2(4000) NULL)"}, alter)
}

// What is taken as Java's connector takes it, and fails or surprises later, is said when the connector starts.
func TestWarnings_of_risky_settings(t *testing.T) {
	t.Parallel()
	for want, pairs := range map[string][]string{
		"": {"pk.mode=record_key"},
		"insert.mode=upsert with pk.mode=none fails with the first record": {"insert.mode=upsert"},
		"insert.mode=update with pk.mode=none fails with the first record": {"insert.mode=update"},
		"pk.mode=kafka fails with the first record: pk.fields must name":   {"pk.mode=kafka", "pk.fields=a,b", "insert.mode=upsert"},
		"pk.fields is ignored with pk.mode=none":                           {"pk.fields=a"},
		"fails when records come again after a crash":                      {"pk.mode=record_key", "insert.mode=insert"},
	} {
		if want == "" {
			for _, more := range []string{"insert.mode=upsert", "millrace.exactly.once=true", "insert.ignore.duplicates=true", "insert.mode=update"} {
				s, err := read(confluentDef, with("jdbc:sqlite:f", append(pairs, more)...))
				require.NoError(t, err)
				require.Empty(t, s.warnings(), more)
			}
			continue
		}
		s, err := read(confluentDef, with("jdbc:sqlite:f", pairs...))
		require.NoError(t, err)
		require.Len(t, s.warnings(), 1)
		require.Contains(t, s.warnings()[0], want)
	}
}
