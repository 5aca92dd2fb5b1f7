package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// LastCase is the number of cases of the REST contract.
const LastCase = 195

// Cases are the titles of the contract's cases by their numbers.
func Cases(t *testing.T) map[int]string {
	t.Helper()
	b, err := testdata.ReadFile("testdata/cases.txt")
	require.NoError(t, err)
	titles := map[int]string{}
	for line := range strings.Lines(string(b)) {
		number, title, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		require.NoError(t, err, line)
		require.NotEmpty(t, title, line)
		require.NotContains(t, titles, n)
		titles[n] = title
	}
	return titles
}

// Replayed are the recorded exchanges whose answers are compared, as "file id", by the numbers of their cases, where the plugins
// of these classes are installed.
func Replayed(t *testing.T, classes []string) map[int][]string {
	t.Helper()
	missing, err := notAmong(classes)
	require.NoError(t, err)
	by := map[int][]string{}
	for _, file := range Files(t) {
		b, err := read(file)
		require.NoError(t, err)
		p := &Player{file: file, missing: missing, target: Target{Ours: Ours}}
		for line := range bytes.Lines(b) {
			var r row
			require.NoError(t, json.Unmarshal(line, &r))
			reason, _ := p.leftOut(r)
			if number, _, ok := strings.Cut(r.ID, "."); ok && r.Case > 0 {
				require.Equal(t, fmt.Sprintf("%03d", r.Case), number, "%s %s", file, r.ID)
			}
			if reason == "" && r.Case > 0 {
				by[r.Case] = append(by[r.Case], file+" "+r.ID)
			}
		}
	}
	return by
}
