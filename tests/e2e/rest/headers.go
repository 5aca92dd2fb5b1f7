package rest

import (
	"fmt"
	"net/http"
	"strings"
)

// exactly are headers that the operator of a recorded worker has set, if its x-set is there.
var exactly = []string{"x-xss-protection", "cache-control", "x-set"}

// compareHeaders compares what CORS and the operator's rules put into every answer that reaches routing.
func compareHeaders(r row, header http.Header) string {
	want := r.Response.Headers
	if strings.HasPrefix(r.Response.Body, "{{HTML") {
		return "" // Kafka Connect's HTTP server has refused it
	}
	if d := compareSets("access-control-allow-methods", header.Get("Access-Control-Allow-Methods"), want["access-control-allow-methods"]); d != "" {
		return d
	}
	names := []string{"vary"}
	if want["x-set"] != "" {
		names = append(names, exactly...)
	}
	for _, h := range []map[string][]string{header, keys(want)} {
		for name := range h {
			if name = strings.ToLower(name); strings.HasPrefix(name, "access-control-") && name != "access-control-allow-methods" {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if got := strings.Join(header.Values(name), " || "); got != want[name] {
			return fmt.Sprintf("%s %q, want %q", name, got, want[name])
		}
	}
	if want["x-date"] != "" {
		if _, err := http.ParseTime(header.Get("X-Date")); err != nil {
			return fmt.Sprintf("x-date is no date: %v", err)
		}
	}
	return ""
}

func keys(m map[string]string) map[string][]string {
	out := map[string][]string{}
	for k := range m {
		out[k] = nil
	}
	return out
}
