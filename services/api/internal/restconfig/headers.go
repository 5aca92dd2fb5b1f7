package restconfig

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// HeaderRule puts a header into every answer.
type HeaderRule struct {
	Name   string
	Add    bool          // beside others of that name; else instead of them
	value  string        // unless it is a date
	dated  bool          // the value is a date
	offset time.Duration // from now
}

// Value is the header's value for an answer of now.
func (h HeaderRule) Value(now time.Time) string {
	if h.dated {
		return now.Add(h.offset).UTC().Format(http.TimeFormat)
	}
	return h.value
}

const (
	headerForm = "Invalid format of header config '%s'. Expected: '[action] [header name]:[header value]'"
	actionForm = "Invalid header config action: '%s'. Expected one of [set, add, setDate, addDate]"
	pairForm   = "Invalid format of header name and header value pair '%s'. Expected: '[header name]:[header value]'"
	nameForm   = "Invalid header name '%s'. The '[header name]' cannot contain whitespace"
)

func parseHeaders(rules string) (all []HeaderRule, err error) {
	for _, text := range splitRules(rules) {
		h, err := parseHeader(text)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// splitRules splits at commas that are not between double quotes, and takes the quotes away.
func splitRules(s string) (rules []string) {
	var rule strings.Builder
	quoted := false
	end := func() {
		if text := strings.TrimSpace(rule.String()); text != "" {
			rules = append(rules, text)
		}
		rule.Reset()
	}
	for _, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			end()
		default:
			rule.WriteRune(c)
		}
	}
	end()
	return rules
}

func parseHeader(rule string) (h HeaderRule, err error) {
	space := strings.IndexFunc(rule, unicode.IsSpace)
	if space < 0 {
		return h, wrong(headerForm, rule)
	}
	action, pair := rule[:space], strings.TrimSpace(rule[space:])
	switch strings.ToLower(action) {
	case "set":
	case "add":
		h.Add = true
	case "setdate":
		h.dated = true
	case "adddate":
		h.dated, h.Add = true, true
	default:
		return h, wrong(actionForm, action)
	}
	name, value, ok := strings.Cut(pair, ":")
	if !ok {
		return h, wrong(pairForm, pair)
	}
	h.Name, h.value = strings.TrimSpace(name), strings.TrimSpace(value)
	if h.Name == "" || strings.ContainsFunc(h.Name, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) {
		return h, wrong(nameForm, h.Name)
	}
	if strings.ContainsFunc(h.value, unicode.IsControl) {
		return h, wrong("Invalid value for header '%s' in response.http.headers.config: it has a control character in it", h.Name)
	}
	if h.dated {
		ms, err := strconv.ParseInt(h.value, 10, 64)
		if err != nil {
			return h, wrong("Invalid value '%s' for header '%s' in response.http.headers.config: a date is given as a number of milliseconds from now", h.value, h.Name)
		}
		h.offset = time.Duration(ms) * time.Millisecond
	}
	return h, nil
}
