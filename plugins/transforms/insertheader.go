package transforms

import (
	"slices"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/sdk/values"
)

var insertHeaderDef = &config.Def{Keys: []config.Key{
	required("header", config.String, config.High, "Key of the new header.", config.NonNull()),
	required("value.literal", config.String, config.High, "Its value; the type is found as that of a header's text.", config.NonNull()),
}}

// insertHeader adds a header with a fixed value.
type insertHeader struct {
	base
	header header.Header
}

func (h *insertHeader) Configure(props map[string]string) error {
	v, err := parse(insertHeaderDef, props)
	if err != nil {
		return err
	}
	sv := values.Parse(v.String("value.literal"))
	h.header, err = header.New(v.String("header"), sv.Schema, sv.Value)
	return err
}

func (h *insertHeader) Apply(r *transform.Record) (bool, error) {
	r.Headers = append(slices.Clip(r.Headers), h.header) // the list may be shared
	return true, nil
}
