package servers

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/millrace/millrace/embedded/childproc"
)

// ErrNoJava says what is needed for a real broker or worker.
var ErrNoJava = errors.New("java and mvn are not installed (Debian: apt-get install default-jre-headless maven)")

// cache is where downloads outlive a checkout.
func cache() (string, error) {
	if dir := os.Getenv("MILLRACE_CACHE"); dir != "" { //nolint:forbidigo // a test's switch
		return dir, nil
	}
	dir, err := os.UserHomeDir()
	return filepath.Join(dir, ".cache", "millrace"), err
}

// fetch fetches once what the pom in a folder of files names, and returns the folder where it is: the files, and libs with
// the jars. Other files are another folder.
func fetch(ctx context.Context, files embed.FS, name string) (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", ErrNoJava
	}
	entries, err := files.ReadDir(name)
	if err != nil {
		return "", err
	}
	contents, sum := map[string][]byte{}, sha256.New()
	for _, e := range entries {
		b, err := files.ReadFile(name + "/" + e.Name())
		if err != nil {
			return "", err
		}
		contents[e.Name()] = b
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", e.Name(), len(b), b) // a hash takes everything
	}
	root, err := cache()
	if err != nil {
		return "", err
	}
	home := filepath.Join(root, name+"-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	lock, err := childproc.WaitFolder(ctx, home+".lock")
	if err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", ErrNoJava
	}
	half := home + ".new"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	if err := os.MkdirAll(half, 0o750); err != nil {
		return "", err
	}
	for file, b := range contents {
		if err := os.WriteFile(filepath.Join(half, file), b, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime") //nolint:gosec // fixed
	cmd.Dir = half
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetching %s with mvn: %w\n%s", name, err, out)
	}
	return home, os.Rename(half, home)
}
