package wire

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPack_makes_large_messages_small_and_leaves_small_ones(t *testing.T) {
	t.Parallel()
	small := []byte(`{"v":1}`)
	require.Equal(t, small, Pack(small))
	large := bytes.Repeat([]byte(`{"connection.url":"x"},`), 100_000)
	packed := Pack(large)
	require.Less(t, len(packed), len(large)/50)
	for _, msg := range [][]byte{nil, small, large} {
		back, err := Unpack(Pack(msg))
		require.NoError(t, err)
		require.Equal(t, msg, back)
	}
	noise := make([]byte, 100_000)
	random := rand.NewChaCha8([32]byte{})
	_, err := random.Read(noise)
	require.NoError(t, err)
	noise[0] = '{'
	require.Equal(t, noise, Pack(noise), "what does not get smaller stays")
}

func TestUnpack_sets_aside_what_it_can_not_read(t *testing.T) {
	t.Parallel()
	packed := Pack(bytes.Repeat([]byte("x"), 100_000))
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, err := z.Write(make([]byte, MaxUnpacked+1))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for name, b := range map[string][]byte{"cut": packed[:len(packed)-3], "spoilt": append([]byte{0x1f, 0x8b, 9}, packed[3:]...), "a bomb": bomb.Bytes()} {
		_, err := Unpack(b)
		var poison *PoisonError
		require.ErrorAs(t, err, &poison, name)
	}
}
