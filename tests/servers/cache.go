package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/embedded/childproc"
)

// Cached returns a folder that outlives the checkout and that fill has filled once. What the key is made of says what is in
// it: another key is another folder. Processes that want the same one wait for each other.
func Cached(ctx context.Context, name string, key []byte, fill func(dir string) error) (string, error) {
	root, err := cache()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(key)
	home := filepath.Join(root, name+"-"+hex.EncodeToString(sum[:6]))
	lock, err := childproc.WaitFolder(ctx, home+".lock")
	if err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	half := home + ".new"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	if err := os.MkdirAll(half, 0o750); err != nil {
		return "", err
	}
	if err := fill(half); err != nil {
		return "", err
	}
	return home, os.Rename(half, home)
}

// CachedFiles is Cached for a folder of embedded files and what fill makes of them. Other files, and another version of what
// fill uses, are another folder.
func CachedFiles(ctx context.Context, files embed.FS, name, version string, fill func(dir string) error) (string, error) {
	entries, err := files.ReadDir(name)
	if err != nil {
		return "", err
	}
	var key bytes.Buffer
	key.WriteString(version)
	contents := map[string][]byte{}
	for _, e := range entries {
		b, err := files.ReadFile(name + "/" + e.Name())
		if err != nil {
			return "", err
		}
		contents[e.Name()] = b
		fmt.Fprintf(&key, "%s %d\n%s", e.Name(), len(b), b)
	}
	return Cached(ctx, name, key.Bytes(), func(dir string) error {
		for name, b := range contents {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				return err
			}
		}
		return fill(dir)
	})
}

// cache is where downloads outlive a checkout.
func cache() (string, error) {
	if dir := os.Getenv("MILLRACE_CACHE"); dir != "" { //nolint:forbidigo // a test's switch
		return dir, nil
	}
	dir, err := os.UserHomeDir()
	return filepath.Join(dir, ".cache", "millrace"), err
}
