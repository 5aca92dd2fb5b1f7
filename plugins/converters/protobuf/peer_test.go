package protobuf

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/converter"
)

//go:embed testdata/peer.jsonl
var peers []byte

// What Google's own implementation wrote, see testdata/peer.py, is read as what was written.
func TestProtobuf_reads_what_Googles_library_wrote(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"full": `Struct{pay_0=Struct{barter=Struct{sku=goat,sizes=[]}},counts={b=2},lines={-7=Struct{sku=s,sizes=[-1, 2]}},maybe=0,scores=[1.5, -0.0],flags=[true, false],` +
			`state=DONE,states=[NEW, UNKNOWN_ENUM_VALUE_State_9],note=Struct{value=},at=Wed Dec 31 23:59:59 UTC 1969,big=4294967295,bigger=-1,fixed=-5,all=[Struct{sku=,sizes=[]}, Struct{sku=z,sizes=[]}]}`,
		"empty":    `Struct{counts={},lines={},scores=[],flags=[],state=NEW,states=[],big=0,bigger=0,fixed=0,all=[]}`,
		"inner":    `Struct{a=deep}`,
		"line":     `Struct{sku=only,sizes=[]}`,
		"old":      `Struct{id=i,loose=[1, 2],tight=[3, -4]}`,
		"old full": `Struct{id=i,size=0,word=,loose=[],tight=[],kind=A}`,
	}
	rows := bufio.NewScanner(bytes.NewReader(peers))
	seen := 0
	for rows.Scan() {
		var row struct {
			Name, Schema, Hex string
			Indexes           []int
		}
		require.NoError(t, json.Unmarshal(rows.Bytes(), &row))
		c := with(t, row.Name, nil)
		b, err := hex.DecodeString(row.Hex)
		require.NoError(t, err)
		back, err := c.ToConnect("t", framed(t, c, row.Schema, row.Indexes, b))
		require.NoError(t, err, row.Name)
		require.Equal(t, want[row.Name], back.Value.(interface{ String() string }).String(), row.Name)

		// What was read is written by the same schema, and reads as the same again.
		latest := &Converter{}
		require.NoError(t, latest.Configure(map[string]string{"schema.registry.url": "mock://" + t.Name() + row.Name, "auto.register.schemas": "false", "use.latest.version": "true",
			"enhanced.protobuf.schema.support": "true"}, converter.ForValue))
		defer latest.Close()
		if row.Name == "inner" || row.Name == "line" || row.Name == "full" { // a nested message is named by its last part alone; a number of an enum without a name can't be written
			continue
		}
		sv, err := latest.ToConnect("t", framed(t, c, row.Schema, row.Indexes, b))
		require.NoError(t, err, row.Name)
		again, err := latest.FromConnect("t", sv.Schema, sv.Value)
		require.NoError(t, err, row.Name)
		third, err := latest.ToConnect("t", again)
		require.NoError(t, err, row.Name)
		require.Equal(t, sv.Value.(interface{ String() string }).String(), third.Value.(interface{ String() string }).String())
		seen++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, 3, seen)
}

// framed registers a schema and puts what stands before a message in front of one.
func framed(t testing.TB, c *Converter, schema string, which []int, b []byte) []byte {
	t.Helper()
	target, err := c.serde.Target("t", "", registry.Schema{Type: registry.Protobuf, Text: schema})
	require.NoError(t, err)
	return append(appendIndexes(registry.AppendHeader(nil, target.ID), which), b...)
}
