package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// compare returns how an answer differs from the recorded one.
func compare(r row, status int, header http.Header, body []byte) string {
	if status != r.Response.Status {
		return fmt.Sprintf("status %d, want %d\ngot:  %s\nwant: %s", status, r.Response.Status, body, r.Response.Body)
	}
	if want := r.Response.Headers["location"]; want != "" {
		a, errA := url.PathUnescape(want)
		b, errB := url.PathUnescape(header.Get("Location"))
		if errA != nil || errB != nil || a != b {
			return fmt.Sprintf("location %q, want %q", header.Get("Location"), want)
		}
	}
	if want := r.Response.Headers["content-type"]; want != "" && media(header.Get("Content-Type")) != media(want) && len(r.Response.Body) > 0 && !strings.HasPrefix(r.Response.Body, "{{HTML") {
		return fmt.Sprintf("content type %q, want %q", header.Get("Content-Type"), want)
	}
	if d := compareHeaders(r, header); d != "" {
		return d
	}
	if r.Request.Method == http.MethodOptions && r.Response.Status == http.StatusOK {
		return compareSets("allow", header.Get("Allow"), r.Response.Headers["allow"])
	}
	if r.Response.Body == "" || strings.HasPrefix(r.Response.Body, "{{") {
		if len(body) > 0 && r.Response.Body == "" && r.Response.Status != http.StatusBadRequest {
			return fmt.Sprintf("a body where none is expected: %s", body)
		}
		return ""
	}
	if string(body) == r.Response.Body {
		return "" // also what is no JSON
	}
	var got, want any
	if err := json.Unmarshal(body, &got); err != nil {
		return fmt.Sprintf("the answer is no JSON: %v: %s", err, body)
	}
	if err := json.Unmarshal([]byte(r.Response.Body), &want); err != nil {
		return fmt.Sprintf("the recording is no JSON: %v", err)
	}
	if list, _, _ := strings.Cut(r.Request.Path, ";"); strings.TrimSuffix(list, "/") == "/connectors" { // a set
		sortTexts(got)
		sortTexts(want)
	}
	if path, _, _ := strings.Cut(r.Request.Path, "?"); r.Request.Method == http.MethodPost && strings.HasSuffix(strings.TrimSuffix(path, "/"), "/restart") {
		sortTasks(got)
		sortTasks(want)
	}
	if r.Reduced {
		got = reduce(got, want)
	}
	sortConverters(got)
	sortConverters(want)
	if d := differ("", got, want); d != "" {
		return fmt.Sprintf("%s\ngot:  %s\nwant: %s", d, body, r.Response.Body)
	}
	return ""
}

// reduce brings the answer of a validation into the form in which long ones were recorded: the names of all its entries, and
// of the entries only those that the recording has.
func reduce(got, want any) any {
	g, ok := got.(map[string]any)
	w, recorded := want.(map[string]any)
	if !ok || !recorded {
		return got
	}
	all, _ := g["configs"].([]any)
	kept, _ := w["configs"].([]any)
	names := func(entries []any) (names []any) {
		for _, e := range entries {
			if !ourKey(e) {
				names = append(names, entryName(e))
			}
		}
		return names
	}
	g["configs"] = slices.DeleteFunc(slices.Clone(all), func(e any) bool { return !slices.Contains(names(kept), any(entryName(e))) })
	switch w["keys"].(type) {
	case []any:
		g["keys"] = names(all)
	case string: // as in a row of another recording
		delete(w, "keys")
	}
	return g
}

// sortTasks sorts the tasks of a status, which come in no order when a restart is answered.
func sortTasks(status any) {
	m, _ := status.(map[string]any)
	id := func(task any) float64 {
		t, _ := task.(map[string]any)
		n, _ := t["id"].(float64)
		return n
	}
	slices.SortFunc(list(m["tasks"]), func(a, b any) int { return cmp.Compare(id(a), id(b)) })
}

