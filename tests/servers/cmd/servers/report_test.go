package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport_shows_failures_and_lists_what_was_left_out(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	n := report(strings.NewReader(`{"Action":"output","Package":"p","Test":"TestA","Output":"boom\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":1.5}
{"Action":"output","Package":"q","Test":"TestB","Output":"    x.go:1: left out: java is missing\n"}
{"Action":"skip","Package":"q","Test":"TestB"}
{"Action":"output","Package":"q","Test":"TestD","Output":"    x.go:1: left out, as it may be: elsewhere\n"}
{"Action":"skip","Package":"q","Test":"TestD"}
{"Action":"output","Package":"q","Test":"TestC","Output":"chatter\n"}
{"Action":"pass","Package":"q","Test":"TestC"}
{"Action":"pass","Package":"q","Elapsed":0.1}
not json
`), &out)
	require.Equal(t, 1, n)
	require.Contains(t, out.String(), "boom")
	require.NotContains(t, out.String(), "chatter")
	require.Contains(t, out.String(), "left out (1): java is missing\n    q.TestB\n")
	require.Contains(t, out.String(), "left out (1): elsewhere\n    q.TestD\n")
	require.Contains(t, out.String(), "not json")
}

// A process that crashes says so in the midst of a test, for which no end is told.
func TestReport_shows_what_a_process_said_before_it_crashed(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	report(strings.NewReader(`{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"SIGSEGV: segmentation violation\n"}
{"Action":"output","Package":"p2","Test":"TestC","Output":"another\n"}
{"Action":"output","Package":"p","Output":"exit status 2\n"}
{"Action":"fail","Package":"p","Elapsed":1.5}
`), &out)
	require.Contains(t, out.String(), "SIGSEGV")
	require.Contains(t, out.String(), "exit status 2")
	require.NotContains(t, out.String(), "chatter")
	require.NotContains(t, out.String(), "another")
}

func TestRounds_what_measures_time_is_tested_alone_and_last(t *testing.T) {
	t.Parallel()
	alone := []string{"t", "u"}
	require.Equal(t, [][]string{{"a", "b"}, {"t"}}, rounds([]string{"a", "t", "b"}, alone))
	require.Equal(t, [][]string{{"u"}, {"t"}}, rounds([]string{"u", "t"}, alone))
	require.Empty(t, rounds(nil, alone))
}
