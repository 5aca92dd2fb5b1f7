package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
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

// factsOf are what the control plane should know of a worker, with the full names of its converters' classes.
func factsOf(w worker.Config, refs *secrets.Resolver, plugins *plugin.Registry) cluster.Worker {
	facts := w.Facts()
	facts.Providers = refs.Providers()
	for key, name := range facts.Converters {
		if class, known := plugins.Index().Class(name); known {
			facts.Converters[key] = class
		}
	}
	return facts
}

// workerRecord are a worker's facts as the control plane keeps them, beside the plugins' definitions.
func workerRecord(facts cluster.Worker) (cluster.PluginRecord, error) {
	text, err := json.Marshal(facts)
	if err != nil {
		return cluster.PluginRecord{}, fmt.Errorf("encoding what is known of the worker: %w", err)
	}
	sum := sha256.Sum256(text)
	return cluster.PluginRecord{PluginRef: cluster.PluginRef{Class: cluster.KindWorker, Kind: cluster.KindWorker, Digest: hex.EncodeToString(sum[:8])}, Definition: text}, nil
}
