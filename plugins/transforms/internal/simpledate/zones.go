package simpledate

import "strings"

// Zone is a time zone as a text names it: with its offset then, summer time included. The zero Zone is UTC.
type Zone struct {
	Offset int32 // ms east of Greenwich
	Short  string
	Long   string
}

func (z Zone) short() string {
	if z.Short == "" {
		return "UTC"
	}
	return z.Short
}

func (z Zone) long() string {
	if z.Long == "" {
		return "Coordinated Universal Time"
	}
	return z.Long
}

// zones are the names that are understood. Where several zones share one, it is the best known.
var zones = func() (all []Zone) {
	for _, z := range []struct {
		minutes     int32
		short, long string
	}{
		{0, "UTC", "Coordinated Universal Time"},
		{0, "WET", "Western European Standard Time"}, {60, "WEST", "Western European Summer Time"}, {60, "BST", "British Summer Time"},
		{60, "CET", "Central European Standard Time"}, {120, "CEST", "Central European Summer Time"},
		{120, "EET", "Eastern European Standard Time"}, {180, "EEST", "Eastern European Summer Time"},
		{180, "MSK", "Moscow Standard Time"}, {120, "SAST", "South Africa Standard Time"}, {120, "CAT", "Central Africa Time"}, {180, "EAT", "East Africa Time"},
		{-300, "EST", "Eastern Standard Time"}, {-240, "EDT", "Eastern Daylight Time"}, {-360, "CST", "Central Standard Time"}, {-300, "CDT", "Central Daylight Time"},
		{-420, "MST", "Mountain Standard Time"}, {-360, "MDT", "Mountain Daylight Time"}, {-480, "PST", "Pacific Standard Time"}, {-420, "PDT", "Pacific Daylight Time"},
		{-540, "AKST", "Alaska Standard Time"}, {-480, "AKDT", "Alaska Daylight Time"}, {-600, "HST", "Hawaii-Aleutian Standard Time"},
		{-240, "AST", "Atlantic Standard Time"}, {-180, "ADT", "Atlantic Daylight Time"}, {-210, "NST", "Newfoundland Standard Time"}, {-150, "NDT", "Newfoundland Daylight Time"},
		{330, "IST", "India Standard Time"}, {300, "PKT", "Pakistan Standard Time"}, {420, "WIB", "Western Indonesia Time"}, {480, "SGT", "Singapore Standard Time"},
		{480, "HKT", "Hong Kong Standard Time"}, {540, "JST", "Japan Standard Time"}, {540, "KST", "Korean Standard Time"},
		{480, "AWST", "Australian Western Standard Time"}, {570, "ACST", "Australian Central Standard Time"}, {630, "ACDT", "Australian Central Daylight Time"},
		{600, "AEST", "Australian Eastern Standard Time"}, {660, "AEDT", "Australian Eastern Daylight Time"},
		{720, "NZST", "New Zealand Standard Time"}, {780, "NZDT", "New Zealand Daylight Time"},
	} {
		all = append(all, Zone{Offset: z.minutes * 60_000, Short: z.short, Long: z.long})
	}
	return all
}()

// zoneNamed finds the zone whose name a text begins with, without regard to case, and the length of that name. The longest
// name counts.
func zoneNamed(text string) (found Zone, length int) {
	for _, z := range zones {
		for _, name := range []string{z.Long, z.Short} {
			if len(name) > length && hasPrefixFold(text, name) {
				found, length = z, len(name)
			}
		}
	}
	return found, length
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
