package secrets

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/magiconair/properties"

	"github.com/millrace/millrace/sdk/connecterr"
)

// param is a provider's parameter: the name of its worker property, and its value.
type param func(key string) (name, value string)

// roots are the folders and files that may be referred to. Links are followed as long as they stay below their root, as
// those do in which Kubernetes mounts secrets (S5).
type roots struct {
	paths []string
	log   *slog.Logger
}

const allowedPaths = "allowed.paths"

func newRoots(p param, log *slog.Logger) (roots, error) {
	r := roots{log: log}
	name, value := p(allowedPaths)
	for path := range strings.SplitSeq(value, ",") {
		if path = strings.TrimSpace(path); path == "" {
			continue
		}
		if !filepath.IsAbs(path) {
			return r, connecterr.New(connecterr.Config, "Path %s is not absolute; it is in %s", path, name)
		}
		if _, err := os.Stat(path); err != nil {
			return r, connecterr.New(connecterr.Config, "Path %s does not exist; it is in %s", path, name)
		}
		r.paths = append(r.paths, filepath.Clean(path))
	}
	if r.paths == nil {
		return r, connecterr.New(connecterr.Config, "Missing required configuration %q: list the folders that references may name, separated by commas; whoever can create connectors can read what is in them", name)
	}
	return r, nil
}

// kernel are folders whose files tell of processes and devices; they are never secrets' homes.
var kernel = []string{"/proc", "/sys", "/dev"}

// open opens a path below a root; nil when it is not allowed.
func (r roots) open(path string) (*os.File, error) {
	clean := filepath.Clean(path)
	climbs := slices.Contains(strings.Split(filepath.ToSlash(path), "/"), "..")
	below := func(root string) (string, bool) {
		rel, err := filepath.Rel(root, clean)
		return rel, err == nil && filepath.IsLocal(rel)
	}
	refused := !filepath.IsAbs(path) || climbs || slices.ContainsFunc(kernel, func(k string) bool { _, in := below(k); return in })
	for _, path := range r.paths {
		rel, in := below(path)
		if refused || !in {
			continue
		}
		dir := path
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			dir, rel = filepath.Dir(path), filepath.Base(path)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close() //nolint:errcheck // only read
		return root.Open(rel)
	}
	r.log.Warn("The path " + path + " is not allowed to be accessed")
	return nil, nil
}

// maxFile bounds what is read for a reference.
const maxFile = 1 << 20

func readAll(f *os.File) ([]byte, error) {
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = errors.New("the file is too large")
	}
	return b, err
}

// files reads Java properties files: the path is the file, the key one of its keys.
type files struct{ roots roots }

func newFiles(p param, log *slog.Logger) (Provider, error) {
	r, err := newRoots(p, log)
	return files{r}, err
}

func (f files) Get(path string, keys []string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	unreadable := func() error { return connecterr.New(connecterr.Config, "Could not read properties from file %s", path) }
	file, err := f.roots.open(path)
	if err != nil {
		return nil, unreadable()
	}
	if file == nil {
		return nil, nil
	}
	text, err := readAll(file)
	if err != nil {
		return nil, unreadable()
	}
	all, err := parse(text)
	if err != nil { // it would quote the file
		return nil, unreadable()
	}
	return pick(all, keys), nil
}

// parse reads Java's properties format, as UTF-8.
func parse(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loader.LoadBytes(text)
	if err != nil {
		return nil, err
	}
	return p.Map(), nil
}

func pick(all map[string]string, keys []string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if v, has := all[k]; has {
			out[k] = v
		}
	}
	return out
}

// directories reads whole files: the path is their folder, the key a file's name.
type directories struct{ roots roots }

func newDirectories(p param, log *slog.Logger) (Provider, error) {
	r, err := newRoots(p, log)
	return directories{r}, err
}

func (d directories) Get(path string, keys []string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	dir, err := d.roots.open(path)
	if dir == nil && err == nil {
		return nil, nil
	}
	if err == nil {
		var info fs.FileInfo
		if info, err = dir.Stat(); err == nil && !info.IsDir() {
			err = errors.New("not a directory")
		}
		_ = dir.Close() // only looked at
	}
	if err != nil {
		d.roots.log.Warn("The path " + path + " is not a directory")
		return nil, nil
	}
	out := map[string]string{}
	for _, k := range keys {
		if k == "" || k == "." || k == ".." || strings.ContainsAny(k, `/\`) {
			continue
		}
		file, err := d.roots.open(strings.TrimSuffix(path, "/") + "/" + k)
		if errors.Is(err, fs.ErrNotExist) || err == nil && file == nil {
			continue
		}
		var text []byte
		if err == nil {
			text, err = readAll(file)
		}
		switch {
		case errors.Is(err, fs.ErrInvalid): // no file
		case err != nil:
			return nil, connecterr.New(connecterr.Config, "Could not read file %s", filepath.Join(path, k))
		default:
			out[k] = string(text)
		}
	}
	return out, nil
}

// environment has the environment variables of the process that are allowed.
type environment struct {
	allowed *regexp.Regexp
	get     func(string) (string, bool)
}

const allowlist = "allowlist.pattern"

func newEnvironment(p param, get func(string) (string, bool)) (Provider, error) {
	name, pattern := p(allowlist)
	if strings.TrimSpace(pattern) == "" {
		return nil, connecterr.New(connecterr.Config, "Missing required configuration %q: give an expression for the names of the environment variables that references may name; whoever can create connectors can read them", name)
	}
	re, err := regexp.Compile("^(?:" + strings.TrimSpace(pattern) + ")$")
	if err != nil {
		return nil, connecterr.New(connecterr.Config, "Invalid value %s for configuration %s: Invalid regex: %v", pattern, name, err)
	}
	return environment{re, get}, nil
}

func (e environment) Get(path string, keys []string) (map[string]string, error) {
	if path != "" {
		return nil, connecterr.New(connecterr.Config, "Path is not supported for EnvVarConfigProvider, invalid value '%s'", path)
	}
	out := map[string]string{}
	for _, k := range keys {
		if v, has := e.get(k); has && e.allowed.MatchString(k) {
			out[k] = v
		}
	}
	return out, nil
}