func sortTexts(v any) {
	slices.SortFunc(list(v), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

func entryName(entry any) string {
	m, _ := entry.(map[string]any)
	value, _ := m["value"].(map[string]any)
	name, _ := value["name"].(string)
	return name
}

var converterKey = regexp.MustCompile(`^(header|key|value)\.converter\.`)

// sortConverters sorts what comes in no order: the entries of each converter at the end of an answer, and their groups.
func sortConverters(answer any) {
	m, _ := answer.(map[string]any)
	behind := func(list []any, name func(any) string, stop func(string) bool) []any {
		at := len(list)
		for at > 0 && !stop(name(list[at-1])) {
			at--
		}
		return list[at:]
	}
	text := func(v any) string { s, _ := v.(string); return s }
	ends := func(n string) bool { return !converterKey.MatchString(n) || strings.HasSuffix(n, ".plugin.version") }
	sort := func(list []any, name func(any) string) {
		slices.SortStableFunc(list, func(a, b any) int {
			if converterKey.FindString(name(a)) != converterKey.FindString(name(b)) {
				return 0
			}
			return strings.Compare(name(a), name(b))
		})
	}
	if configs, ok := m["configs"].([]any); ok {
		sort(behind(configs, entryName, ends), entryName)
	}
	if keys, ok := m["keys"].([]any); ok {
		sort(behind(keys, text, ends), text)
	}
	if groups, ok := m["groups"].([]any); ok {
		sort(behind(groups, text, func(g string) bool { return g != "Schemas" && g != "Serialization" }), text)
	}
}

func media(s string) string { m, _, _ := strings.Cut(s, ";"); return m }

func compareSets(what, got, want string) string {
	set := func(s string) []string {
		parts := strings.Split(strings.ReplaceAll(s, " ", ""), ",")
		slices.Sort(parts)
		return parts
	}
	if !reflect.DeepEqual(set(got), set(want)) {
		return fmt.Sprintf("%s %q, want %q", what, got, want)
	}
	return ""
}

// javaWords are parts of messages whose rest is an accident of Java: only these parts must be there.
var javaWords = []string{"Unrecognized field", "Cannot deserialize value", "Cannot construct instance", "Cannot coerce empty String", "Trailing token"}

// differ compares two JSON values structurally, with what may differ left out.
func differ(at string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: %v, want an object", at, got)
		}
		for k, wv := range w {
			gv, there := g[k]
			if k == "recommended_values" && len(list(wv)) > 1 {
				continue // what else is installed
			}
			if k == "version" || k == "commit" || k == "kafka_cluster_id" || k == "worker_id" || k == "documentation" {
				continue // D1, D6
			}
			if !there {
				return fmt.Sprintf("%s.%s is missing", at, k)
			}
			if _, known := gv.(float64); known && k == "last_modified" && wv != nil {
				continue // when it was set
			}
			if d := differ(at+"."+k, gv, wv); d != "" {
				return d
			}
		}
		for k := range g {
			if _, there := w[k]; !there && k != "order" && k != "version" && k != "documentation" { // D5, D6; ours
				return fmt.Sprintf("%s.%s is there and should not be", at, k)
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		g = slices.DeleteFunc(g, ourKey)
		if at == "" {
			g, w = shared(g, w)
		}
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: %v, want %v", at, got, want)
		}
		if strings.HasSuffix(at, ".offsets") || strings.HasSuffix(at, ".topics") {
			return differSets(at, g, w)
		}
		for i := range w {
			if d := differ(fmt.Sprintf("%s[%d]", at, i), g[i], w[i]); d != "" {
				return d
			}
		}
		return ""
	case string:
		if _, number := got.(float64); number && w == "{{NUMBER}}" {
			return "" // how far a connector has come
		}
		return differText(at, got, w)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("%s: %v, want %v", at, got, want)
	}
	return ""
}

// shared leaves, of two lists of plugins, what is in both: what else is installed differs.
func shared(got, want []any) (g, w []any) {
	id := func(p any) string {
		m, _ := p.(map[string]any)
		if m["class"] == nil {
			return ""
		}
		return fmt.Sprint(m["type"], " ", m["class"])
	}
	in := func(all []any) func(any) bool {
		return func(p any) bool {
			return id(p) == "" || slices.ContainsFunc(all, func(q any) bool { return id(p) == id(q) })
		}
	}
	for _, p := range got {
		if in(want)(p) {
			g = append(g, p)
		}
	}
	for _, p := range want {
		if in(got)(p) {
			w = append(w, p)
		}
	}
	if len(w) == 0 && len(want) > 0 {
		return got, want
	}
	return g, w
}

func list(v any) []any { l, _ := v.([]any); return l }

// ownKeys are keys that connectors have here and not in Kafka Connect.
var ownKeys = []string{"file.truncation", "mock_mode", "delay_ms"}

// differSets compares lists whose order means nothing.
func differSets(at string, got, want []any) string {
	got = slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(got, func(g any) bool { return differ(at+"[]", g, w) == "" })
		if i < 0 {
			return fmt.Sprintf("%s: %v is missing in %v", at, w, got)
		}
		got = slices.Delete(got, i, i+1)
	}
	return ""
}

