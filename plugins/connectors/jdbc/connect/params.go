package connect

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/sdk/connecterr"
)

// params are a URL's parameters with the properties behind them: the URL wins.
type params struct {
	*jdbcurl.URL
	properties []jdbcurl.Param
	used       map[string]bool // names that something asked for, in lower case
}

func (p *params) lookup(name string) (string, bool) {
	p.used[strings.ToLower(name)] = true
	if v, ok := p.Get(name); ok {
		return v, true
	}
	for _, prop := range p.properties {
		if strings.EqualFold(prop.Name, name) {
			return prop.Value, true
		}
	}
	return "", false
}

// text is the first of the names that is set, or absent.
func (p *params) text(absent string, names ...string) string {
	for _, n := range names {
		if v, ok := p.lookup(n); ok {
			return v
		}
	}
	return absent
}

func (p *params) flag(absent bool, name string) bool {
	v, ok := p.lookup(name)
	if !ok {
		return absent
	}
	return v == "" || strings.EqualFold(v, "true") || strings.EqualFold(v, "yes") || v == "1"
}

// duration is a number of units.
func (p *params) duration(unit, absent time.Duration, name string) (time.Duration, error) {
	v, ok := p.lookup(name)
	if !ok {
		return absent, nil
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || n < 0 || n > 1e9 {
		return 0, connecterr.New(connecterr.Config, "Parameter %s of the JDBC URL is %s; a number of %s is expected", name, v, map[time.Duration]string{time.Second: "seconds", time.Millisecond: "milliseconds"}[unit])
	}
	return time.Duration(n * float64(unit)), nil
}

// ignored are parameters that make no difference here.
func (p *params) ignored(names ...string) {
	for _, n := range names {
		p.used[strings.ToLower(n)] = true
	}
}

// unknown are the names that nothing asked for.
func (p *params) unknown() (names []string) {
	for _, list := range [][]jdbcurl.Param{p.Params, p.properties} {
		for _, one := range list {
			if !p.used[strings.ToLower(one.Name)] && !slices.Contains(names, one.Name) {
				names = append(names, one.Name)
			}
		}
	}
	return names
}
