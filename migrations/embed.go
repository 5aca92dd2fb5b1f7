// Package migrations holds the control plane's database schema as numbered steps, and their checksums. It runs nothing:
// controlplane/pgmigrate does. Start reading at README.md.
package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FS holds the files NNNN_what.up.sql and NNNN_what.down.sql.
//
//go:embed *.up.sql *.down.sql
var FS embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version  int
	Name     string // "0001_control_plane"
	Up, Down string // SQL
	Checksum string // of Up, hex
	// NoTransaction says that Up and Down run outside a transaction, as CREATE INDEX CONCURRENTLY must: their first line is
	// "-- no-transaction". Such a file holds one statement.
	NoTransaction bool
}

var fileName = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.up\.sql$`)

// All lists the migrations of this program by version.
func All() ([]Migration, error) { return Read(FS) }

// Read lists the migrations of a file system by version: numbered from 1 without gaps, each with its way back.
func Read(files fs.FS) ([]Migration, error) {
	names, err := fs.Glob(files, "*.up.sql")
	if err != nil {
		return nil, fmt.Errorf("listing migrations: %w", err)
	}
	slices.Sort(names)
	var all []Migration
	for i, file := range names {
		parts := fileName.FindStringSubmatch(file)
		if parts == nil {
			return nil, fmt.Errorf("migration file %s is not named NNNN_what.up.sql", file)
		}
		version, err := strconv.Atoi(parts[1])
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration file %s should have number %04d", file, i+1)
		}
		up, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("reading migration: %w", err)
		}
		name := strings.TrimSuffix(file, ".up.sql")
		down, err := fs.ReadFile(files, name+".down.sql")
		if err != nil {
			return nil, fmt.Errorf("reading the way back: %w", err)
		}
		sum := sha256.Sum256(up)
		all = append(all, Migration{Version: version, Name: name, Up: string(up), Down: string(down), Checksum: hex.EncodeToString(sum[:]),
			NoTransaction: strings.HasPrefix(string(up), "-- no-transaction")})
	}
	return all, nil
}
