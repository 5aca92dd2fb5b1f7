package badinput

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"

	sdkconfig "github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// Plugins are connectors that the suite needs and no user does.
func Plugins() []plugin.Plugin {
	return []plugin.Plugin{{
		Class: "org.example.SecretiveSource", TaskClass: "org.example.SecretiveTask", Kind: plugin.Source, Version: "1", Doc: "Needs a password.",
		Def: &sdkconfig.Def{Keys: []sdkconfig.Key{
			{Name: "password", Type: sdkconfig.Password, Required: true, Importance: sdkconfig.High, Validators: []sdkconfig.Rule{sdkconfig.NonEmpty()}},
			{Name: "mode", Type: sdkconfig.String, Default: sdkconfig.Default("fail"), Importance: sdkconfig.Low},
		}},
		NewConnector: func() connector.Connector { return &secretive{} }, NewSourceTask: func() source.Task { return &secretiveTask{} },
	}}
}

type secretive struct{ config map[string]string }

func (c *secretive) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	return nil
}
func (c *secretive) TaskConfigs(context.Context, int) ([]map[string]string, error) {
	return []map[string]string{c.config}, nil
}
func (c *secretive) Stop(context.Context) error { return nil }

type secretiveTask struct{ config map[string]string }

func (t *secretiveTask) Start(_ context.Context, tc source.Context) error {
	t.config = tc.Config()
	return nil
}
func (t *secretiveTask) Poll(context.Context) ([]record.Source, error) {
	return nil, connecterr.New(connecterr.General, "login failed")
}
func (t *secretiveTask) Stop(context.Context) error { return nil }

const secret = "s3cr3t-of-the-suite"

// secrets never show in logs, traces or the answers to mistakes; only the configuration itself has them, as in Kafka Connect.
func (s suite) secrets() {
	hidden := func(what, text string) {
		s.Helper()
		require.NotContains(s, text, secret, what)
	}
	c := config{"connector.class": "SecretiveSource", "password": secret, "producer.override.sasl.password": secret, "producer.override.ssl.key.password": secret,
		"producer.override.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="` + secret + `";`}
	// Answers about a configuration.
	for _, pairs := range [][]string{{"tasks.max", "many"}, {"connector.class", "NoSuch"}, {"name", "other"}, {"value.converter", "NoSuch"}, {"transforms", "x"}} {
		status, body := s.do(http.MethodPut, "/connectors/secretive/config", c.with(pairs...).json())
		require.Equal(s, http.StatusBadRequest, status, body)
		hidden(pairs[0], body)
	}
	without := c.with()
	delete(without, "connector.class")
	status, body := s.do(http.MethodPut, "/connectors/secretive/config", without.json())
	require.Equal(s, http.StatusBadRequest, status, body)
	hidden("no class", body)
	status, body = s.do(http.MethodPut, "/connectors/secretive/config", strings.TrimSuffix(c.json(), "}"))
	require.Equal(s, http.StatusInternalServerError, status, body)
	hidden("malformed", body)
	status, body = s.do(http.MethodPut, "/connector-plugins/SecretiveSource/config/validate", config{"connector.class": "SecretiveSource", "name": "x", "password": secret}.json())
	require.Equal(s, http.StatusOK, status, body)
	hidden("validation", body)
	require.Contains(s, body, "[hidden]")

	// Traces of tasks that fail, by their own doing and by settings that the client refuses.
	s.connector("secretive", config{"connector.class": "SecretiveSource", "password": secret})
	hidden("trace", s.fails("secretive", "login failed"))
	s.connector("secretive-client", c.with("producer.override.max.in.flight.requests.per.connection", "100"))
	hidden("trace", s.fails("secretive-client", "max.in.flight"))
	s.connector("secretive-login", c.with("producer.override.security.protocol", "SASL_PLAINTEXT", "producer.override.sasl.mechanism", "PLAIN"))
	hidden("trace", s.becomes("secretive-login", "FAILED"))
	for _, path := range []string{"/connectors?expand=status", "/connectors/secretive/status", "/connectors/secretive-client/status"} {
		_, body := s.do(http.MethodGet, path, "")
		hidden(path, body)
	}
	_, body = s.do(http.MethodGet, "/connectors/secretive/config", "")
	require.Contains(s, body, fmt.Sprintf(`"password":%q`, secret), "who may read configurations reads it, as in Kafka Connect")
}
