package sourcetask

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

func TestRuntime_4_2_one_offset_is_kept_of_each_partition_however_many_records_there_are(t *testing.T) {
	t.Parallel()
	var n newest
	require.True(t, n.empty())
	shared := data.MapOf("p", "shared")
	for i := range int64(100_000) {
		n.add([]record.Source{
			{Partition: data.MapOf("p", "a", "q", int32(1)), Offset: data.MapOf("n", i)}, // a map for each record
			{Partition: data.MapOf("q", int64(1), "p", "a"), Offset: data.MapOf("n", i+1)},
			{Partition: shared, Offset: data.MapOf("n", -i)},
			{Partition: shared},
			{Partition: nil, Offset: data.MapOf("n", 2*i)},
		})
	}
	require.Len(t, n.entries, 3)
	require.LessOrEqual(t, len(n.byPtr), manyPointers)
	for i, want := range []int64{100_000, -99_999, 199_998} {
		got, _ := n.entries[i].Offset.Get("n")
		require.Equal(t, want, got)
	}
	require.Same(t, shared, n.entries[1].Partition)

	odd := data.MapOf(1, "no string") // writing it will fail; until then it must not fill the memory, either
	n.add([]record.Source{{Partition: odd, Offset: data.MapOf("n", int64(1))}, {Partition: odd, Offset: data.MapOf("n", int64(2))}})
	require.Len(t, n.entries, 4)
}
