package natsembed

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestStreamsSurviveARestartInTheSameFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish := func() uint64 {
		s, err := Start(t.Context(), Options{DataDir: dir})
		require.NoError(t, err)
		nc, err := nats.Connect(s.URL(), s.InProcess())
		require.NoError(t, err)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		_, err = js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		require.NoError(t, err)
		ack, err := js.Publish(t.Context(), "s", []byte("x"))
		require.NoError(t, err)
		nc.Close()
		require.NoError(t, s.Close(t.Context()))
		require.NoError(t, s.Close(t.Context()), "twice is harmless")
		return ack.Sequence
	}
	require.Equal(t, uint64(1), publish())
	require.Equal(t, uint64(2), publish())
}

func TestAPortLetsOtherProcessesIn(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Port: -1})
	require.NoError(t, err)
	nc, err := nats.Connect(s.URL())
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	nc.Close()
	require.NoError(t, s.Close(t.Context()))
	require.NoDirExists(t, s.temp)
}
