package runtime_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each case of Kafka Connect's runtime has a test, or a reason why not; each test that carries a number is in the list.
func TestCases_name_tests_that_are_there(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("cases.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| case") || strings.HasPrefix(line, "| ---") {
			continue
		}
		names := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(line, -1)
		require.True(t, len(names) > 0 || strings.Contains(line, "**not**"), "%s", line)
		for _, n := range names {
			listed[n[1]] = true
		}
	}
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			return err
		}
		for _, m := range declared.FindAllSubmatch(code, -1) {
			there[string(bytes.TrimSpace(m[1]))] = true
		}
		return nil
	}))
	require.Greater(t, len(there), 100)
	for name := range listed {
		require.True(t, there[name], "%s is listed and not there", name)
	}
	for name := range there {
		require.True(t, listed[name] || !strings.HasPrefix(name, "TestRuntime_"), "%s is not listed", name)
	}
}
