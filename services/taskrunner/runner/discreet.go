package runner

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// discreet is an instance whose errors do not quote secrets: traces are stored, and users read them.
type discreet struct {
	job.Instance
	values func() []string
}

// newDiscreet wraps an instance whose configurations may refer to secrets.
func newDiscreet(in job.Instance, refs *secrets.Resolver, spec cluster.JobSpec) job.Instance {
	values := func() []string { return append(refs.Values(spec.Config), refs.Values(spec.TaskConfig)...) }
	before := values()
	if len(before) == 0 {
		return in
	}
	return discreet{in, func() []string { return append(values(), before...) }} // they may have changed
}

// Run implements job.Instance.
func (d discreet) Run(take, do context.Context, env job.Env) error {
	env.Report = discreetReporter{env.Report, d.values}
	return hide(d.Instance.Run(take, do, env), d.values)
}

type discreetReporter struct {
	job.Reporter
	values func() []string
}

// Failed implements job.Reporter.
func (r discreetReporter) Failed(err error) { r.Reporter.Failed(hide(err, r.values)) }

// hidden stands in texts where a secret was.
const hidden = "[hidden]"

// hide is err without the values in its texts. It stays what it is for errors.Is and errors.As.
func hide(err error, values func() []string) error {
	if err == nil {
		return nil
	}
	all := values()
	if text := err.Error(); !slices.ContainsFunc(all, func(v string) bool { return strings.Contains(text, v) }) {
		return err
	}
	pairs := make([]string, 0, 2*len(all))
	for _, v := range all {
		pairs = append(pairs, v, hidden)
	}
	return hideIn(err, strings.NewReplacer(pairs...))
}

func hideIn(err error, r *strings.Replacer) error {
	if err == nil {
		return nil
	}
	e, ok := err.(*connecterr.Error) //nolint:errorlint // walks the chain as traces do
	if !ok {
		return reworded{err, r.Replace(err.Error())}
	}
	return &connecterr.Error{Kind: e.Kind, Class: e.Class, Message: r.Replace(e.Message), Cause: hideIn(e.Cause, r), Frames: e.Frames}
}

// reworded is an error with another text.
type reworded struct {
	err  error
	text string
}

func (e reworded) Error() string { return e.text }
func (e reworded) Unwrap() error { return e.err }
