package pipeline_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// A registry that accepts a request and never answers it does not hold a batch whose time is over.
func TestPipeline_does_not_wait_for_a_registry_that_hangs(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"io.confluent.connect.avro.AvroConverter", "io.confluent.connect.json.JsonSchemaConverter", "io.confluent.connect.protobuf.ProtobufConverter"} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{}, 2)
			hang := make(chan struct{})
			r := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				asked <- struct{}{}
				<-hang
			}))
			defer r.Close()
			defer close(hang)
			registry, err := plugin.New(converters.All()...)
			require.NoError(t, err)
			w, err := worker.FromProperties(map[string]string{"key.converter": "StringConverter", "value.converter": "StringConverter"})
			require.NoError(t, err)
			p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w, Connector: "c", Config: map[string]string{"value.converter": class, "value.converter.schema.registry.url": r.URL}})
			require.NoError(t, err)
			defer p.Close()

			within := func(do func(context.Context) error) {
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- do(ctx) }()
				<-asked
				cancel()
				require.ErrorIs(t, <-ended, context.Canceled)
			}
			within(func(ctx context.Context) error {
				_, err := p.Sink(ctx, []kafkaio.Record{{Topic: "t", Value: []byte{0, 0, 0, 0, 1, 0}}}, nil)
				return err
			})
			within(func(ctx context.Context) error {
				_, _, err := p.Source(ctx, []record.Source{{Topic: "t", ValueSchema: data.StringSchema, Value: "x"}}, nil, nil)
				return err
			})
		})
	}
}
