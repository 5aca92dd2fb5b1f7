package pgstore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

func shownOf(name, trace string) cluster.Shown {
	return cluster.Shown{Name: name, Status: &cluster.ShownState{Trace: trace}}
}

func (s *seen) lookedAt(now string, lost bool, changed []string, names ...string) look {
	l := s.begin(names)
	s.moved(&l, names, place{now, "server"}, lost, changed)
	return l
}

func TestSeen_asks_only_for_what_is_not_known_or_has_changed(t *testing.T) {
	t.Parallel()
	var s seen
	l := s.lookedAt("1", false, nil, "a", "b")
	require.Equal(t, []string{"a", "b"}, l.asked)
	require.Empty(t, l.known)
	s.keep(l, []cluster.Shown{shownOf("a", "old"), shownOf("b", "old")})

	l = s.lookedAt("2", false, []string{"a", "other"}, "a", "b", "c")
	require.Equal(t, []string{"c"}, l.asked)
	require.Equal(t, []string{"a"}, l.behind)
	require.Equal(t, map[string]cluster.Shown{"b": shownOf("b", "old")}, l.known)
}

func TestSeen_forgets_what_it_can_not_trust(t *testing.T) {
	t.Parallel()
	many := make([]string, seenChanges+1)
	for name, distrust := range map[string]func(s *seen) look{
		"changes were deleted before it looked": func(s *seen) look { return s.lookedAt("2", true, nil, "a") },
		"too many changes to tell":              func(s *seen) look { return s.lookedAt("2", false, many, "a") },
		"an error":                              func(s *seen) look { s.forget(); return s.lookedAt("2", false, nil, "a") },
		"another server": func(s *seen) look {
			l := s.begin([]string{"a"})
			s.moved(&l, []string{"a"}, place{"2", "another"}, false, nil)
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s seen
			s.keep(s.lookedAt("1", false, nil, "a"), []cluster.Shown{shownOf("a", "old")})
			require.Equal(t, map[string]cluster.Shown{"a": shownOf("a", "old")}, s.lookedAt("1", false, nil, "a").known)
			l := distrust(&s)
			require.Empty(t, l.known)
			require.Equal(t, []string{"a"}, append(l.asked, l.behind...))
		})
	}
}

// What one look read is not kept when another has looked meanwhile: it might have seen a change that is missing there.
func TestSeen_keeps_nothing_that_was_read_before_the_last_look(t *testing.T) {
	t.Parallel()
	var s seen
	slow := s.lookedAt("1", false, nil, "a")
	s.keep(s.lookedAt("2", false, []string{"a"}, "a"), []cluster.Shown{shownOf("a", "new")})
	s.keep(slow, []cluster.Shown{shownOf("a", "old")})
	require.Equal(t, map[string]cluster.Shown{"a": shownOf("a", "new")}, s.lookedAt("3", false, nil, "a").known)
}

// A look that ends after another, and began before it, is of use for its own reader only.
func TestSeen_never_goes_back(t *testing.T) {
	t.Parallel()
	var s seen
	s.keep(s.lookedAt("1", false, nil, "x", "y"), []cluster.Shown{shownOf("x", "1"), shownOf("y", "1")})
	slow := s.begin([]string{"x", "y", "z"})
	s.keep(s.lookedAt("4", false, []string{"x"}, "x"), []cluster.Shown{shownOf("x", "4")})
	s.moved(&slow, []string{"x", "y", "z"}, place{"2", "server"}, false, []string{"y"})
	require.Empty(t, slow.known["y"], "it has changed")
	require.Equal(t, []string{"z"}, slow.asked)
	s.keep(slow, []cluster.Shown{shownOf("z", "3")})
	require.Equal(t, place{"4", "server"}, s.at)
	l := s.begin([]string{"x", "y", "z"})
	require.Equal(t, []string{"y", "z"}, l.asked, "what it read may be older than the place")
}

func TestSeen_takes_a_bounded_amount_of_memory(t *testing.T) {
	t.Parallel()
	var s seen
	trace := strings.Repeat("x", 1<<20)
	for i := range 200 {
		name := fmt.Sprint("c", i%150)
		s.keep(s.lookedAt(fmt.Sprint(i), false, nil, name), []cluster.Shown{shownOf(name, trace)})
		sum := 0
		for _, c := range s.known {
			sum += weight(c)
		}
		require.Equal(t, sum, s.size)
		require.LessOrEqual(t, s.size, seenBytes)
	}
	require.Greater(t, s.size, seenBytes/2)
}
