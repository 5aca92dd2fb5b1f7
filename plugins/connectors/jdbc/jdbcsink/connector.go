package jdbcsink

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// Plugins are the sink under its two names. policy is what the operator decides.
func Plugins(version string, policy connect.Policy) []plugin.Plugin {
	one := func(pkg string, def *config.Def) plugin.Plugin {
		return plugin.Plugin{Class: pkg + ".JdbcSinkConnector", Kind: plugin.Sink, Version: version, TaskClass: pkg + ".sink.JdbcSinkTask", Def: def,
			Doc:          "Writes records to tables of a database: insert, upsert, update and delete; creates tables and adds columns.",
			NewConnector: func() connector.Connector { return &sinkConnector{def: def, policy: policy} },
			NewSinkTask:  func() sink.Task { return &task{def: def, policy: policy} }}
	}
	return []plugin.Plugin{one("io.confluent.connect.jdbc", confluentDef), one("io.aiven.connect.jdbc", aivenDef)}
}

// sinkConnector splits into as many equal tasks as are allowed.
type sinkConnector struct {
	def    *config.Def
	policy connect.Policy
	config map[string]string
}

func (c *sinkConnector) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	s, err := read(c.def, c.config)
	if err != nil {
		return err
	}
	for _, w := range s.warnings() {
		cc.Logger().Warn(w)
	}
	return nil
}

func (c *sinkConnector) TaskConfigs(_ context.Context, maxTasks int) ([]map[string]string, error) {
	return slices.Repeat([]map[string]string{c.config}, maxTasks), nil
}

func (c *sinkConnector) Stop(context.Context) error { return nil }

// AlterOffsets implements connector.SinkOffsetAlterer: every offset is fine.
func (c *sinkConnector) AlterOffsets(ctx context.Context, raw map[string]string, offsets map[record.TopicPartition]int64) (bool, error) {
	return c.changeOffsets(ctx, raw, func(o *offsetTable, conn *sql.Conn) error { return o.alter(ctx, conn, offsets) })
}

// ResetOffsets implements connector.SinkOffsetResetter.
func (c *sinkConnector) ResetOffsets(ctx context.Context, raw map[string]string) (bool, error) {
	return c.changeOffsets(ctx, raw, func(o *offsetTable, conn *sql.Conn) error { return o.reset(ctx, conn) })
}

// changeOffsets changes the table of offsets, if there is one. Kafka's are changed after it.
func (c *sinkConnector) changeOffsets(ctx context.Context, raw map[string]string, change func(*offsetTable, *sql.Conn) error) (bool, error) {
	s, err := read(c.def, raw)
	if err != nil || !s.exactly {
		return true, nil //nolint:nilerr // what is wrong with the configuration is said when the connector starts
	}
	s.connect.Policy = c.policy
	p, err := connect.New(s.connect)
	if err != nil {
		return false, err
	}
	defer p.Close()
	o, err := newOffsetTable(s, p.Dialect())
	if err != nil {
		return false, err
	}
	var found bool
	conn, err := p.Conn(ctx)
	if err == nil {
		found, err = o.find(ctx, conn)
	}
	if err == nil && found {
		err = change(o, conn)
	}
	if err != nil {
		return false, connecterr.New(connecterr.General, "The offsets in the database could not be changed, and Kafka's were left as they are. %s", p.Fault(err))
	}
	return true, nil
}

// Validate implements connector.Validator: relations between keys, then one connection.
func (c *sinkConnector) Validate(ctx context.Context, raw map[string]string) []connector.Finding {
	v, problems := c.def.Parse(raw)
	if len(problems) > 0 {
		return nil // each key says so itself
	}
	if v.Bool(deleteKey) && !strings.EqualFold(v.String(pkModeKey), pkRecordKey) {
		text := deletesNeedKey
		if c.def == aivenDef {
			text = aivenDeletes
		}
		return []connector.Finding{{Key: deleteKey, Message: text}, {Key: pkModeKey, Message: text}}
	}
	s, err := read(c.def, raw)
	if err != nil {
		return []connector.Finding{{Key: keyOf(err), Message: err.Error()}}
	}
	s.connect.Policy = c.policy
	p, err := connect.New(s.connect)
	if err != nil {
		return []connector.Finding{{Key: connect.URLKey, Message: err.Error()}}
	}
	defer p.Close()
	if s.exactly {
		if _, err := newOffsetTable(s, p.Dialect()); err != nil {
			return []connector.Finding{{Key: exactlyOnceKey, Message: err.Error()}}
		}
	}
	if _, err := p.Conn(ctx); err != nil {
		return []connector.Finding{{Key: connect.URLKey, Message: "Could not connect to database. " + p.Fault(err).String()}}
	}
	return nil
}

// keyOf finds the key that an error of read is about.
func keyOf(err error) string {
	text := err.Error()
	for _, k := range []string{zoneKey, mappingKey, connect.ProviderKey} {
		if strings.Contains(text, k) {
			return k
		}
	}
	if connecterr.KindOf(err) == connecterr.Config && strings.Contains(text, "rimary key fields") {
		return pkFieldsKey
	}
	return connect.URLKey
}