// ourKey tells whether an entry of a list of keys is one that Kafka Connect does not have.
func ourKey(entry any) bool {
	m, _ := entry.(map[string]any)
	name, _ := m["name"].(string)
	return slices.Contains(ownKeys, name) || slices.Contains(ownKeys, entryName(entry))
}

func differText(at string, got any, want string) string {
	if _, number := got.(float64); number && want == "{{TIME}}" {
		return ""
	}
	g, ok := got.(string)
	switch {
	case !ok:
		return fmt.Sprintf("%s: %v, want %q", at, got, want)
	case g == want:
		return ""
	case strings.HasSuffix(at, ".trace"): // the first line counts
		a, _, _ := strings.Cut(g, "\n")
		b, _, _ := strings.Cut(want, "\n")
		_, message, said := strings.Cut(b, ": ")
		message, _, _ = strings.Cut(message, "Syntax error in regular expression: ") // what follows is the library's
		if a == b || !said && a != "" || said && strings.Contains(a, message) {
			return "" // Java's class may be another; a class without a message says nothing
		}
	case strings.HasSuffix(at, ".message") || strings.Contains(at, ".errors"):
		for _, word := range javaWords {
			if strings.Contains(want, word) {
				if strings.Contains(g, word) {
					return ""
				}
				return fmt.Sprintf("%s: %q, want it to contain %q", at, g, word)
			}
		}
		if head, _, listed := strings.Cut(want, "{{PLUGIN_LIST}}"); listed || strings.Contains(want, "available connectors are: ") {
			if !listed {
				head = want[:strings.Index(want, "available connectors are: ")]
			}
			head = strings.Replace(head, "org.apache.kafka.connect.errors.ConnectException: Failed to find", "Failed to find", 1) // D13
			if strings.Contains(g, strings.TrimSpace(head)) {
				return ""
			}
		}
		if strings.Contains(want, "contains no connector type") && strings.Contains(g, "Connector config contains no connector type") {
			return "" // D11
		}
		if _, spec, found := strings.Cut(want, "does not match the required version range "); found && strings.Contains(g, "not found that matches the version range "+spec+",") {
			return "" // the words for plugins on Kafka Connect's class path
		}
		if javaAccident(want) && g != "" {
			return ""
		}
	}
	return fmt.Sprintf("%s: %q, want %q", at, g, want)
}

// javaAccident tells whether a message's wording is Jackson's, a NullPointerException's or a regular expression's.
func javaAccident(s string) bool {
	for _, word := range []string{"[Source: ", "Cannot invoke ", "Invalid regex: ", "through reference chain", "No content to map", "Null pointer"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}
