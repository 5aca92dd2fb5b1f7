package sinktask

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/kafkaembed"
)

// ownBroker is a broker that can be stopped and started again under the same address.
func ownBroker(t *testing.T) (bootstrap string, stop, start func()) {
	t.Helper()
	dir := t.TempDir()
	var b *kafkaembed.Broker
	port := 0
	start = func() {
		t.Helper()
		var err error
		require.Eventually(t, func() bool {
			b, err = kafkaembed.Start(context.Background(), kafkaembed.Options{DataDir: dir, Port: port})
			return err == nil
		}, patience, 50*time.Millisecond, "starting the broker")
	}
	stop = func() { t.Helper(); require.NoError(t, b.Close(context.Background())) }
	start()
	_, p, err := net.SplitHostPort(b.Bootstrap())
	require.NoError(t, err)
	port, err = strconv.Atoi(p)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b.Bootstrap(), stop, start
}

func TestFault_KO_1_ATaskOutlastsABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	bootstrap, stop, start := ownBroker(t)
	const partitions, each = 2, 1000
	w := newWorld(t, bootstrap, partitions, each)
	r := w.startTask(func(_ *fakePlugin, d *Deps) { d.FlushTimeout = 200 * time.Millisecond })
	w.eventually("all records", func() bool { return w.out.count() >= partitions*each })
	w.eventually("committed", func() bool { return w.committed() == partitions*each })
	stop()
	select {
	case err := <-r.done:
		t.Fatalf("the task ended while Kafka was away: %v", err)
	case <-time.After(2 * time.Second):
	}
	start()
	w.produce(partitions, each, 100)
	w.eventually("the new records", func() bool { return w.out.count() >= partitions*(each+100) })
	w.eventually("committed again", func() bool { return w.committed() == partitions*(each+100) })
	r.take()
	require.NoError(t, r.wait(t))
	w.requireAll(partitions, each+100, 0)
}

func TestATaskThatStartsWithoutABrokerSaysSoAndRunsWhenItAnswers(t *testing.T) {
	t.Parallel()
	bootstrap, stop, start := ownBroker(t)
	const each = 100
	w := newWorld(t, bootstrap, 1, each)
	stop()
	r := w.startTask(func(_ *fakePlugin, d *Deps) { d.ComplainAfter = 300 * time.Millisecond })
	said := func() string { return strings.Join(r.plugin.all(), "\n") }
	w.eventually("the complaint", func() bool { return strings.Contains(said(), "failed ") })
	for _, part := range []string{"Kafka does not answer", "consumer.override.bootstrap.servers", bootstrap} {
		require.Contains(t, said(), part)
	}
	start()
	w.eventually("all records", func() bool { return w.out.count() >= each })
	_, after, _ := strings.Cut(said(), "failed ")
	require.Contains(t, after, "RUNNING", "it shows that it runs")
	r.take()
	require.NoError(t, r.wait(t))
	w.requireAll(1, each, 0)
}

func TestFault_KO_3_AStopEndsAlsoWhenTheBrokerIsDead(t *testing.T) {
	t.Parallel()
	bootstrap, stop, _ := ownBroker(t)
	w := newWorld(t, bootstrap, 1, 100)
	r := w.startTask(func(_ *fakePlugin, d *Deps) {
		d.FlushInterval = time.Hour // everything is left to the last commit
		d.FlushTimeout, d.ShutdownTimeout = 300*time.Millisecond, 300*time.Millisecond
	})
	w.eventually("all records", func() bool { return w.out.count() >= 100 })
	stop()
	began := time.Now()
	r.take()
	require.NoError(t, r.wait(t), "what could not be committed comes again")
	require.Less(t, time.Since(began), patience/2)
	require.Contains(t, r.plugin.all(), "stop")
}
