package pgstore

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

// modelLook is a look whose steps lie apart, with anything between them.
type modelLook struct {
	look
	names   []string
	least   map[string]int // what had been acknowledged before it began
	checked bool
	now     int
	changed []string
	fresh   []cluster.Shown
}

// However many looks are under way, and in whatever order their steps come, none shows what is older than what had been
// acknowledged before it began. The database is a list of changes; a snapshot is how many of them there were.
func TestSeen_no_order_of_looks_shows_what_is_old(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b"}
	var remembered int
	check := func(t *rapid.T) {
		var s seen
		var changes []string
		var looks []*modelLook
		version := func(name string) (n int) {
			for _, c := range changes {
				if c == name {
					n++
				}
			}
			return n
		}
		read := func(asked []string) (all []cluster.Shown) {
			for _, n := range asked {
				all = append(all, shownOf(n, strconv.Itoa(version(n))))
			}
			return all
		}
		finish := func(l *modelLook) {
			s.moved(&l.look, l.names, place{strconv.Itoa(l.now), "server"}, false, l.changed)
			remembered += len(l.known)
			l.add(l.fresh)
			s.keep(l.look, l.fresh)
			again := read(l.behind)
			l.add(again)
			s.keep(l.look, again)
			for _, n := range l.names {
				got, err := strconv.Atoi(l.known[n].Status.Trace)
				require.NoError(t, err)
				if got < l.least[n] {
					t.Fatalf("version %d of %s was shown, %d had been acknowledged", got, n, l.least[n])
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) { changes = append(changes, rapid.SampledFrom(names).Draw(t, "name")) },
			"begin": func(t *rapid.T) {
				if len(looks) == 4 {
					t.Skip() // so that they also end
				}
				l := &modelLook{names: slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(rapid.SampledFrom(names), 1, 2).Draw(t, "names")))), least: map[string]int{}}
				for _, n := range l.names {
					l.least[n] = version(n)
				}
				l.look = s.begin(l.names)
				looks = append(looks, l)
			},
			"step": func(t *rapid.T) {
				if len(looks) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(looks)-1).Draw(t, "look")
				l := looks[i]
				switch {
				case !l.checked:
					l.checked, l.now = true, len(changes)
					if since, err := strconv.Atoi(l.at.snapshot); err == nil {
						l.changed = slices.Clone(changes[since:])
					}
				case l.fresh == nil && len(l.asked) > 0:
					l.fresh = read(l.asked)
				default:
					looks = slices.Delete(looks, i, i+1)
					finish(l)
				}
			},
			"error": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
					s.forget()
				}
			},
		})
	}
	for range 10 { // what goes wrong needs three looks that overlap, and a fourth
		rapid.Check(t, check)
	}
	require.Positive(t, remembered, "nothing was ever remembered: the test says nothing")
}
