package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Validations is the name of the requests that AskValidations makes.
const Validations = "validations"

// Recorded is the recording of what Kafka Connect answered to AskValidations, below testdata.
const Recorded = "oracle/" + Validations

// AskValidations asks both to validate configurations of each connector that both have, with each of its keys missing, wrong,
// null, empty, given twice or backed by a provider that nobody has, and with a key that nobody knows.
func AskValidations(connect, millrace Target) (recording []byte, asked int, differ []Verdict, err error) {
	c, m := &Player{target: connect, file: Validations, dir: connect.Dir}, &Player{target: millrace, file: Validations, dir: millrace.Dir}
	theirs, err := pluginClasses(c)
	if err != nil {
		return nil, 0, nil, err
	}
	ours, err := pluginClasses(m)
	if err != nil {
		return nil, 0, nil, err
	}
	for _, class := range theirs {
		if !slices.Contains(ours, class) {
			continue
		}
		bodies, err := configurations(c, class)
		if err != nil {
			return nil, asked, differ, err
		}
		for i, body := range bodies {
			var r row
			r.ID = fmt.Sprintf("%s-%d", class, i)
			r.Request.Method, r.Request.Path, r.Request.Body = http.MethodPut, "/connector-plugins/"+class+"/config/validate", &body
			r.Request.Headers = map[string]string{"Content-Type": "application/json"}
			asked++
			d, _, err := both(c, m, r, r)
			if err != nil {
				return nil, asked, differ, fmt.Errorf("%s: %w", r.ID, err)
			}
			if d != "" {
				differ = append(differ, Verdict{File: Validations, ID: r.ID, Request: r.Request.Method + " " + r.Request.Path + " " + body, Difference: d,
					Intended: intended(body)})
			}
			line, err := c.recorded(r)
			if err != nil {
				return nil, asked, differ, fmt.Errorf("%s: %w", r.ID, err)
			}
			recording = append(append(recording, line...), '\n')
		}
	}
	return recording, asked, differ, nil
}

// onPurpose explains what differs on purpose, by what is in the request.
var onPurpose = []struct {
	request *regexp.Regexp
	reason  string
}{
	{regexp.MustCompile(`"file":("[^"]|true|1\.5)`), "files outside the operator's folders are refused"},
	{regexp.MustCompile(`tools\.VerifiableSourceConnector"`), "the connector tells its keys here, and that it can deliver exactly once"},
	{regexp.MustCompile(`"topics\.regex":null`), "Kafka Connect's check of the expression fails at null by itself; here null is one error"},
	{regexp.MustCompile(`"(errors\.deadletterqueue\.topic\.name|offsets\.storage\.topic)":null`), "Kafka Connect crashes at null; here it is an error like any other"},
}

func intended(body string) string {
	for _, p := range onPurpose {
		if p.request.MatchString(body) {
			return p.reason
		}
	}
	return ""
}

// get reads JSON.
func get(p *Player, path string, into any) error {
	var r row
	r.Request.Method, r.Request.Path = http.MethodGet, path
	status, _, body, err := p.send(r)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", path, status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// pluginClasses are the connectors that a server has.
func pluginClasses(p *Player) (classes []string, err error) {
	var plugins []struct{ Class string }
	if err := get(p, "/connector-plugins", &plugins); err != nil {
		return nil, err
	}
	for _, one := range plugins {
		classes = append(classes, one.Class)
	}
	slices.Sort(classes)
	return classes, nil
}

// configurations are bodies for a connector, made from the keys that Kafka Connect says it has.
func configurations(p *Player, class string) (bodies []string, err error) {
	var keys []struct{ Name string }
	if err := get(p, "/connector-plugins/"+class+"/config", &keys); err != nil {
		return nil, err
	}
	base := []string{pair("connector.class", class), pair("name", "v"), pair("topics", "t"), pair("topic", "t")}
	body := func(more ...string) string { return "{" + strings.Join(append(slices.Clone(base), more...), ",") + "}" }
	without := func(name string) string {
		return "{" + strings.Join(slices.DeleteFunc(slices.Clone(base), func(p string) bool { return strings.HasPrefix(p, `"`+name+`":`) }), ",") + "}"
	}
	bodies = append(bodies, "{"+base[0]+"}", body(), body(pair("no.such.key", "x")), body(pair("tasks.max", "1"), pair("tasks.max", "2")), without("name"), without("topic"), without("topics"))
	for _, k := range keys {
		if k.Name == "connector.class" {
			continue
		}
		one := func(value string) string {
			kept := slices.DeleteFunc(slices.Clone(base), func(p string) bool { return strings.HasPrefix(p, `"`+k.Name+`":`) })
			return "{" + strings.Join(append(kept, `"`+k.Name+`":`+value), ",") + "}"
		}
		bodies = append(bodies, one(`"!wrong!"`), one(`null`), one(`""`), one(`"-1"`), one(`"${nobody:path:key}"`), one(`true`), one(`1.5`))
		bodies = append(bodies, strings.Replace(one(`"a"`), "{", `{"`+k.Name+`":"b",`, 1))
	}
	return bodies, nil
}

func pair(key, value string) string { return fmt.Sprintf("%q:%q", key, value) }
