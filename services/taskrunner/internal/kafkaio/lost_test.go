package kafkaio

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// losing loses what a broker answers on connections that were made before the last call of lose: to the client it looks as if
// its requests had got lost, as they do in the library when a broker vanishes from the cluster for a while.
type losing struct {
	net.Listener
	age atomic.Int64
}

func (l *losing) lose() { l.age.Add(1) }

func (l *losing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &losingConn{c, l, l.age.Load()}, err
}

type losingConn struct {
	net.Conn
	l    *losing
	born int64
}

func (c *losingConn) Write(b []byte) (int, error) {
	if c.born < c.l.age.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func TestTail_goes_on_with_another_client_where_one_got_no_answer(t *testing.T) {
	t.Parallel()
	var ln *losing
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		inner, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
		ln = &losing{Listener: inner}
		return ln, err
	}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	bootstrap := cluster.ListenAddrs()[0]
	write := func(from int) {
		p := newTestProducer(t, bootstrap, "")
		sendAll(t, p, numbered("t", 0, from, 1))
	}
	tail, err := NewTail(Config{"bootstrap.servers": bootstrap}, "t")
	require.NoError(t, err)
	t.Cleanup(tail.Close)
	var got []string
	sync := func(timeout time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return tail.Sync(ctx, func(rs []Record) error {
			for _, r := range rs {
				got = append(got, string(r.Value))
			}
			return nil
		})
	}
	write(0)
	require.NoError(t, sync(patience))
	ln.lose()
	write(1)
	require.Error(t, sync(200*time.Millisecond), "no answer comes")
	require.NoError(t, sync(30*time.Second), "the library gives a connection up after 60 s")
	require.Equal(t, []string{"0", "1"}, got, "from where the last one ended")
}
