package zone_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/zone"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, seconds := range map[string]int{"UTC": 0, "Z": 0, "+02:00": 7200, "UTC+2": 7200, "GMT-5": -18000, "PST": -8 * 3600, "EST": -5 * 3600, "Europe/Paris": 3600, "-0330": -12600} {
		l, err := zone.Load(name)
		require.NoError(t, err, name)
		_, got := at.In(l).Zone()
		require.Equal(t, seconds, got, name)
	}
	for _, name := range []string{"", "Local", "Mars/Olympus", "+19:00", "../etc/passwd", "+02:70"} {
		_, err := zone.Load(name)
		require.ErrorContains(t, err, "Invalid time zone", name)
	}
}

func TestWallAndBack(t *testing.T) {
	t.Parallel()
	ny, err := zone.Load("America/New_York")
	require.NoError(t, err)
	const form = "2006-01-02 15:04:05"
	for _, c := range []zone.Calendar{zone.Legacy, zone.Proleptic} {
		at := time.Date(2024, 7, 1, 16, 0, 0, 0, time.UTC)
		wall := c.Wall(at, ny)
		require.Equal(t, "2024-07-01 12:00:00", wall.Format(form))
		require.True(t, at.Equal(c.Instant(wall, ny)))
	}
	// The clock stands twice, then leaves an hour out.
	twice := time.Date(2024, 11, 3, 1, 30, 0, 0, time.UTC)
	require.Equal(t, "2024-11-03 05:30:00", zone.Legacy.Instant(twice, ny).UTC().Format(form))
	gone := time.Date(2024, 3, 10, 2, 30, 0, 0, time.UTC)
	require.Equal(t, "2024-03-10 07:30:00", zone.Legacy.Instant(gone, ny).UTC().Format(form))

	// Java's old calendar, and today's.
	require.Equal(t, int64(-719164), zone.Legacy.Instant(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC).Unix()/86400)
	require.Equal(t, int64(-719162), zone.Proleptic.Instant(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC).Unix()/86400)
	require.Equal(t, "0001-01-01 00:00:00", zone.Legacy.Wall(time.Unix(-719164*86400, 0), time.UTC).Format(form))
	require.Equal(t, "1582-10-04", zone.Legacy.Wall(time.Date(1582, 10, 14, 0, 0, 0, 0, time.UTC), time.UTC).Format("2006-01-02"))
	require.Equal(t, "1582-10-15", zone.Legacy.Wall(time.Date(1582, 10, 15, 0, 0, 0, 0, time.UTC), time.UTC).Format("2006-01-02"))
}
