package env

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type config struct {
	url, token string
	n          int
	d          time.Duration
	list       []string
	m          map[string]string
	on         bool
}

func table() (*Table, *config) {
	c := &config{}
	t := New("prog", "does a thing.")
	t.String(&c.url, "postgres-url", "postgres://x", "Where the database is.")
	t.Secret(&c.token, "internal-token", "Shared secret.")
	t.Int(&c.n, "workers", 2, "How many.")
	t.Duration(&c.d, "drain-timeout", 30*time.Second, "How long.")
	t.List(&c.list, "pools", "a,b", "Which.")
	t.Map(&c.m, "labels", "", "Labels.")
	t.Bool(&c.on, "verbose", false, "More words.")
	return t, c
}

func noEnv(string) string { return "" }

func TestParse(t *testing.T) {
	t.Parallel()

	t.Run("defaults apply where nothing is given", func(t *testing.T) {
		t.Parallel()
		tab, c := table()
		rest, err := tab.Parse(nil, noEnv, &bytes.Buffer{}, "v")
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, config{url: "postgres://x", n: 2, d: 30 * time.Second, list: []string{"a", "b"}, m: map[string]string{}}, *c)
	})
	t.Run("the environment beats defaults and a flag beats the environment", func(t *testing.T) {
		t.Parallel()
		tab, c := table()
		getenv := func(k string) string {
			return map[string]string{"MILLRACE_WORKERS": "3", "MILLRACE_POSTGRES_URL": "postgres://env", "MILLRACE_LABELS": "a=1, b=2"}[k]
		}
		rest, err := tab.Parse([]string{"-workers", "4", "-verbose", "migrate", "up"}, getenv, &bytes.Buffer{}, "v")
		require.NoError(t, err)
		require.Equal(t, []string{"migrate", "up"}, rest)
		require.Equal(t, 4, c.n)
		require.Equal(t, "postgres://env", c.url)
		require.True(t, c.on)
		require.Equal(t, map[string]string{"a": "1", "b": "2"}, c.m)
	})
	t.Run("all problems are told at once, naming key and value", func(t *testing.T) {
		t.Parallel()
		tab, _ := table()
		_, err := tab.Parse([]string{"-drain-timeout=soon"}, func(k string) string {
			if k == "MILLRACE_WORKERS" {
				return "many"
			}
			return ""
		}, &bytes.Buffer{}, "v")
		require.ErrorContains(t, err, `MILLRACE_WORKERS="many": must be a whole number`)
		require.ErrorContains(t, err, `-drain-timeout="soon": must be a duration`)
	})
	t.Run("an unknown flag points to the help", func(t *testing.T) {
		t.Parallel()
		tab, _ := table()
		_, err := tab.Parse([]string{"-nope"}, noEnv, &bytes.Buffer{}, "v")
		require.ErrorContains(t, err, "-nope")
		require.ErrorContains(t, err, "prog -help")
	})
	t.Run("help and version print and stop", func(t *testing.T) {
		t.Parallel()
		tab, _ := table()
		var out bytes.Buffer
		_, err := tab.Parse([]string{"-help"}, noEnv, &out, "v")
		require.ErrorIs(t, err, ErrHelp)
		require.Contains(t, out.String(), "MILLRACE_INTERNAL_TOKEN")
		out.Reset()
		_, err = tab.Parse([]string{"-version"}, noEnv, &out, "prog 1.2")
		require.ErrorIs(t, err, ErrHelp)
		require.Equal(t, "prog 1.2\n", out.String())
	})
}

func TestMarkdownListsEverySetting(t *testing.T) {
	t.Parallel()
	tab, _ := table()
	var out bytes.Buffer
	tab.Markdown(&out)
	for _, s := range tab.settings {
		require.Contains(t, out.String(), "`"+Variable(s.name)+"`")
	}
}
