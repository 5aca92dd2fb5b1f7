package migrations_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/migrations"
)

var update = flag.Bool("update", false, "add new migrations to checksums.txt")

func TestALandedMigrationIsNeverEdited(t *testing.T) {
	t.Parallel()
	all, err := migrations.All()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	landed, err := os.ReadFile("checksums.txt")
	if !*update {
		require.NoError(t, err)
	}
	lines := strings.Split(strings.TrimSpace(string(landed)), "\n")
	if lines[0] == "" {
		lines = nil
	}
	for i, m := range all {
		line := m.Name + " " + m.Checksum
		if i < len(lines) {
			require.Equal(t, lines[i], line, "a migration that has landed was edited")
			continue
		}
		require.True(t, *update, "%s is not in checksums.txt: run go test ./migrations -update", m.Name)
		lines = append(lines, line)
	}
	require.Len(t, lines, len(all), "a migration that has landed is missing")
	if *update {
		require.NoError(t, os.WriteFile("checksums.txt", []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	}
}

func TestReadRefusesWhatBreaksTheRules(t *testing.T) {
	t.Parallel()
	file := &fstest.MapFile{Data: []byte("select 1")}
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"a gap in the numbers":       {fstest.MapFS{"0002_b.up.sql": file, "0002_b.down.sql": file}, "should have number 0001"},
		"a number used twice":        {fstest.MapFS{"0001_a.up.sql": file, "0001_a.down.sql": file, "0001_b.up.sql": file, "0001_b.down.sql": file}, "should have number 0002"},
		"a step without a way back":  {fstest.MapFS{"0001_a.up.sql": file}, "way back"},
		"a name that is no name":     {fstest.MapFS{"1_a.up.sql": file}, "is not named"},
		"a name with capital letter": {fstest.MapFS{"0001_A.up.sql": file}, "is not named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := migrations.Read(tc.files)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestReadKeepsOrderAndMarks(t *testing.T) {
	t.Parallel()
	all, err := migrations.Read(fstest.MapFS{
		"0001_a.up.sql": {Data: []byte("select 1")}, "0001_a.down.sql": {Data: []byte("select 2")},
		"0002_b.up.sql": {Data: []byte("-- no-transaction\nselect 3")}, "0002_b.down.sql": {Data: []byte("select 4")},
	})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "0001_a", all[0].Name)
	require.False(t, all[0].NoTransaction)
	require.True(t, all[1].NoTransaction)
	require.Equal(t, "select 4", all[1].Down)
	require.NotEqual(t, all[0].Checksum, all[1].Checksum)
}
