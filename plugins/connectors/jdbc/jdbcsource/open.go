package jdbcsource

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
)

// openWith opens sessions of configurations with this definition.
func openWith(def *config.Def, policy connect.Policy) opener {
	return func(ctx context.Context, s *settings, props map[string]string, log *slog.Logger, once bool) (session, error) {
		o := connect.Read(def, s.Values, props)
		o.Log, o.Policy = log, policy
		if once {
			o.Attempts = 1
		}
		p, err := connect.New(o)
		if err != nil {
			return nil, err
		}
		conn, err := p.Conn(ctx)
		if err != nil {
			return nil, err
		}
		base := sqlSession{d: p.Dialect(), conn: conn, release: func() error { p.Close(); return nil }}
		switch base.d.Kind() { //nolint:exhaustive // the others can't be read yet
		case dialect.PostgreSQL:
			pg, err := newPostgres(ctx, base)
			if err != nil {
				p.Close()
				return nil, err
			}
			return pg, nil
		case dialect.MySQL:
			return newMySQL(base, p.Sub() == "mariadb", p.Property), nil
		case dialect.SQLite:
			return newSQLite(base, p.Property), nil
		}
		p.Close()
		return nil, connecterr.New(connecterr.Config, "The JDBC source can't read %s yet: it reads PostgreSQL, MySQL, MariaDB and SQLite", base.d.Product())
	}
}
