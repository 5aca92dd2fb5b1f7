package validate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/config"
)

// The prefixes of client overrides.
const (
	producerPrefix = "producer.override."
	consumerPrefix = "consumer.override."
	adminPrefix    = "admin.override."
)

// overrides checks the client overrides that are looked at for this type of connector. A value that can't be read ends the
// whole check, as in Kafka Connect.
func (c *check) overrides() error {
	for _, prefix := range []string{producerPrefix, consumerPrefix, adminPrefix} {
		if !c.looksAt(prefix) {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(c.Config)) {
			name, ok := strings.CutPrefix(k, prefix)
			if !ok || name == "" {
				continue
			}
			i, err := c.override(prefix, name, c.props[k])
			if err != nil {
				return err
			}
			c.extra = append(c.extra, i)
		}
	}
	return nil
}

func (c *check) override(prefix, name string, value *string) (Info, error) {
	i := Info{Value: &ValueInfo{Name: prefix + name, Value: value, Recommended: []string{}, Errors: []string{}, Visible: true}}
	if c.hidden[i.Value.Name] {
		i.Value.Value = c.Config[i.Value.Name]
	}
	if k, known := clientDefs()[prefix].Key(name); known {
		info := KeyInfoOf(k)
		info.Name = i.Value.Name
		i.Definition = &info
		if value != nil {
			v, err := config.ParseValue(k.Type, name, *value)
			if err != nil {
				return i, Misconfigured(c.discreet(i.Value.Name, err.Error()))
			}
			i.Value.Value = config.Text(k.Type, v)
		}
	}
	if value == nil && !c.hidden[i.Value.Name] {
		return i, nil
	}
	why := ""
	if c.Worker != nil && !Allowed(*c.Worker, name) {
		why = fmt.Sprintf("The '%s' policy does not allow '%s' to be overridden in the connector configuration.", c.Worker.OverridePolicy, name)
	} else if c.Refuse != nil && value != nil {
		why = c.Refuse(name, *value)
	}
	if why != "" {
		i.Value.Errors = append(i.Value.Errors, why)
	}
	return i, nil
}

// Allowed tells whether a worker's policy lets connectors override a client setting, named without its prefix.
func Allowed(w cluster.Worker, name string) bool {
	switch w.OverridePolicy {
	case "All", "":
		return true
	case "Principal":
		return name == "sasl.jaas.config" || name == "sasl.mechanism" || name == "security.protocol"
	case "Allowlist":
		return slices.Contains(w.OverrideAllowlist, name)
	}
	return false
}

// looksAt tells whether a connector has the clients that the overrides are for.
func (c *check) looksAt(prefix string) bool {
	given := func(key string) bool { v, _ := c.props.Get(key); return strings.TrimSpace(v) != "" || c.hidden[key] }
	if c.typ == cluster.TypeSink {
		return prefix == consumerPrefix || given("errors.deadletterqueue.topic.name")
	}
	switch prefix {
	case producerPrefix:
		return true
	case adminPrefix:
		for k := range c.Config {
			if strings.HasPrefix(k, "topic.creation.") {
				return true
			}
		}
	}
	return c.Worker != nil && c.Worker.ExactlyOnce || given("offsets.storage.topic")
}
