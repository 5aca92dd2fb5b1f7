package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// A batch that is spread over lanes comes out as one whose records are converted in turn: the same records in the same order, the
// same dead letters, the same topics, and the same error at the same record.
func TestLanes_come_out_as_one_by_one(t *testing.T) {
	t.Parallel()
	registry, err := plugin.New(append(converters.All(), transforms.All()...)...)
	require.NoError(t, err)
	w, err := worker.FromProperties(map[string]string{"key.converter": "StringConverter", "value.converter": "StringConverter"})
	require.NoError(t, err)
	failed := 0
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		in := make([]kafkaio.Record, 2*pipeline.LeastSpread+rng.IntN(1500))
		bad := []int{0, 1, 40}[seed%3] // of a thousand
		for i := range in {
			in[i] = kafkaio.Record{Topic: fmt.Sprint("t", rng.IntN(2)), Offset: int64(i), Key: []byte("k"), Value: order(i), Timestamp: 5}
			switch what := rng.IntN(1000); {
			case what < bad:
				in[i].Value = []byte("{no JSON")
			case what < 2*bad:
				in[i].Value = []byte(`"a text has no fields"`)
			case what < 100:
				in[i].Value = nil
			case what < 200:
				in[i].Headers = []kafkaio.Header{{Key: "h", Value: []byte("7")}}
			}
		}
		for _, tolerance := range []string{"none", "all"} {
			through := func(spread, early bool) (out []record.Sink, dead *letters, used []string, err error) {
				dead = &letters{}
				config := three("false")
				config["errors.tolerance"], config["errors.deadletterqueue.topic.name"] = tolerance, "dlq"
				config["transforms"] += ",drop"
				config["transforms.drop.type"], config["transforms.drop.predicate"], config["predicates"] = "org.apache.kafka.connect.transforms.Filter", "null", "null"
				config["predicates.null.type"] = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"
				p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w, Config: config, Connector: "c",
					DeadLetters: func(string, int) (pipeline.DeadLetters, error) { return dead, nil }, Used: func(topic string) { used = append(used, topic) }})
				require.NoError(t, err)
				defer p.Close()
				p.Spread(spread)
				if !early {
					out, err = p.Sink(t.Context(), in, nil)
					return out, dead, used, err
				}
				half := len(in) / 2
				if out, err = p.Sink(t.Context(), in[:half], nil); err != nil {
					return out, dead, used, err
				}
				require.True(t, p.Worth(len(in)))
				p.Begin(in)
				p.Forget() // as if they had been given back
				p.Begin(in[half:])
				sizes := 0
				for i := range out { // as a plugin does meanwhile
					sizes += len(data.Text(out[i].Value))
				}
				require.NotZero(t, sizes)
				out, err = p.Sink(t.Context(), in[half:], out)
				return out, dead, used, err
			}
			turn, turnLetters, turnUsed, turnErr := through(false, false)
			lanes, lanesLetters, lanesUsed, lanesErr := through(true, seed%2 == 1)
			require.Equal(t, fmt.Sprint(turnErr), fmt.Sprint(lanesErr), "seed %d", seed)
			if turnErr != nil {
				failed++
			}
			require.Equal(t, turnLetters.sent, lanesLetters.sent)
			require.Equal(t, slices.Compact(turnUsed), slices.Compact(lanesUsed))
			require.Len(t, lanes, len(turn))
			for i := range turn {
				require.Equal(t, data.Text(turn[i].Value), data.Text(lanes[i].Value))
				require.Equal(t, turn[i].OriginalOffset, lanes[i].OriginalOffset)
				require.Equal(t, turn[i].Headers.String(), lanes[i].Headers.String())
			}
			require.Less(t, len(turn), len(in), "some are dropped")
		}
	}
	require.GreaterOrEqual(t, failed, 10)
}
