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
type table struct{ routes map[int][]tableRoute } // by the number of segments

type tableRoute struct {
	Route
	segments []string
}

func newTable(routes []Route) table {
	t := table{map[int][]tableRoute{}}
	for _, r := range routes {
		parts := segments(r.Pattern)
		t.routes[len(parts)] = append(t.routes[len(parts)], tableRoute{r, parts})
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
	return !strings.HasPrefix(rawPath, "/") || strings.ContainsAny(rawPath, "[]{}\"<>|^\\`") ||
		strings.ContainsFunc(rawPath, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// matrix parameters end a segment and are passed over.
var matrix = regexp.MustCompile(`;[^/]*`)

// find returns the routes of a raw path with the decoded parameters. bad: a segment can't be decoded.
func (t table) find(rawPath string) (found []tableRoute, params []string, bad bool) {
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
	for _, r := range t.routes[len(parts)] {
		if values, ok := match(r.segments, parts); ok {
			found, params = append(found, r), values
		}
	}
	return found, params, false
}

func match(pattern, parts []string) (params []string, ok bool) {
	if len(pattern) != len(parts) {
		return nil, false
	}
	for i, p := range pattern {
		switch {
		case strings.HasPrefix(p, "{"):
			if parts[i] == "" {
				return nil, false
			}
			params = append(params, parts[i])
		case p != parts[i]:
			return nil, false
		}
	}
	return params, true
}

// pick chooses the route of a method; HEAD is GET. allowed are the methods of the path, for OPTIONS.
func pick(found []tableRoute, method string) (r *tableRoute, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range found {
		if found[i].Method == method {
			r = &found[i]
		}
		allowed = append(allowed, found[i].Method)
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	return r, append(allowed, http.MethodOptions)
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
