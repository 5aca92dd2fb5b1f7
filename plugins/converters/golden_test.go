package converters

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
	"github.com/millrace/millrace/sdk/plugin"
)

// converterVector is one call of a converter.
type converterVector struct {
	Class, Method string
	IsKey         bool
	Config        map[string]string
	Input         json.RawMessage
	Output        json.RawMessage
	Error         *vector.Error
}

// coder is a converter of either kind.
type coder struct {
	from func(data.SchemaAndValue) ([]byte, error)
	to   func([]byte) (data.SchemaAndValue, error)
}

func (v converterVector) converter(r *plugin.Registry) (coder, error) {
	if v.Method == "fromConnectHeader" || v.Method == "toConnectHeader" {
		p, err := r.Find(plugin.HeaderConverter, v.Class)
		if err != nil {
			return coder{}, err
		}
		if _, problems := p.Def.Parse(v.Config); len(problems) > 0 && !strings.HasSuffix(v.Class, "ByteArrayConverter") {
			// the runtime always says that it is for headers; what Java's caller says wrong, the definition finds
			return coder{}, connecterr.New(connecterr.Config, "%s", problems[0].Message)
		}
		c := p.NewHeaderConverter()
		return coder{func(sv data.SchemaAndValue) ([]byte, error) {
			return c.FromConnectHeader("t", "h", sv.Schema, sv.Value)
		},
			func(b []byte) (data.SchemaAndValue, error) { return c.ToConnectHeader("t", "h", b) }}, c.Configure(v.Config)
	}
	p, err := r.Find(plugin.Converter, v.Class)
	if err != nil {
		return coder{}, err
	}
	c, use := p.NewConverter(), converter.ForValue
	if v.IsKey {
		use = converter.ForKey
	}
	return coder{func(sv data.SchemaAndValue) ([]byte, error) { return c.FromConnect("t", sv.Schema, sv.Value) },
		func(b []byte) (data.SchemaAndValue, error) { return c.ToConnect("t", b) }}, c.Configure(v.Config, use)
}

// bytesOf reads bytes: null, text or hex.
func bytesOf(raw json.RawMessage) ([]byte, error) {
	var b *struct {
		Text *string
		Hex  string
	}
	if err := json.Unmarshal(raw, &b); err != nil || b == nil {
		return nil, err
	}
	if b.Text != nil {
		return []byte(*b.Text), nil
	}
	return hex.DecodeString(b.Hex)
}

// run says what is wrong; "" when nothing is.
func (v converterVector) run(r *plugin.Registry) string {
	c, err := v.converter(r)
	switch {
	case err != nil || v.Method == "configure" || v.Method == "configure(map)":
		return v.Error.Differs(err)
	case v.Method == "toConnectData" || v.Method == "toConnectHeader":
		b, err := bytesOf(v.Input)
		if err != nil {
			return err.Error()
		}
		got, err := c.to(b)
		if diff := v.Error.Differs(err); diff != "" || v.Error != nil {
			return diff
		}
		var want vector.Given
		if err := json.Unmarshal(v.Output, &want); err != nil {
			return err.Error()
		}
		return want.Differs(got)
	}
	var given vector.Given
	if err := json.Unmarshal(v.Input, &given); err != nil {
		return err.Error()
	}
	in, err := given.Read()
	if err != nil {
		return err.Error()
	}
	got, err := c.from(in)
	if diff := v.Error.Differs(err); diff != "" || v.Error != nil {
		return diff
	}
	want, err := bytesOf(v.Output)
	if err != nil || string(want) != string(got) || (want == nil) != (got == nil) {
		return fmt.Sprintf("%q\nwant %q %v", got, want, err)
	}
	return ""
}

func golden(t *testing.T, file string, onlyJava map[string]string) {
	t.Parallel()
	r, err := plugin.New(All()...)
	require.NoError(t, err)
	ran, left := 0, 0
	vector.Each(t, "testdata/"+file+".jsonl.gz", func(id string, v converterVector) {
		if onlyJava[id] != "" {
			left++
			return
		}
		ran++
		if diff := v.run(r); diff != "" {
			t.Errorf("%s: %s %s %v %s: %s", id, v.Class, v.Method, v.Config, v.Input, diff)
		}
	})
	require.Len(t, onlyJava, left, "no reason without a vector")
	t.Logf("%d vectors, %d only for a JVM", ran, left)
}

func TestGolden_JsonConverter_writes(t *testing.T) { golden(t, "json-converter-from", onlyJava) }

// onlyJava are vectors that only a JVM can give, with the reason.
var onlyJava = map[string]string{
	"jcf-1070": structDefault, "jcf-1071": structDefault, "jcf-1073": structDefault, "jcf-1074": structDefault, "jcf-1075": structDefault,
	"jcf-1155": "a converter that is not told what it converts; Configure always tells it here",
}

const structDefault = "the default of a struct: Java accepts one that was made of the unfinished schema, and then can't write it; here a schema has none"

func TestGolden_JsonConverter_reads(t *testing.T) { golden(t, "json-converter-to", nil) }

func TestGolden_plain_converters(t *testing.T) { golden(t, "primitive-converters", jdkTables) }

// jdkTables are vectors that only a JVM can give, with the reason.
var jdkTables = map[string]string{
	"pc-0271": brokenBytes, "pc-0272": brokenBytes, "pc-0277": brokenBytes, "pc-0287": brokenBytes, "pc-0303": brokenBytes, "pc-0319": brokenBytes, "pc-0325": brokenBytes,
	"pc-0288": "the JDK's GBK has a character for private use at FE61, the web's has none",
	"pc-0304": "the JDK's GB18030 has a character at FE61, the web's has none",
	"pc-0292": "the byte 80 is € in the web's GBK and nothing in the JDK's",
	"pc-0308": "the byte 80 is € in the web's GB18030 and nothing in the JDK's",
	"pc-0313": "the web's Big5 has a €, the JDK's has none",
}

const brokenBytes = "how many bytes of what is broken become one U+FFFD is a matter of the JDK's tables"

func TestGolden_SimpleHeaderConverter(t *testing.T) { golden(t, "simple-header", nil) }
