package restconfig

import (
	"regexp"
	"strings"
)

// CORS says which pages of other origins may call the API from a browser.
type CORS struct {
	any     bool
	origins []*regexp.Regexp
	Methods string // as Access-Control-Allow-Methods says it
}

// newCORS reads comma-separated origins, each a regular expression; nil when there are none.
func newCORS(origins, methods string) (*CORS, error) {
	if strings.TrimSpace(origins) == "" {
		return nil, nil
	}
	c := &CORS{Methods: "GET,POST,HEAD"}
	for o := range strings.SplitSeq(origins, ",") {
		o = strings.TrimSpace(o)
		switch o {
		case "":
			continue
		case "*":
			c.any = true
			continue
		}
		re, err := regexp.Compile("(?i)^(?:" + o + ")$")
		if err != nil {
			return nil, wrong("Invalid value %s for configuration access.control.allow.origin: each origin must be * or a regular expression: %v", o, err)
		}
		c.origins = append(c.origins, re)
	}
	var list []string
	for m := range strings.SplitSeq(methods, ",") {
		if m = strings.TrimSpace(m); m != "" {
			list = append(list, m)
		}
	}
	if len(list) > 0 {
		c.Methods = strings.Join(list, ",")
	}
	return c, nil
}

// Allowed tells whether pages of an origin may call.
func (c *CORS) Allowed(origin string) bool {
	if c.any {
		return true
	}
	for _, re := range c.origins {
		if re.MatchString(origin) {
			return true
		}
	}
	return false
}
