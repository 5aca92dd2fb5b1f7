package jdbcsink

import (
	"strings"
	"time"
	"unicode/utf8"

	clocks "github.com/golang-sql/civil"
	mssql "github.com/microsoft/go-mssqldb"
	ora "github.com/sijms/go-ora/v2"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/data"
)

// typedNull is a NULL as the column's type needs it.
func typedNull(d dialect.Dialect, f *field) any {
	switch d.Kind() {
	case dialect.SQLServer:
		if f.schema.Type() == data.Bytes && f.schema.Logical() == data.NotLogical {
			return []byte(nil) // the server converts no other NULL to varbinary
		}
	case dialect.Oracle:
		return oracleNull(f)
	default:
	}
	return nil
}

// sqlServerTime gives a wall clock its type: texts are refused by a datetime column for their digits, and read by the session's language.
func sqlServerTime(wall time.Time, form string) any {
	switch form {
	case dateForm:
		return clocks.DateOf(wall)
	case timeForm:
		return clocks.TimeOf(wall)
	case instantFor:
		return mssql.DateTimeOffset(wall)
	}
	return clocks.DateTimeOf(wall)
}

// forSQLServer binds a text for a varchar column as varchar: the index of a key is not used for nvarchar. Only ASCII is the same
// in every collation.
func (s *settings) forSQLServer(f *field, bound any) any {
	text, ok := bound.(string)
	if !ok || f.column == nil || !f.key && !s.varchar || strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return bound
	}
	switch strings.ToLower(f.column.Type) {
	case "char", "varchar", "text":
		return mssql.VarChar(text)
	}
	return bound
}

// forOracle binds large objects as such, as a merge takes no text of 4,000 bytes, and national texts in their own character set.
func forOracle(f *field, bound any) any {
	if f.column == nil {
		return bound
	}
	switch v := bound.(type) {
	case string:
		switch f.column.Type {
		case "CLOB":
			return ora.Clob{String: v, Valid: true}
		case "NCLOB":
			return ora.NClob{String: v, Valid: true}
		case "NCHAR", "NVARCHAR2":
			return ora.NVarChar(v)
		}
	case []byte:
		if f.column.Type == "BLOB" {
			return ora.Blob{Data: v, Valid: true}
		}
	}
	return bound
}

func oracleNull(f *field) any {
	if f.column == nil {
		return nil
	}
	switch f.column.Type {
	case "CLOB":
		return ora.Clob{}
	case "NCLOB":
		return ora.NClob{}
	case "BLOB":
		return ora.Blob{}
	}
	return nil
}
