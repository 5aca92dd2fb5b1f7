package jsonschema

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Validator tells whether messages are valid by a JSON Schema.
type Validator struct{ schema *validator.Schema }

// base is where the schema itself is for references: nothing is fetched from anywhere.
const base = "https://schema.invalid/"

// NewValidator compiles a schema, with those that it refers to. Without $schema it is one of draft 7.
func NewValidator(text string, deps []Named) (*Validator, error) {
	if len(text) > maxSchema {
		return nil, bad("the JSON Schema has %d bytes; at most %d are read", len(text), maxSchema)
	}
	doc, err := validator.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, connecterr.Wrap(connecterr.Data, err, "the JSON Schema is no JSON")
	}
	c := validator.NewCompiler()
	c.DefaultDraft(validator.Draft7)
	c.UseLoader(referenced(deps))
	c.UseRegexpEngine(expression)
	if err := c.AddResource(base+"schema", doc); err != nil {
		return nil, bad("the JSON Schema can't be used to validate: %v", err)
	}
	schema, err := c.Compile(base + "schema")
	if err != nil {
		return nil, bad("the JSON Schema can't be used to validate: %v", err)
	}
	return &Validator{schema}, nil
}

// Check tells what is wrong with a message. A nil validator takes any.
func (v *Validator) Check(message []byte) error {
	if v == nil {
		return nil
	}
	value, err := validator.UnmarshalJSON(bytes.NewReader(message))
	if err != nil {
		return connecterr.Wrap(connecterr.Serialization, err, "the message is no JSON")
	}
	err = v.schema.Validate(value)
	wrong, ok := errors.AsType[*validator.ValidationError](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return connecterr.Wrap(connecterr.Serialization, err, "the message could not be validated")
	}
	for len(wrong.Causes) > 0 { // the first that is wrong says most
		wrong = wrong.Causes[0]
	}
	return connecterr.New(connecterr.Serialization, "the message is not valid by its JSON Schema: /%s breaks the rule %q (json.fail.invalid.schema=false lets it pass)",
		strings.Join(wrong.InstanceLocation, "/"), strings.Join(wrong.ErrorKind.KeywordPath(), "/"))
}

// referenced finds the schemas that one refers to by their names.
type referenced []Named

// Load implements the compiler's loader.
func (r referenced) Load(url string) (any, error) {
	for _, d := range r {
		if url == d.Name || url == base+d.Name || strings.HasSuffix(url, "/"+strings.TrimPrefix(d.Name, "/")) {
			return validator.UnmarshalJSON(strings.NewReader(d.Text))
		}
	}
	return nil, fmt.Errorf("%s is none of the schema's references", url)
}

// matchTime bounds a match: expressions that look back can take forever.
const matchTime = time.Second

type pattern struct{ *regexp2.Regexp }

// expression compiles a pattern as JavaScript has it, which JSON Schema asks for.
func expression(text string) (validator.Regexp, error) {
	r, err := regexp2.Compile(text, regexp2.ECMAScript)
	if err != nil {
		return nil, err
	}
	r.MatchTimeout = matchTime
	return pattern{r}, nil
}

// MatchString tells whether a text has the pattern in it. One that takes too long to tell has it not.
func (p pattern) MatchString(s string) bool {
	ok, err := p.Regexp.MatchString(s)
	return ok && err == nil
}
