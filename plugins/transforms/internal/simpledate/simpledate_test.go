package simpledate

import (
	"testing"
	"time"

	"github.com/millrace/millrace/sdk/data"
)

var now = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

func format(t testing.TB, pattern string) *Format {
	t.Helper()
	f, err := New(pattern, now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNew_refuses_what_Java_refuses_in_its_words(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{"bad": "Illegal pattern character 'b'", "yyyy-MM-ddTHH": "Illegal pattern character 'T'", "yyyy'": "Unterminated quote", "'": "Unterminated quote",
		"XXXX": "invalid ISO 8601 format: length=4", "n": "Illegal pattern character 'n'"} {
		if _, err := New(pattern, now); err == nil || err.Error() != want {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestText_writes_each_letter_as_Java_does(t *testing.T) {
	t.Parallel()
	at := data.Instant(1709164799009) // Wednesday, 28 February 2024, 23:59:59.009
	for pattern, want := range map[string]string{
		"G y yy yyy yyyyy": "AD 2024 24 2024 02024", "Y YY w ww W": "2024 24 9 09 5", "M MM MMM MMMM L LLLL": "2 02 Feb February 2 February", "D DDDD d ddd F": "59 0059 28 028 4",
		"E EEEE u uu": "Wed Wednesday 3 03", "a H k K h hh": "PM 23 23 11 11 11", "m s S SSSS": "59 59 9 0009", "z zzzz Z X XX XXX": "UTC Coordinated Universal Time +0000 Z Z Z",
		"'it''s' yyyy''": "it's 2024'", "ü/yyyy.": "ü/2024.", "": "",
	} {
		if got := format(t, pattern).Text(at, Zone{}); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
	for at, want := range map[data.Instant]string{-1: "1969-12-31 24 1970-01", -62135769600000: "0001-01-01 24 0001-01", -62135769600001: "0001-12-31 24 0001-01", 1704067199999: "2023-12-31 24 2024-01"} {
		if at == -1 || at%1000 != 0 { // the last millisecond of a day
			want = want[:11] + "23" + want[13:]
		}
		if got := format(t, "yyyy-MM-dd kk YYYY-ww").Text(at, Zone{}); got != want {
			t.Errorf("%d: %s, want %s", at, got, want)
		}
	}
	if got := format(t, "HH:mm Z X XXX z zzzz").Text(0, Zone{Offset: -210 * 60_000, Short: "NST", Long: "Newfoundland Standard Time"}); got != "20:30 -0330 -03 -03:30 NST Newfoundland Standard Time" {
		t.Error(got)
	}
}

func TestParse_is_as_lenient_as_Java(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          int64
	}{
		{"yyyy-MM-dd", "2020-02-30", 1583020800000}, {"yyyy-MM-dd", "2020-13-45", 1613260800000}, {"yyyy-MM-dd", " 2020- 2-03", 1580688000000}, {"yyyy-MM-dd", "2020-02-3x", 1580688000000},
		{"yyyy-MM-dd", "-2020-02-03", -125910892800000}, {"yyyy-MM-dd", "1582-10-10", -12218860800000}, {"yyyy-MM-dd", "0001-01-01", -62135769600000}, {"yyyy-MM-dd", "٢٠٢٠-٠٢-٠٣", 1580688000000},
		{"yyyyMMdd", "2020203", 1627948800000}, {"HHmm", "405", 144300000}, {"Hmm", "405", 14700000}, {"yy-MM-dd", "20-02-03", 1580688000000}, {"yy", "45", 2366841600000}, {"yy", "47", -725846400000},
		{"yyyy", "20", -61536240000000}, {"HH:mm:ss", "-1:00:00", -3600000}, {"kk:mm", "24:30", 1800000}, {"hh:mm a", "12:30 pm", 45000000}, {"ss.SSS", "01.5", 1005}, {"S", "1577836801234", 1583803602},
		{"yyyy-DDD", "2019-366", 1577836800000}, {"YYYY-'W'ww-u", "2020-W06-1", 1580688000000}, {"YYYY-'W'ww", "2020-W01", 1577577600000}, {"yyyy-ww", "2020-06", 1580601600000}, {"F", "2", 864000000},
		{"u", "3", 518400000}, {"W", "2", 259200000}, {"yyyy G", "0044 BC", -63524304000000}, {"dd MMM yyyy", "03 february 2020", 1580688000000}, {"EEE, dd MMM yyyy", "Tue, 03 Feb 2020", 1580688000000},
		{"HH X", "00 +01", -3600000}, {"HH XX", "00 +0130", -5400000}, {"HH XXX", "00 -01:30", 5400000}, {"HH Z", "00 -0800", 28800000}, {"HH z", "00 PST", 28800000}, {"HH z", "00 GMT+1:00", -3600000},
		{"HH z", "00 Pacific Daylight Time", 25200000}, {"yyyy-MM-F-E", "2020-02--1-Mon", 1582502400000},
	} {
		at, _, ok := format(t, c.pattern).Parse(c.text)
		if !ok || int64(at) != c.want {
			t.Errorf("%s %q: %d, %v, want %d", c.pattern, c.text, int64(at), ok, c.want)
		}
	}
	for pattern, text := range map[string]string{"yyyy-MM-dd": "2020-02-", "yyyy": "+20", "dd MMM": "03 Foo", "X": "+1", "XXX": "+24:00", "Z": "-08:00", "z": "Nowhere", "'at' yyyy": "xx 2020", "HH  mm": "04 05", "a": "", "yyyyMM": "202", "G": " AD"} {
		if at, _, ok := format(t, pattern).Parse(text); ok {
			t.Errorf("%s %q: %d", pattern, text, int64(at))
		}
	}
}

func TestParse_keeps_the_zone_that_a_text_names(t *testing.T) {
	t.Parallel()
	f := format(t, "yyyy-MM-dd HH:mm z")
	at, zone, ok := f.Parse("2020-07-01 00:00 pdt")
	if got := f.Text(at, zone); !ok || got != "2020-07-01 00:00 PDT" || int64(at) != 1593586800000 {
		t.Error(got, ok, int64(at))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range [][2]string{{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2020-01-01T00:00:00.000+01:00"}, {"EEE MMM d H:m a z", "Mon Feb 3 4:05 PM GMT+1:00"}, {"YYYY-'W'ww-u", "2020-W01-1"}, {"yyMMddhhK", "20"}, {"G''F", "BC'9"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		p, err := New(pattern, now)
		if err != nil || len(pattern) > 100 || len(text) > 200 {
			return
		}
		at, zone, ok := p.Parse(text)
		if !ok {
			return
		}
		if first := p.Text(at, zone); first != p.Text(at, zone) {
			t.Fatal(first)
		}
	})
}

// What is written is read again, by patterns that say all of it.
func FuzzText_comes_back(f *testing.F) {
	for _, ms := range []int64{0, -1, 1709164799009, -62135769600001, -12219292800000, -12219292800001, 253402300800000} {
		f.Add(ms)
	}
	f.Fuzz(func(t *testing.T, ms int64) {
		if ms = ms % 8_000_000_000_000_00; ms > 3_000_000_000_000_00 || ms < -3_000_000_000_000_00 {
			return
		}
		for _, pattern := range []string{"yyyy-MM-dd HH:mm:ss.SSS G", "G yyyy D k:m:s.S", "EEEE, d MMMM yyyy G hh:mm:ss.SSS a XXX"} {
			p := format(t, pattern)
			text := p.Text(data.Instant(ms), Zone{})
			if at, _, ok := p.Parse(text); !ok || int64(at) != ms {
				t.Errorf("%s: %d is %s, which is %d (%v)", pattern, ms, text, int64(at), ok)
			}
		}
	})
}
