// Package secrets replaces references such as ${file:/etc/kafka/db.properties:password} in configurations by what they stand
// for. The operator defines the providers, with the folders and names that may be referred to; configurations of connectors
// can only use them. What comes out is for the connector alone: it is never stored and never logged.
//
// Start reading at FromProperties and Resolver.Resolve; providers.go has the providers.
package secrets

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/secretref"
)

// Provider looks keys up at a path, "" for none. Keys that it does not have are not in the result. An error ends what the
// configuration was needed for.
type Provider interface {
	Get(path string, keys []string) (map[string]string, error)
}

// Resolver is safe for concurrent use if its providers are.
type Resolver struct {
	providers map[string]Provider
}

// New makes a resolver of providers by name.
func New(providers map[string]Provider) *Resolver { return &Resolver{providers} }

// The worker property that names the providers; each one's class and parameters follow behind a dot.
const listKey = "config.providers"

// IsOwn tells whether a worker property defines providers.
func IsOwn(key string) bool { return key == listKey || strings.HasPrefix(key, listKey+".") }

// FromProperties makes the resolver that worker properties define. getenv is os.LookupEnv. Errors are about the properties.
func FromProperties(props map[string]string, getenv func(string) (string, bool), log *slog.Logger) (*Resolver, error) {
	r := New(map[string]Provider{})
	for name := range strings.SplitSeq(props[listKey], ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		prefix := listKey + "." + name + "."
		class := strings.TrimSpace(props[prefix+"class"])
		param := func(key string) (string, string) { return prefix + "param." + key, props[prefix+"param."+key] }
		var err error
		switch class[strings.LastIndexByte(class, '.')+1:] {
		case "FileConfigProvider", "File":
			r.providers[name], err = newFiles(param, log)
		case "DirectoryConfigProvider", "Directory":
			r.providers[name], err = newDirectories(param, log)
		case "EnvVarConfigProvider", "EnvVar":
			r.providers[name], err = newEnvironment(param, getenv)
		case "":
			err = connecterr.New(connecterr.Config, "Missing required configuration %q which has no default value.", prefix+"class")
		default:
			err = connecterr.New(connecterr.Config, "Invalid value %s for configuration %sclass: it must be FileConfigProvider, DirectoryConfigProvider or EnvVarConfigProvider", class, prefix)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Providers lists the providers' names, sorted.
func (r *Resolver) Providers() []string { return slices.Sorted(maps.Keys(r.providers)) }

// place is where keys are looked up.
type place struct{ provider, path string }

func comparePlaces(a, b place) int {
	return cmp.Or(strings.Compare(a.provider, b.provider), strings.Compare(a.path, b.path))
}

// look looks up what a configuration refers to, each path once; nil when it refers to nothing.
func (r *Resolver) look(cfg cluster.Config) (map[place]map[string]string, error) {
	wanted := map[place][]string{}
	for _, v := range cfg {
		if v == nil {
			continue
		}
		for _, ref := range secretref.Find(*v) {
			if at := (place{ref.Provider, ref.Path}); r.providers[ref.Provider] != nil && !slices.Contains(wanted[at], ref.Key) {
				wanted[at] = append(wanted[at], ref.Key)
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	found := map[place]map[string]string{}
	for _, at := range slices.SortedFunc(maps.Keys(wanted), comparePlaces) {
		values, err := r.providers[at.provider].Get(at.path, wanted[at])
		if err != nil {
			return nil, err
		}
		found[at] = values
	}
	return found, nil
}

// Resolve replaces the references in a configuration. Those that no provider knows stay as they are. What a provider returns
// is not looked at again: it can't refer to anything. The error's kind is connecterr.Config.
func (r *Resolver) Resolve(cfg cluster.Config) (cluster.Config, error) {
	found, err := r.look(cfg)
	if err != nil || found == nil {
		return cfg, err
	}
	out := make(cluster.Config, len(cfg))
	for k, v := range cfg {
		if v != nil {
			text := secretref.Replace(*v, func(ref secretref.Ref) (string, bool) {
				value, has := found[place{ref.Provider, ref.Path}][ref.Key]
				return value, has
			})
			v = &text
		}
		out[k] = v
	}
	return out, nil
}

// minSecret is the least length of a value that is hidden in texts: shorter ones are part of many words.
const minSecret = 6

// Values are what the references in a configuration stand for, the longest first, without short ones. What can't be looked
// up is left out.
func (r *Resolver) Values(cfg cluster.Config) (all []string) {
	found, err := r.look(cfg)
	if err != nil {
		return nil // then nothing was handed out, either
	}
	for _, values := range found {
		for _, v := range values {
			if len(v) >= minSecret {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(all)
}

// Digest is the same as long as the references in configurations stand for the same; "" when there are none. It does not tell
// what they stand for.
func (r *Resolver) Digest(cfgs ...cluster.Config) (string, error) {
	h := hmac.New(sha256.New, digestKey)
	some := false
	for i, cfg := range cfgs {
		found, err := r.look(cfg)
		if err != nil {
			return "", err
		}
		for _, at := range slices.SortedFunc(maps.Keys(found), comparePlaces) {
			some = true
			for _, key := range slices.Sorted(maps.Keys(found[at])) {
				h.Write(fmt.Appendf(nil, "%d %q %q %q %q\n", i, at.provider, at.path, key, found[at][key])) // never fails
			}
		}
	}
	if !some {
		return "", nil
	}
	return string(h.Sum(nil)), nil
}

// digestKey is this process's own, so that a digest is of no use elsewhere.
var digestKey = []byte(rand.Text())

// Properties replaces the references in worker properties, but for those that define the providers.
func (r *Resolver) Properties(props map[string]string) (map[string]string, error) {
	cfg := cluster.Config{}
	for k, v := range props {
		if !IsOwn(k) {
			cfg[k] = &v
		}
	}
	resolved, err := r.Resolve(cfg)
	if err != nil {
		return nil, fmt.Errorf("resolving references in worker properties: %w", err)
	}
	out := maps.Clone(props)
	maps.Copy(out, resolved.Plain())
	return out, nil
}

// Read gives worker properties to read, with their references replaced. An error of read that shows what a reference stands for
// is replaced by one that names the key.
func (r *Resolver) Read(props map[string]string, read func(map[string]string) error) error {
	resolved, err := r.Properties(props)
	if err != nil {
		return err
	}
	if err = read(resolved); err == nil {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(resolved)) {
		if v := resolved[k]; v != props[k] && v != "" && strings.Contains(err.Error(), v) {
			return connecterr.New(connecterr.Config, "Invalid value for configuration '%s': the value resolved from the config provider reference failed validation", k)
		}
	}
	return err
}
