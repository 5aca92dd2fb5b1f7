// Package config is the definition engine of Kafka Connect configurations (ConfigDef) as data: keys with type, default,
// validator, group and documentation, parsed and checked with the texts users know. A definition has a JSON form, so
// that a process without the plugin can check a configuration against it.
//
// Start reading at Def and Key; Parse and Check are the two uses.
package config

// Type is the type of a key, by its Kafka Connect name.
type Type string

// The types of a key.
const (
	Boolean  Type = "BOOLEAN"
	String   Type = "STRING"
	Int      Type = "INT"
	Short    Type = "SHORT"
	Long     Type = "LONG"
	Double   Type = "DOUBLE"
	List     Type = "LIST"
	Class    Type = "CLASS"
	Password Type = "PASSWORD"
)

// Importance of a key.
type Importance string

// The importances.
const (
	High   Importance = "HIGH"
	Medium Importance = "MEDIUM"
	Low    Importance = "LOW"
)

// Width is how wide a user interface should draw a key's field.
type Width string

// The widths.
const (
	WidthNone   Width = "NONE"
	WidthShort  Width = "SHORT"
	WidthMedium Width = "MEDIUM"
	WidthLong   Width = "LONG"
)

// Def is an ordered set of keys.
type Def struct {
	Keys []Key `json:"keys"`
}

// Key defines one configuration key. The zero values of Group, Order, Width and DisplayName mean "ungrouped".
type Key struct {
	Name        string     `json:"name"`
	Type        Type       `json:"type"`
	Required    bool       `json:"required,omitempty"` // no default: the user must set it
	Default     *string    `json:"default,omitempty"`  // nil with Required=false: the default is null
	Importance  Importance `json:"importance"`
	Doc         string     `json:"doc"`
	Group       string     `json:"group,omitempty"`
	Order       int        `json:"order"` // -1: ungrouped
	Width       Width      `json:"width"`
	DisplayName string     `json:"display_name"`
	Dependents  []string   `json:"dependents,omitempty"`
	Validators  []Rule     `json:"validators,omitempty"`
	Recommend   *Rule      `json:"recommend,omitempty"`

	// Bare is the name that validators' messages show when it is not Name: that of a key which stands under a prefix.
	Bare string `json:"-"`
}

// Rule is a validator or recommender as data: a kind this package knows, with its arguments.
type Rule struct {
	Kind string   `json:"kind"`
	Args []string `json:"args,omitempty"`
}
