package plugin

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Range is what a configuration asks of a plugin's version: the newest one, exactly one, or one between bounds, in the
// syntax of Maven's version ranges. The zero value asks for the newest.
type Range struct {
	restricted bool
	intervals  []interval
}

// interval is one part of a range. A nil bound is open.
type interval struct {
	low, high         *string
	withLow, withHigh bool
	nothing           bool // the version "", which no plugin has
}

// ParseRange reads a version or a range of versions; "latest" asks for the newest. The error's kind is connecterr.Config.
func ParseRange(spec string) (Range, error) {
	if spec == "latest" {
		return Range{}, nil
	}
	bad := func(why string) (Range, error) {
		return Range{}, connecterr.New(connecterr.Config, "%s: %s", why, spec)
	}
	r := Range{restricted: true}
	rest := spec
	for strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, "(") {
		end := strings.IndexAny(rest, ")]")
		if end < 0 {
			return bad("Unbounded range")
		}
		part, why := parseInterval(rest[:end+1])
		if why != "" {
			return bad(why)
		}
		if n := len(r.intervals); n > 0 {
			before := r.intervals[n-1].high
			if before != nil && (part.low == nil || CompareVersions(*part.low, *before) < 0) {
				return bad("Ranges overlap")
			}
		}
		r.intervals = append(r.intervals, part)
		rest = strings.TrimSpace(rest[end+1:])
		rest = strings.TrimSpace(strings.TrimPrefix(rest, ","))
	}
	switch {
	case len(r.intervals) == 0:
		only := strings.TrimSpace(rest)
		r.intervals = []interval{{low: &only, high: &only, withLow: true, withHigh: true, nothing: only == ""}}
	case rest != "":
		return bad("Only ranges can be listed, each in brackets")
	}
	return r, nil
}

func parseInterval(text string) (i interval, why string) {
	i.withLow, i.withHigh = text[0] == '[', text[len(text)-1] == ']'
	low, high, two := strings.Cut(text[1:len(text)-1], ",")
	low, high = strings.TrimSpace(low), strings.TrimSpace(high)
	if !two {
		if !i.withLow || !i.withHigh {
			return i, "A single version must be surrounded by []"
		}
		high = low
	}
	if low != "" {
		i.low = &low
	}
	if high != "" {
		i.high = &high
	}
	if i.low != nil && i.high != nil {
		if c := CompareVersions(low, high); c > 0 || c == 0 && (!i.withLow || !i.withHigh) {
			return i, "The range ends before it begins"
		}
	}
	return i, ""
}

// Contains tells whether a version is in the range.
func (r Range) Contains(version string) bool {
	return !r.restricted || slices.ContainsFunc(r.intervals, func(i interval) bool {
		if i.nothing {
			return false
		}
		if i.low != nil {
			if c := CompareVersions(version, *i.low); c < 0 || c == 0 && !i.withLow {
				return false
			}
		}
		if i.high != nil {
			if c := CompareVersions(version, *i.high); c > 0 || c == 0 && !i.withHigh {
				return false
			}
		}
		return true
	})
}

// String is the range in Maven's notation.
func (r Range) String() string {
	if !r.restricted {
		return "latest"
	}
	parts := make([]string, len(r.intervals))
	for k, i := range r.intervals {
		text := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		left, right := "(", ")"
		if i.withLow {
			left = "["
		}
		if i.withHigh {
			right = "]"
		}
		parts[k] = left + text(i.low) + "," + text(i.high) + right
	}
	return strings.Join(parts, ",")
}

// CompareVersions compares versions by Maven's rules: number by number, where a missing number is 0; words come before
// numbers, and alpha, beta, milestone, rc and snapshot before the release they lead to.
func CompareVersions(a, b string) int {
	x, y := versionParts(a), versionParts(b)
	for i := range max(len(x), len(y)) {
		var p, q versionPart
		switch {
		case i >= len(x):
			p, q = none(y[i]), y[i]
		case i >= len(y):
			p, q = x[i], none(x[i])
		default:
			p, q = x[i], y[i]
		}
		if c := p.compare(q); c != 0 {
			return c
		}
	}
	return 0
}

// versionPart is a number or a word of a version.
type versionPart struct {
	number int
	word   string
	isWord bool
}

// none is what is there in place of a part that is missing: 0, or no word.
func none(other versionPart) versionPart { return versionPart{isWord: other.isWord} }

func versionParts(v string) (parts []versionPart) {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	v = strings.ToLower(v)
	for i := 0; i < len(v); {
		if strings.IndexByte(".-_+", v[i]) >= 0 {
			i++
			continue
		}
		j := i
		for j < len(v) && strings.IndexByte(".-_+", v[j]) < 0 && digit(v[j]) == digit(v[i]) {
			j++
		}
		p := versionPart{word: v[i:j], isWord: true}
		if n, err := strconv.Atoi(v[i:j]); err == nil && digit(v[i]) {
			p = versionPart{number: n}
		}
		parts = append(parts, p)
		i = j
	}
	return parts
}

// ranks are the words that Maven knows, from old to new; others come behind them.
var ranks = map[string]int{"alpha": 1, "a": 1, "beta": 2, "b": 2, "milestone": 3, "m": 3, "rc": 4, "cr": 4, "snapshot": 5, "": 6, "ga": 6, "final": 6, "release": 6, "sp": 7}

func (p versionPart) compare(q versionPart) int {
	switch {
	case !p.isWord && !q.isWord:
		return cmp.Compare(p.number, q.number)
	case !p.isWord:
		return 1
	case !q.isWord:
		return -1
	}
	rank := func(w string) int {
		if r, known := ranks[w]; known {
			return r
		}
		return len(ranks)
	}
	if c := cmp.Compare(rank(p.word), rank(q.word)); c != 0 {
		return c
	}
	if _, known := ranks[p.word]; known {
		return 0
	}
	return cmp.Compare(p.word, q.word)
}
