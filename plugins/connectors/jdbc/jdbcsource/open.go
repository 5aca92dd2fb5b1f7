package jdbcsource

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/config"
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
		if base.d.Kind() != dialect.PostgreSQL {
			return sessionOf(base, p.Sub() == "mariadb", p.Property), nil
		}
		pg, err := newPostgres(ctx, base)
		if err != nil {
			p.Close()
			return nil, err
		}
		return pg, nil
	}
}

// sessionOf is the session of a database that is spoken to through database/sql alone.
func sessionOf(base sqlSession, mariaDB bool, property func(string) (string, bool)) session {
	switch base.d.Kind() { //nolint:exhaustive // PostgreSQL's is made by openWith
	case dialect.MySQL:
		return newMySQL(base, mariaDB, property)
	case dialect.SQLServer:
		return &sqlServer{sqlSession: base, described: map[string]map[string]string{}}
	case dialect.Oracle:
		return &oracle{sqlSession: base}
	}
	return newSQLite(base, property)
}
