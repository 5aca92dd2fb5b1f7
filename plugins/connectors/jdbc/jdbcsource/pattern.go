package jdbcsource

import (
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/javaregex"
)

// matchTime bounds a match: expressions that backtrack can take as good as for ever.
const matchTime = time.Second

// pattern is a regular expression of Java that has to match the whole of a text.
type pattern struct {
	text string
	expr *regexp2.Regexp
}

func newPattern(text string) (pattern, error) {
	e, err := javaregex.Parse(text, nil)
	if err != nil {
		return pattern{}, err
	}
	p := pattern{text: text}
	if p.expr, err = regexp2.Compile(`\A(?:` + e.Text + `)\z`); err != nil {
		return pattern{}, err
	}
	p.expr.MatchTimeout = matchTime
	return p, nil
}

func (p pattern) matches(text string) (bool, error) {
	ok, err := p.expr.MatchString(text)
	if err != nil {
		return false, connecterr.Wrap(connecterr.General, err, "Could not match %s with the regular expression %s", text, p.text)
	}
	return ok, nil
}

func newPatterns(texts []string) (all []pattern, err error) {
	for _, t := range texts {
		p, err := newPattern(t)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// mapping gives columns to the tables whose names match.
type mapping struct {
	pattern
	columns []string
}

// mappingTexts are what is said of a mapping that can't be read.
type mappingTexts struct{ form, brackets, empty string }

var (
	timestampTexts   = mappingTexts{form: "Invalid format. Expected 'regex:[col1|col2|...]'", brackets: "Columns list must be enclosed in square brackets", empty: "Columns list cannot be empty"}
	incrementingText = mappingTexts{form: "Invalid format. Expected 'regex:columnName'", empty: "Column name cannot be empty"}
)

// parseMapping reads regex:[column|column], or regex:column where there is to be one. The message is for users.
func parseMapping(entry string, texts mappingTexts) (m mapping, message string) {
	at := strings.LastIndex(entry, ":")
	if at < 0 {
		return m, texts.form
	}
	var err error
	if m.pattern, err = newPattern(strings.TrimSpace(entry[:at])); err != nil {
		return m, "Invalid regular expression: " + err.Error()
	}
	columns := strings.TrimSpace(entry[at+1:])
	if texts.brackets == "" {
		if m.columns = []string{columns}; columns == "" {
			return m, texts.empty
		}
		return m, ""
	}
	if len(columns) < 2 || columns[0] != '[' || columns[len(columns)-1] != ']' {
		return m, texts.brackets
	}
	if columns = strings.TrimSpace(columns[1 : len(columns)-1]); columns == "" {
		return m, texts.empty
	}
	for c := range strings.SplitSeq(columns, "|") {
		if c = strings.TrimSpace(c); c == "" {
			return m, "Every column name should be non-empty string"
		}
		m.columns = append(m.columns, c)
	}
	return m, ""
}
