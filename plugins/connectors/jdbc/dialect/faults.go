package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Class is what kind of thing went wrong.
type Class uint8

// The classes.
const (
	Other       Class = iota
	Connection        // the database can't be reached or is going down: the same may work later, on another connection
	Concurrency       // others were in the way: the same may work at once
	Data              // a row is bad
	Structure         // a table, a column or a right is missing, or the statement is wrong
)

// Fault is a database's error.
type Fault struct {
	Class    Class
	SQLState string // "" where the database has none
	Code     string // the vendor's
	Message  string
}

// String shows all there is.
func (f Fault) String() string {
	var more []string
	if f.SQLState != "" {
		more = append(more, "SQLState "+f.SQLState)
	}
	if f.Code != "" {
		more = append(more, "vendor code "+f.Code)
	}
	if more == nil {
		return f.Message
	}
	return fmt.Sprintf("%s (%s)", f.Message, strings.Join(more, ", "))
}

// lost judges errors that come from the net and not from a database; false: it is none of them.
func lost(err error) (Fault, bool) {
	f := Fault{Class: Connection, Message: err.Error()}
	var op *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	for _, known := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, context.DeadlineExceeded,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, known) {
			return f, true
		}
	}
	return f, errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &timeout) && timeout.Timeout()
}

// byState judges by the SQLState.
func byState(state string) Class {
	if len(state) != 5 {
		return Other
	}
	switch state[:2] {
	case "08", "53", "58":
		return Connection
	case "40", "55":
		return Concurrency
	case "21", "22", "23", "44":
		return Data
	case "28", "3D", "3F", "42", "0A", "0L", "0P":
		return Structure
	case "57":
		if state == "57014" { // a statement was cancelled
			return Concurrency
		}
		return Connection
	}
	return Other
}

// byCode judges by lists of a vendor's numbers.
func byCode(code int, lists map[Class][]int) Class {
	for class, list := range lists {
		for _, n := range list {
			if n == code {
				return class
			}
		}
	}
	return Other
}

func codeText(n int) string { return strconv.Itoa(n) }
