// Package workerconfig reads worker configurations and connector files as Kafka Connect's users have them, and knows of
// every worker property what becomes of it here. Whoever uses a property defines it: the runner in its package worker, the
// api in its package restconfig.
//
// Start reading at Load; table.go is the list of properties, connector.go reads connector files.
package workerconfig

import (
	"errors"
	"fmt"
	"maps"
	"os"

	"github.com/magiconair/properties"
)

// maxFile bounds what is read; worker configurations have some kilobytes.
const maxFile = 16 << 20

// ReadFile reads a Java properties file: ISO 8859-1 with \uXXXX escapes, without expansion of ${…}. Of a key that comes
// twice the last counts.
func ReadFile(path string) (map[string]string, error) {
	b, err := readAll(path)
	if err != nil {
		return nil, err
	}
	return parse(b)
}

func readAll(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder, not a file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), maxFile)
	}
	return os.ReadFile(path) //nolint:gosec // the operator names it
}

func parse(b []byte) (map[string]string, error) {
	loader := properties.Loader{Encoding: properties.ISO_8859_1, DisableExpansion: true}
	p, err := loader.LoadBytes(b)
	if err != nil {
		return nil, fmt.Errorf("it is no properties file: %w", err)
	}
	return p.Map(), nil
}

// Load is the worker's configuration: the file, if there is one, with single properties over it.
func Load(path string, over map[string]string) (map[string]string, error) {
	props := map[string]string{}
	if path != "" {
		var err error
		if props, err = ReadFile(path); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("the worker configuration %s is not there", path)
			}
			return nil, fmt.Errorf("reading the worker configuration %s: %w", path, err)
		}
	}
	maps.Copy(props, over)
	return props, nil
}

// Read is Load, with Notices given to warn.
func Read(path string, over map[string]string, warn func(line string)) (map[string]string, error) {
	props, err := Load(path, over)
	if err != nil {
		return nil, err
	}
	lines, err := Notices(props)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		warn(l)
	}
	return props, nil
}
