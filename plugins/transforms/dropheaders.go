package transforms

import (
	"slices"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/transform"
)

var dropHeadersDef = &config.Def{Keys: []config.Key{
	required("headers", config.List, config.High, "Keys of the headers to remove.", config.Some()),
}}

// dropHeaders removes headers.
type dropHeaders struct {
	base
	keys []string
}

func (d *dropHeaders) Configure(props map[string]string) error {
	v, err := parse(dropHeadersDef, props)
	d.keys = v.List("headers")
	return err
}

func (d *dropHeaders) Apply(r *transform.Record) (bool, error) {
	listed := func(h header.Header) bool { return slices.Contains(d.keys, h.Key) }
	if slices.ContainsFunc(r.Headers, listed) {
		r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), listed)
	}
	return true, nil
}
