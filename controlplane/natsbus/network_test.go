package natsbus_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/tests/logs"
	"github.com/millrace/millrace/tests/proxy"
)

func TestFrozen_connection_blocks_nobody_longer_than_its_context(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := proxy.New(t, strings.TrimPrefix(s.url(), "nats://"))
	b := s.connect(t, func(o *natsbus.Options) { o.URL = "nats://" + p.Addr() })
	got := consume(t, b, wire.Commands)
	publish(t, b, wire.Commands, "before")
	await(t, got, "before", patience)

	p.Freeze(true)
	for name, c := range map[string]struct {
		call func(ctx context.Context) error
		want cluster.Code
	}{
		"Publish": {func(ctx context.Context) error { return b.Publish(ctx, wire.Commands, "1", []byte("x")) }, cluster.Unavailable},
		"Forget":  {func(ctx context.Context) error { return b.Forget(ctx, wire.Runner("s")) }, cluster.Unavailable},
		"Request": {func(ctx context.Context) error { _, err := b.Request(ctx, wire.Scheduler, nil); return err }, cluster.Timeout},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		err := c.call(ctx)
		cancel()
		require.True(t, cluster.Is(err, c.want), "%s: %v", name, err)
		require.Less(t, time.Since(start), time.Second, name)
	}
	start := time.Now()
	require.Error(t, b.Publish(t.Context(), wire.Commands, "2", []byte("no deadline")))
	require.Less(t, time.Since(start), poll, "also without a deadline")

	p.Freeze(false)
	publish(t, b, wire.Commands, "after")
	await(t, got, "after", patience)
}

func TestWrong_password_is_told_and_heals_when_the_server_takes_it(t *testing.T) {
	t.Parallel()
	port, dir := freePort(t), t.TempDir()
	run := func(password string) *natsserver.Server {
		srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
			Username: "millrace", Password: password})
		require.NoError(t, err)
		go srv.Start()
		require.True(t, srv.ReadyForConnections(patience))
		return srv
	}
	srv := run("old")
	var out logs.Buffer
	b, err := natsbus.Connect(t.Context(), natsbus.Options{URL: fmt.Sprintf("nats://127.0.0.1:%d", port), Logger: out.Logger(),
		NATSOptions: []nats.Option{nats.UserInfo("millrace", "new")}})
	require.NoError(t, err, "the password may become right")
	t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Authorization Violation") }, patience, 5*time.Millisecond)
	require.Zero(t, b.Connected())
	srv.Shutdown()
	srv.WaitForShutdown()
	srv = run("new")
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	got := consume(t, b, wire.Commands)
	publish(t, b, wire.Commands, "hello")
	await(t, got, "hello", patience)
}

// Three servers, each stream on all of them: when the one that leads the stream (and holds our connections, perhaps)
// dies, messages go on.
func TestCluster_losing_the_leader_of_a_stream_goes_on(t *testing.T) {
	t.Parallel()
	const n = 3
	var routes []*url.URL
	var clusterPorts, clientPorts []int
	for range n {
		clusterPorts, clientPorts = append(clusterPorts, freePort(t)), append(clientPorts, freePort(t))
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", clusterPorts[len(clusterPorts)-1])})
	}
	servers := map[string]*natsserver.Server{}
	var urls []string
	for i := range n {
		name := fmt.Sprint("node-", i)
		srv, err := natsserver.NewServer(&natsserver.Options{
			ServerName: name, Host: "127.0.0.1", Port: clientPorts[i], JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Routes: routes,
			Cluster: natsserver.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: clusterPorts[i]},
		})
		require.NoError(t, err)
		go srv.Start()
		t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
		servers[name] = srv
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", clientPorts[i]))
	}
	for _, srv := range servers {
		require.True(t, srv.ReadyForConnections(patience))
	}
	connect := func() *natsbus.Bus {
		b, err := natsbus.Connect(t.Context(), natsbus.Options{URL: strings.Join(urls, ","), Replicas: n})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
		return b
	}
	sender, receiver := connect(), connect()
	got := consume(t, receiver, wire.Commands)
	publish(t, sender, wire.Commands, "before")
	await(t, got, "before", patience)

	nc, err := nats.Connect(strings.Join(urls, ","))
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	st, err := js.Stream(t.Context(), "MILLRACE_COMMANDS")
	require.NoError(t, err)
	nc.Close()
	require.Equal(t, n, st.CachedInfo().Config.Replicas)
	leader := servers[st.CachedInfo().Cluster.Leader]
	require.NotNil(t, leader)
	leader.Shutdown()
	leader.WaitForShutdown()
	for i := range 20 {
		m := fmt.Sprint("after ", i)
		publish(t, sender, wire.Commands, m)
		await(t, got, m, patience)
	}
}
