package filestream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Roots are the folders whose files connectors may use. None: no file at all. "/" allows every file of the machine.
type Roots []string

// allows finds the root that holds a path and the path below it. whole tells that the root is the whole file system.
func (r Roots) allows(path string) (root, rel string, whole bool, err error) {
	if len(r) == 0 {
		return "", "", false, fmt.Errorf("files are switched off on this worker: its operator has to name the folders that file connectors may use")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", "", false, err
	}
	for _, root := range r {
		dir, err := filepath.Abs(root)
		if err != nil {
			return "", "", false, err
		}
		rel, err := filepath.Rel(dir, abs)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return dir, rel, filepath.Dir(dir) == dir, nil
		}
	}
	return "", "", false, fmt.Errorf("it is outside the folders that file connectors may use here (%s)", strings.Join(r, ", "))
}

// Check judges a path that others open. A symbolic link that leads out of the roots is refused, as far as it exists now.
func (r Roots) Check(path string) error {
	dir, _, whole, err := r.allows(path)
	if err != nil || whole {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) { // it is to be made
		if _, err := os.Lstat(path); err == nil {
			return errors.New("it is a symbolic link to a file that is not there")
		}
		if real, err = filepath.EvalSymlinks(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
			return nil // nothing can be made there
		}
	}
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	if _, _, _, err := (Roots{dir}).allows(real); err != nil {
		return fmt.Errorf("a symbolic link leads outside the folders that connectors may use here (%s)", strings.Join(r, ", "))
	}
	return nil
}

// open opens a file inside the roots. A symbolic link that leads out of them is refused.
func (r Roots) open(path string, flag int, mode fs.FileMode) (*os.File, error) {
	dir, rel, whole, err := r.allows(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if whole {
		return os.OpenFile(path, flag, mode) //nolint:gosec // the operator allows every file
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(rel, flag, mode)
	if closeErr := root.Close(); err == nil && closeErr != nil {
		_ = f.Close() // the first error tells
		return nil, closeErr
	}
	return f, err
}
