// Package env is the one table of a program's settings: each has a flag, an environment variable, a default and a
// sentence, and the table parses them, prints --help and writes the reference page. os.Getenv is called nowhere else.
//
// A setting "postgres-url" is the flag -postgres-url and the variable MILLRACE_POSTGRES_URL; the flag wins.
package env

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Prefix starts the name of every environment variable.
const Prefix = "MILLRACE_"

// ErrHelp is returned by Parse when help or the version was asked for; the text has been printed.
var ErrHelp = errors.New("help was asked for")

type setting struct {
	name, def, doc, kind string
	secret               bool
	set                  func(string) error
}

// Table holds the settings of one program. The zero value is not usable; call New.
type Table struct {
	program, about string
	settings       []setting
}

// New makes an empty table. about is the sentence that starts the help text.
func New(program, about string) *Table { return &Table{program: program, about: about} }

func (t *Table) add(s setting) {
	if err := s.set(s.def); err != nil {
		panic(fmt.Sprintf("env: default of -%s: %v", s.name, err)) // a mistake in code
	}
	t.settings = append(t.settings, s)
}

// String adds a text setting.
func (t *Table) String(p *string, name, def, doc string) {
	t.add(setting{name: name, def: def, doc: doc, kind: "text", set: func(v string) error { *p = v; return nil }})
}

// Secret adds a text setting whose value is never printed.
func (t *Table) Secret(p *string, name, doc string) {
	t.add(setting{name: name, doc: doc, kind: "secret", secret: true, set: func(v string) error { *p = v; return nil }})
}

// Bool adds a switch.
func (t *Table) Bool(p *bool, name string, def bool, doc string) {
	t.add(setting{name: name, def: strconv.FormatBool(def), doc: doc, kind: "true or false", set: func(v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return errors.New("must be true or false")
		}
		*p = b
		return nil
	}})
}

// Int adds a whole number.
func (t *Table) Int(p *int, name string, def int, doc string) {
	t.add(setting{name: name, def: strconv.Itoa(def), doc: doc, kind: "number", set: func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil {
			return errors.New("must be a whole number")
		}
		*p = n
		return nil
	}})
}

// Duration adds a length of time.
func (t *Table) Duration(p *time.Duration, name string, def time.Duration, doc string) {
	t.add(setting{name: name, def: def.String(), doc: doc, kind: "duration, such as 500ms or 10s", set: func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return errors.New("must be a duration such as 500ms or 10s")
		}
		*p = d
		return nil
	}})
}

// List adds a comma-separated list; blanks around elements and empty elements are dropped.
func (t *Table) List(p *[]string, name, def, doc string) {
	t.add(setting{name: name, def: def, doc: doc, kind: "comma-separated list", set: func(v string) error {
		*p = nil
		for e := range strings.SplitSeq(v, ",") {
			if e = strings.TrimSpace(e); e != "" {
				*p = append(*p, e)
			}
		}
		return nil
	}})
}

// Map adds a comma-separated list of key=value pairs.
func (t *Table) Map(p *map[string]string, name, def, doc string) {
	t.add(setting{name: name, def: def, doc: doc, kind: "comma-separated key=value pairs", set: func(v string) error {
		m := map[string]string{}
		for e := range strings.SplitSeq(v, ",") {
			if e = strings.TrimSpace(e); e == "" {
				continue
			}
			k, val, ok := strings.Cut(e, "=")
			if !ok {
				return fmt.Errorf("element %q must be key=value", e)
			}
			m[strings.TrimSpace(k)] = strings.TrimSpace(val)
		}
		*p = m
		return nil
	}})
}

// Variable is the environment variable of a setting.
func Variable(name string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Parse fills the settings from the environment, then from args; args left over are returned. All bad values are
// reported together. version is what -version prints.
func (t *Table) Parse(args []string, getenv func(string) string, out io.Writer, version string) (rest []string, err error) {
	var problems []error
	for _, s := range t.settings {
		if v := getenv(Variable(s.name)); v != "" {
			if err := s.set(v); err != nil {
				problems = append(problems, fmt.Errorf("%s=%s: %w", Variable(s.name), s.shown(v), err))
			}
		}
	}
	fs := flag.NewFlagSet(t.program, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for _, s := range t.settings {
		set := func(v string) error {
			if err := s.set(v); err != nil {
				problems = append(problems, fmt.Errorf("-%s=%s: %w", s.name, s.shown(v), err))
			}
			return nil
		}
		if s.kind == "true or false" {
			fs.BoolFunc(s.name, s.doc, set)
		} else {
			fs.Func(s.name, s.doc, set)
		}
	}
	showVersion := fs.Bool("version", false, "print the version")
	showDocs := fs.Bool("docs", false, "print the reference page")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		t.Help(out)
		return nil, ErrHelp
	case err != nil:
		problems = append(problems, fmt.Errorf("%w (see %s -help)", err, t.program))
	case *showDocs:
		t.Markdown(out)
		return nil, ErrHelp
	case *showVersion:
		_, _ = fmt.Fprintln(out, version)
		return nil, ErrHelp
	}
	return fs.Args(), errors.Join(problems...)
}

func (s setting) shown(v string) string {
	if s.secret {
		return "[hidden]"
	}
	return strconv.Quote(v)
}

// Help prints the table for people. A reader that went away is no error.
func (t *Table) Help(w io.Writer) {
	_, _ = fmt.Fprintf(w, "%s: %s\n\nSettings (flag, environment variable, default):\n", t.program, t.about)
	for _, s := range t.settings {
		_, _ = fmt.Fprintf(w, "\n  -%s  %s", s.name, Variable(s.name))
		if s.def != "" {
			_, _ = fmt.Fprintf(w, "  (default %s)", s.def)
		}
		_, _ = fmt.Fprintf(w, "\n      %s (%s)\n", s.doc, s.kind)
	}
	_, _ = fmt.Fprintf(w, "\n  -version\n      Print the version and end.\n\n  -docs\n      Print this table as Markdown and end.\n")
}

// Markdown writes the reference table of the program.
func (t *Table) Markdown(w io.Writer) {
	_, _ = fmt.Fprintf(w, "## %s\n\n%s\n\n| flag | environment | default | kind | meaning |\n| --- | --- | --- | --- | --- |\n", t.program, t.about)
	for _, s := range t.settings {
		def := ""
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		_, _ = fmt.Fprintf(w, "| `-%s` | `%s` | %s | %s | %s |\n", s.name, Variable(s.name), def, s.kind, s.doc)
	}
	_, _ = fmt.Fprintln(w)
}
