package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
)

// records are the plugins as the control plane keeps them.
func records(plugins []plugin.Plugin) ([]cluster.PluginRecord, error) {
	all := make([]cluster.PluginRecord, 0, len(plugins))
	for _, p := range plugins {
		def := p.Def
		if def == nil {
			def = &config.Def{}
		}
		text, err := json.Marshal(def)
		if err != nil {
			return nil, fmt.Errorf("encoding definition of %s: %w", p.Class, err)
		}
		sum := sha256.Sum256(fmt.Appendf(text[:len(text):len(text)], "\x00%s\x00%s", p.TaskClass, p.Doc))
		all = append(all, cluster.PluginRecord{
			PluginRef: cluster.PluginRef{Class: p.Class, Version: p.Version, Kind: string(p.Kind), Digest: hex.EncodeToString(sum[:8])},
			TaskClass: p.TaskClass, Doc: p.Doc, Definition: text,
		})
	}
	return all, nil
}
