// Package plugins joins the lists of what Millrace comes with.
package plugins

import (
	"slices"

	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/plugin"
)

// All lists the connectors, converters, transformations and predicates.
func All(o connectors.Options) []plugin.Plugin {
	return slices.Concat(connectors.All(o), converters.All(), transforms.All())
}
