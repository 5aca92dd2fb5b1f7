package transforms

import "github.com/millrace/millrace/sdk/transform"

// filter drops every record that it sees.
type filter struct{}

func (filter) Configure(map[string]string) error     { return nil }
func (filter) Apply(*transform.Record) (bool, error) { return false, nil }
func (filter) Close() error                          { return nil }
