//go:build unix

package childproc

import (
	"fmt"
	"os"
	"path/filepath"
)

// Own gives path and everything below it to the user that a program with
// identity i writes as. It does nothing unless i is Nobody.
func (i Identity) Own(path string) error {
	if i != Nobody {
		return nil
	}
	err := filepath.WalkDir(path, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, nobody, nobody)
	})
	if err != nil {
		return fmt.Errorf("giving %s to uid %d: %w", path, nobody, err)
	}
	return nil
}
