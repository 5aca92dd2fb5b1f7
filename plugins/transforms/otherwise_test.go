package transforms_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/data/vector"
)

// differences are the vectors whose answer is another one here, or that can't be asked, by reason.
var differences = map[string]string{
	"a schema of structs can't have a default here: Java's comes from a schema that was not finished, and equals no other": "cast-1611 cast-1612 flat-0078 flat-0079 flat-0080 " +
		"tsc-2044 tsc-2045 meta-0011 meta-0049 meta-0050 meta-0088 meta-0127 meta-0128 meta-0166 meta-0167 meta-0205 meta-0206 meta-0244 meta-0245 meta-0283",
	"a record without a topic; there is none in Kafka": "ins-0016 ins-0048 ins-0064 ins-0080 ins-0096 ins-0112 ins-0128 ins-0144 ins-0160 ins-0176 ins-0192 ins-0208 ins-0224 " +
		"ins-0256 ins-0272 ins-0320 ins-0352 regex-0083 tsr-0129 pred-0053 pred-0054",
	"the timestamp -1, which stands for none here, as it does in Kafka":                                                       "tsr-0031 tsr-0032 tsr-0034 tsr-0035 tsr-0036 tsr-0037 tsr-0038 tsr-0039 tsr-0040 tsr-0042 tsr-0043 tsr-0044 tsr-0045",
	"Java prints the address of an object":                                                                                    "ins-0362 ins-0363 ins-0368 ins-0369",
	"Java has a NullPointerException for a field that is missing; here it is a DataException that names the field":            "hfrom-0101 hfrom-0102 hfrom-0117",
	"Java has a NullPointerException for a text without a pattern; here it is the DataException of a text that can't be read": "tsc-0431 tsc-0432 tsc-0434 tsc-0435 tsc-0437 tsc-0438 tsc-0440",
	"null in a configuration, which Java notices late; the api refuses null":                                                  "pred-0073 repl-0307 repl-0308 ext-0325 hoist-0039",
	"Java has an ArrayIndexOutOfBoundsException for a colon alone; here it is a ConfigException":                              "cast-1706",
	"an empty path is refused with the configuration; Java notices with the first record, by accident":                        "ext-0271 ext-0272 ext-0274 ext-0275 ext-0276 ext-0278",
}

var otherwise = func() map[string]string {
	out := map[string]string{}
	for reason, ids := range differences {
		for _, id := range strings.Fields(ids) {
			out[id] = reason
		}
	}
	return out
}()

func TestGolden_what_differs_is_among_the_vectors(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".gz") {
			vector.Each(t, "testdata/"+f.Name(), func(id string, _ json.RawMessage) { known[id] = true })
		}
	}
	for id, reason := range otherwise {
		if !known[id] {
			t.Errorf("%s is not among the vectors: %s", id, reason)
		}
	}
	t.Logf("%d vectors, %d differ", len(known), len(otherwise))
}
