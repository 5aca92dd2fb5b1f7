package servers

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os/exec"
)

// ErrNoJava says what is needed for a real broker or worker.
var ErrNoJava = errors.New("java and mvn are not installed (Debian: apt-get install default-jre-headless maven)")

// Jars fetches once what the pom in a folder of files names, and returns the folder where it is: the files, and libs with
// the jars.
func Jars(ctx context.Context, files embed.FS, name string) (string, error) {
	return maven(ctx, files, name, "dependency:copy-dependencies", "-DincludeScope=runtime")
}

// maven runs a goal that puts what a pom names into libs.
func maven(ctx context.Context, files embed.FS, name, goal, option string) (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", ErrNoJava
	}
	return CachedFiles(ctx, files, name, "", func(dir string) error {
		if _, err := exec.LookPath("mvn"); err != nil {
			return ErrNoJava
		}
		cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", goal, "-DoutputDirectory=libs", option) //nolint:gosec // fixed
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("fetching %s with mvn: %w\n%s", name, err, out)
		}
		return nil
	})
}
