// Package validate checks connector configurations as Kafka Connect does: the framework's own keys, those of the connector,
// of its transformations, predicates and converters. It is pure: what it needs to know of plugins is given to it, so that
// a runner can use it with the plugins, and the api with the definitions that the store keeps.
//
// Start reading at Connector; framework.go has the framework's keys, infos.go the shape of the answer.
package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/sdk/config"
)

// Infos is the answer of PUT /connector-plugins/{plugin}/config/validate.
type Infos struct {
	Name       string   `json:"name"`
	ErrorCount int      `json:"error_count"`
	Groups     []string `json:"groups"`
	Configs    []Info   `json:"configs"`
}

// Info is one key: its definition, null for a key that no definition knows, and its value.
type Info struct {
	Definition *KeyInfo   `json:"definition"`
	Value      *ValueInfo `json:"value"`
}

// KeyInfo is a key's definition. Order goes out under both names that Kafka Connect has used.
type KeyInfo struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Required      bool     `json:"required"`
	DefaultValue  *string  `json:"default_value"`
	Importance    string   `json:"importance"`
	Documentation string   `json:"documentation"`
	Group         *string  `json:"group"`
	Order         int      `json:"order"`
	OrderInGroup  int      `json:"order_in_group"`
	Width         string   `json:"width"`
	DisplayName   string   `json:"display_name"`
	Dependents    []string `json:"dependents"`
}

// ValueInfo is a key's value in the configuration.
type ValueInfo struct {
	Name        string   `json:"name"`
	Value       *string  `json:"value"`
	Recommended []string `json:"recommended_values"`
	Errors      []string `json:"errors"`
	Visible     bool     `json:"visible"`
}

// KeyInfoOf is a definition's key in the shape of REST answers.
func KeyInfoOf(k config.Key) KeyInfo {
	i := KeyInfo{Name: k.Name, Type: string(k.Type), Required: k.Required, Importance: string(k.Importance), Documentation: k.Doc,
		Order: k.Order, Width: string(k.Width), DisplayName: k.DisplayName, Dependents: k.Dependents}
	if k.Default != nil {
		i.DefaultValue = k.Default
		if v, err := config.ParseValue(k.Type, k.Name, *k.Default); err == nil {
			i.DefaultValue = config.Text(k.Type, v)
		}
	}
	if k.Group != "" {
		i.Group = &k.Group
	} else {
		i.Order = -1
	}
	i.OrderInGroup = i.Order
	if i.Width == "" {
		i.Width = string(config.WidthNone)
	}
	if i.DisplayName == "" {
		i.DisplayName = k.Name
	}
	if i.Dependents == nil {
		i.Dependents = []string{}
	}
	return i
}

// FirstErrors is the text of the 400 that refuses a configuration; "" when nothing is wrong.
func (i Infos) FirstErrors() string {
	if i.ErrorCount == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Connector configuration is invalid and contains the following %d error(s):", i.ErrorCount)
	for _, c := range i.Configs {
		if c.Value != nil {
			for _, e := range c.Value.Errors {
				b.WriteString("\n" + e)
			}
		}
	}
	b.WriteString("\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`")
	return b.String()
}

// OnlyErrors leaves out what FirstErrors does not need, which is nearly all.
func (i Infos) OnlyErrors() Infos {
	short := Infos{Name: i.Name, ErrorCount: i.ErrorCount}
	for _, c := range i.Configs {
		if c.Value != nil && len(c.Value.Errors) > 0 {
			short.Configs = append(short.Configs, Info{Value: c.Value})
		}
	}
	return short
}

func valueInfo(v config.Value) ValueInfo {
	out := ValueInfo{Name: v.Name, Value: v.Value, Recommended: v.Recommended, Errors: v.Errors, Visible: v.Visible}
	if out.Recommended == nil {
		out.Recommended = []string{}
	}
	if out.Errors == nil {
		out.Errors = []string{}
	}
	return out
}

// infos puts the answer together.
func (c *check) infos() Infos {
	class, _ := c.props.Get("connector.class")
	out := Infos{Name: class, Configs: c.unknown}
	for i, v := range c.order {
		def, value := KeyInfoOf(c.def.Keys[i]), valueInfo(*v)
		if def.Group != nil && !slices.Contains(out.Groups, *def.Group) {
			out.Groups = append(out.Groups, *def.Group)
		}
		out.Configs = append(out.Configs, Info{Definition: &def, Value: &value})
	}
	for _, g := range c.groups {
		if !slices.Contains(out.Groups, g) {
			out.Groups = append(out.Groups, g)
		}
	}
	messages := len(out.Configs)
	out.Configs = append(out.Configs, c.extra...)
	redacted := c.redact(out.Configs)
	for i, entry := range out.Configs {
		switch n := len(entry.Value.Errors); {
		case i < messages || redacted:
			out.ErrorCount += n
		case n > 0: // overrides and converters count by the entry
			out.ErrorCount++
		}
	}
	return out
}

// redact hides what came from references to secrets: the reference is shown in place of its value, and of errors only that
// there are some, because their texts quote the value.
func (c *check) redact(configs []Info) (any bool) {
	for _, entry := range configs {
		v := entry.Value
		if !c.secret(v.Name) {
			continue
		}
		any = true
		v.Value, v.Recommended = c.Config[v.Name], []string{}
		if len(v.Errors) > 0 {
			v.Errors = []string{c.discreet(v.Name, "")}
		}
	}
	return any
}

// secret tells whether a key's value came from a reference, or would.
func (c *check) secret(key string) bool {
	raw, given := c.Config.Get(key)
	resolved, there := c.props.Get(key)
	return c.hidden[key] || given && there && raw != resolved
}

// discreet is a message about a key that does not quote a value which came from a reference.
func (c *check) discreet(key, message string) string {
	if c.secret(key) {
		return fmt.Sprintf("Invalid value for configuration '%s': the value resolved from the config provider reference failed validation", key)
	}
	return message
}
