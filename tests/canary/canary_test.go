package canary_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/canary"
	"github.com/millrace/millrace/tests/servers"
)

// The checker must see what it is there to see.
func TestWatch_counts_what_was_lost_doubled_and_turned_round(t *testing.T) {
	t.Parallel()
	numbers := []int64{0, 1, 2, 5, 4, 4, 6, 7} // 3 is lost, 4 came twice, 5 came before 4
	bootstrap := servers.EmbeddedKafka(t)
	topic, file := fmt.Sprintf("canary-%d", time.Now().UnixNano()), filepath.Join(t.TempDir(), "out")
	w, err := canary.Watch(bootstrap, []string{topic}, []string{file})
	require.NoError(t, err)
	defer w.Close()
	require.Zero(t, w.File(file).Records, "a file that is not there yet is empty")

	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic))
	require.NoError(t, err)
	defer c.Close()
	f, err := os.Create(file)
	require.NoError(t, err)
	defer f.Close()
	for _, n := range numbers {
		require.NoError(t, c.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(n))).FirstErr())
		_, err := fmt.Fprintln(f, n)
		require.NoError(t, err)
	}
	for name, report := range map[string]func() canary.Report{
		"topic": func() canary.Report { return w.Topic(topic) }, "file": func() canary.Report { return w.File(file) },
	} {
		require.Eventually(t, func() bool { return report().Records == int64(len(numbers)) }, 20*time.Second, time.Millisecond, name)
		r := report()
		require.Equal(t, []int64{8, 1, 1, 1}, []int64{r.Next, r.Lost, r.Doubled, r.Backwards}, name)
		require.NoError(t, r.Err)
	}

	w.Mark()
	require.Less(t, w.File(file).Gap, time.Second)
	require.NoError(t, c.ProduceSync(t.Context(), kgo.StringRecord("no number")).FirstErr())
	_, err = fmt.Fprintln(f, "-1")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return w.Topic(topic).Err != nil && w.File(file).Err != nil }, 20*time.Second, time.Millisecond)
}
