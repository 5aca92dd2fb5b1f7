package sqlserver

import (
	"context"
	"errors"
	"fmt"
)

// answer runs a request and writes its reply; an error is none of the server's.
func (e *engine) answer(ctx context.Context, o *out, m message, login string) error {
	r := &in{b: m.body}
	r.headers()
	st := Statement{Login: login}
	procedure := false
	switch m.kind {
	case batchMessage:
		st.Text = fromUCS2(r.b)
	case rpcMessage:
		procedure = true
		if r.u16() != 0xFFFF || r.u16() != 10 {
			return errors.New("only sp_executesql is known here")
		}
		r.u16() // options
		for len(r.b) > 0 {
			st.Params = append(st.Params, r.param())
		}
		if r.err != nil {
			return r.err
		}
		st.Text = fmt.Sprint(st.Params[0].Value)
		st.Params = st.Params[min(2, len(st.Params)):]
	case tranMessage:
		switch kind := r.u16(); kind {
		case 5:
			st.Text = "BEGIN TRANSACTION"
		case 7:
			st.Text = "COMMIT TRANSACTION"
		case 8:
			st.Text = "ROLLBACK TRANSACTION"
		default:
			return fmt.Errorf("transaction request %d is not known here", kind)
		}
	default:
		return fmt.Errorf("message %d is not known here", m.kind)
	}
	before := e.id
	err := e.s.sent(st)
	var res result
	if err == nil {
		res, err = e.run(ctx, st.Text, st.Params)
	}
	var fault *Error
	if err != nil && !errors.As(err, &fault) {
		return err
	}
	if fault != nil && fault.Dooms {
		e.rollback()
	}
	switch {
	case e.id == before:
	case e.id != 0:
		o.tranChange(beginChange, e.id)
	case e.committed:
		o.tranChange(commitChange, before)
	default:
		o.tranChange(rollbackChange, before)
	}
	last := byte(doneToken)
	if procedure {
		last = doneProcToken
	}
	if fault != nil {
		o.failure(fault)
		o.done(last, doneError, 0)
		return nil
	}
	if err := res.write(o); err != nil {
		return err
	}
	if !procedure {
		o.done(doneToken, doneCount, res.count)
		return nil
	}
	o.done(doneInProcToken, doneMore|doneCount, res.count)
	o.u8(statusToken)
	o.u32(0)
	o.done(doneProcToken, 0, 0)
	return nil
}

// result is what a statement gave.
type result struct {
	names []string
	types []sqlType
	rows  [][]any
	count int64
}

func (r *result) write(o *out) error {
	if r.names == nil {
		return nil
	}
	o.u8(columnsToken)
	o.u16(len(r.names))
	for i, n := range r.names {
		o.u32(0)
		flags := 1 // can be NULL
		if r.types[i].required {
			flags = 0
		}
		o.u16(flags)
		r.types[i].info(o)
		o.short(n)
	}
	for _, row := range r.rows {
		o.u8(rowToken)
		for i, v := range row {
			if err := r.types[i].value(o, v); err != nil {
				return fmt.Errorf("column %s: %w", r.names[i], err)
			}
		}
	}
	return nil
}
