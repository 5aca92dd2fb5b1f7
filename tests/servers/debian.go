package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// errNoUnstable says that programs of Debian's unstable release can't be had.
var errNoUnstable = errors.New("this machine installs no packages of Debian's")

// unstable fetches once a package of Debian's unstable release with all that it needs, down to the C library, and returns the folder
// they are unpacked in. Nothing is installed: apt works with folders of its own, and programs run by unstableProgram.
func unstable(ctx context.Context, name string) (string, error) {
	return Cached(ctx, name, []byte("unstable"), func(dir string) error {
		sources, err := unstableSources()
		if err != nil {
			return err
		}
		at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
		for _, sub := range []string{"sources", "state/lists/partial", "cache/archives/partial"} {
			if err := os.MkdirAll(at(sub), 0o750); err != nil {
				return err
			}
		}
		if err := errors.Join(os.WriteFile(at("sources", "unstable.sources"), []byte(sources), 0o600), os.WriteFile(at("state", "status"), nil, 0o600)); err != nil {
			return err
		}
		apt := []string{"-q", "-y", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Dir::Etc::sourceparts=" + at("sources"), "-o", "Dir::State=" + at("state"),
			"-o", "Dir::State::status=" + at("state", "status"), "-o", "Dir::Cache=" + at("cache"), "-o", "APT::Install-Recommends=false", "-o", "APT::Sandbox::User="}
		run := func(program string, args ...string) error {
			if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil { //nolint:gosec // fixed
				return fmt.Errorf("fetching %s of Debian's unstable release: %s: %w\n%s", name, program, err, out)
			}
			return nil
		}
		if err := run("apt-get", append(apt, "update")...); err != nil {
			return err
		}
		if err := run("apt-get", append(apt, "install", "--download-only", name)...); err != nil {
			return err
		}
		packages, err := filepath.Glob(at("cache", "archives", "*.deb"))
		for _, p := range packages {
			err = errors.Join(err, run("dpkg-deb", "-x", p, at("root")))
		}
		return errors.Join(err, os.RemoveAll(at("cache")), os.RemoveAll(at("state")))
	})
}

// unstableSources are this machine's own sources of packages, for the unstable release.
func unstableSources() (string, error) {
	files, err := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	if err != nil {
		return "", err
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoUnstable, err)
	}
	_, codename, _ := strings.Cut(string(release), "VERSION_CODENAME=")
	codename, _, _ = strings.Cut(codename, "\n")
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // the system's
		if err != nil {
			return "", err
		}
		for stanza := range strings.SplitSeq(string(text), "\n\n") {
			var lines []string
			found := false
			for line := range strings.Lines(stanza) {
				if suites, ok := strings.CutPrefix(strings.TrimSpace(line), "Suites:"); ok {
					found = strings.Contains(suites+" ", " "+codename+" ")
					line = "Suites: sid\n"
				}
				lines = append(lines, line)
			}
			if found && strings.Contains(stanza, "debian-archive-keyring") {
				return strings.Join(lines, ""), nil
			}
		}
	}
	return "", errNoUnstable
}

// unstableProgram is the command line of a program in a folder of unstable's, with that folder's own libraries.
func unstableProgram(root, program string, libraries ...string) []string {
	lib := filepath.Join(root, "usr/lib/x86_64-linux-gnu")
	paths := []string{lib}
	for _, l := range libraries {
		paths = append(paths, filepath.Join(root, l))
	}
	return []string{filepath.Join(lib, "ld-linux-x86-64.so.2"), "--library-path", strings.Join(paths, ":"), filepath.Join(root, program)}
}
