package httpapi

import (
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// table finds routes. It works on the raw path and decodes each segment once: a name may contain an encoded slash.
type table struct{ paths map[int][]*tablePath } // by the number of segments; no two match the same path

// tablePath are the routes of one pattern.
type tablePath struct {
	segments []string
	routes   []*tableRoute
	allowed  []string // methods, for OPTIONS
}

type tableRoute struct {
	Route
	names []string // of the parameters
}

func newTable(routes []Route) table {
	t := table{map[int][]*tablePath{}}
	byPattern := map[string]*tablePath{}
	for _, r := range routes {
		p := byPattern[r.Pattern]
		if p == nil {
			p = &tablePath{segments: segments(r.Pattern)}
			byPattern[r.Pattern] = p
			t.paths[len(p.segments)] = append(t.paths[len(p.segments)], p)
		}
		p.routes = append(p.routes, &tableRoute{r, p.params(slices.Clone(p.segments))})
		p.allowed = append(p.allowed, r.Method)
	}
	for _, p := range byPattern {
		if slices.Contains(p.allowed, http.MethodGet) {
			p.allowed = append(p.allowed, http.MethodHead)
		}
		p.allowed = append(p.allowed, http.MethodOptions)
	}
	return t
}

// segments splits a path; one trailing slash is the same as none.
func segments(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(path, "/"), "/")
}

// illegal tells whether a path has characters that must be escaped, or is none.
func illegal(rawPath string) bool {
	if !strings.HasPrefix(rawPath, "/") {
		return true
	}
	for i := range len(rawPath) {
		switch c := rawPath[i]; c {
		case '[', ']', '{', '}', '"', '<', '>', '|', '^', '\\', '`':
			return true
		default:
			if c <= ' ' || c >= 0x7f {
				return true
			}
		}
	}
	return false
}

// matrix parameters end a segment and are passed over.
var matrix = regexp.MustCompile(`;[^/]*`)

// find returns the routes of a raw path, nil if there are none, with the decoded parameters. bad: a segment can't be decoded.
func (t table) find(rawPath string) (found *tablePath, params []string, bad bool) {
	if illegal(rawPath) {
		return nil, nil, true
	}
	if strings.Contains(rawPath, ";") {
		rawPath = matrix.ReplaceAllString(rawPath, "")
	}
	parts := segments(rawPath)
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil || !utf8.ValidString(decoded) {
			return nil, nil, true
		}
		parts[i] = decoded
	}
	for _, p := range t.paths[len(parts)] {
		if p.match(parts) {
			return p, p.params(parts), false
		}
	}
	return nil, nil, false
}

// match takes as many parts as the path has segments.
func (p *tablePath) match(parts []string) bool {
	for i, s := range p.segments {
		if s[0] == '{' && parts[i] == "" || s[0] != '{' && s != parts[i] {
			return false
		}
	}
	return true
}

// params are the parts that stand for segments in braces. They lie in the memory of parts.
func (p *tablePath) params(parts []string) []string {
	params := parts[:0]
	for i, s := range p.segments {
		if s[0] == '{' {
			params = append(params, parts[i])
		}
	}
	return params
}

// pick chooses the route of a method, nil if there is none; HEAD is GET.
func (p *tablePath) pick(method string) *tableRoute {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, r := range p.routes {
		if r.Method == method {
			return r
		}
	}
	return nil
}

// unsupported tells whether a request's Content-Type is refused: on every method it must be JSON if it is there, and where
// a body is read it must be there when the body is. bad: it can't be parsed.
func unsupported(r *tableRoute, contentType string, given, hasBody bool) (refused, bad bool) {
	if r.open {
		return false, false
	}
	if !given {
		return r.body && hasBody, false
	}
	if strings.TrimSpace(contentType) == "" || !strings.Contains(contentType, "/") {
		return false, true
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false, true
	}
	switch media {
	case "application/json":
		return false, false
	case "*/*", "application/*":
		return r.body, false
	}
	return true, false
}

// acceptable tells whether a client takes JSON, or the other media type that a route answers with.
func acceptable(accept, media string) bool {
	if media == "" {
		media = "application/json"
	}
	kind, _, _ := strings.Cut(media, "/")
	if strings.TrimSpace(accept) == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		taken, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(taken)) {
		case "*/*", "*", kind + "/*", media:
			return true
		}
	}
	return false
}
