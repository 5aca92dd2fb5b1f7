package sqlserver

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // what runs the statements

	"github.com/millrace/millrace/embedded/childproc"
)

// The user that may log in.
const (
	User     = "sa"
	Password = "Secret1!"
	Database = "shop"
)

// Error is an error of the server.
type Error struct {
	Number  int
	Message string
	// Dooms ends the transaction.
	Dooms bool
}

func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Number, e.Message) }

// Statement is one that a client sent.
type Statement struct {
	Text   string
	Params []Param
	Login  string // the program's name
}

// Server is a server of its own, with one database.
type Server struct {
	file string
	db   *sql.DB
	addr string
	zone *time.Location

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	log      []Statement
	hook     func(Statement) error
	sessions sync.WaitGroup
	next     uint64 // transaction
}

// Errors of hooks that are none of the server's.
var (
	// ErrDrop cuts the connection off.
	ErrDrop = errors.New("the connection is cut off")
	// ErrHang answers nothing until the client gives up.
	ErrHang = errors.New("no answer")
)

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{file: filepath.Join(t.TempDir(), "shop.db"), conns: map[net.Conn]bool{}, zone: time.UTC}
	var err error
	if s.db, err = sql.Open("sqlite", s.file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), catalog); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Listen takes connections, at the address it had before.
func (s *Server) Listen(ctx context.Context) error {
	var l net.Listener
	var err error
	if s.addr == "" { // a client that dials a port of the other range while nobody listens there can meet itself
		l, err = childproc.Listen()
	} else {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listener, s.addr = l, l.Addr().String()
	s.mu.Unlock()
	s.sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.sessions.Go(func() {
				s.serve(c)
				_ = c.Close() // the client may have
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			})
		}
	})
	return nil
}

// Stop cuts all connections off and takes no more. What is not committed is gone.
func (s *Server) Stop() {
	s.mu.Lock()
	_ = s.listener.Close() // it may be closed
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.sessions.Wait()
}

// Address is the server's host and port.
func (s *Server) Address() string { return s.addr }

// JDBC is the URL with user and password, without TLS.
func (s *Server) JDBC() string {
	return "jdbc:sqlserver://" + s.addr + ";databaseName=" + Database + ";user=" + User + ";password={" + Password + "};encrypt=false"
}

// Hook is asked about each statement of a client before it runs; an error is its answer. nil: none is asked.
func (s *Server) Hook(hook func(Statement) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// Statements are those that clients have sent so far.
func (s *Server) Statements() []Statement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Statement(nil), s.log...)
}

func (s *Server) sent(st Statement) error {
	s.mu.Lock()
	s.log = append(s.log, st)
	hook := s.hook
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(st)
}

func (s *Server) transaction() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next
}

// Exec runs statements as a client of its own would, which Statements does not have.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	e := s.engine(t)
	for _, text := range statements {
		if _, err := e.run(context.WithoutCancel(t.Context()), text, nil); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// Rows runs a query and gives each row's values with | between them.
func (s *Server) Rows(t testing.TB, query string) (rows []string) {
	t.Helper()
	res, err := s.engine(t).run(t.Context(), query, nil)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	for _, r := range res.rows {
		text := ""
		for i, v := range r {
			if i > 0 {
				text += "|"
			}
			switch x := v.(type) {
			case nil:
				text += "null"
			case []byte:
				text += fmt.Sprintf("0x%x", x)
			default:
				text += fmt.Sprint(x)
			}
		}
		rows = append(rows, text)
	}
	return rows
}

func (s *Server) engine(t testing.TB) *engine {
	t.Helper()
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // with the server it may be closed
	return &engine{s: s, conn: conn}
}

// message is one of a client.
type message struct {
	kind byte
	body []byte
}

// serve talks to a client until one of the two ends it.
func (s *Server) serve(c net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	messages := make(chan message)
	go func() {
		defer cancel()
		for {
			kind, body, err := readMessage(c)
			if err != nil {
				return
			}
			select {
			case messages <- message{kind, body}:
			case <-ctx.Done():
				return
			}
		}
	}()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return
	}
	e := &engine{s: s, conn: conn}
	defer func() {
		e.rollback()
		_ = conn.Close()
	}()
	login := ""
	for {
		var m message
		select {
		case m = <-messages:
		case <-ctx.Done():
			return
		}
		var o out
		switch m.kind {
		case preloginMessage:
			o.bytes(prelogin)
		case loginMessage:
			if login, err = s.login(&o, m.body); err != nil {
				_ = writeMessage(c, o.b)
				return
			}
		case attentionMessage:
			o.done(doneToken, doneAttn, 0)
		default:
			if err := e.answer(ctx, &o, m, login); err != nil {
				if !errors.Is(err, ErrHang) {
					return
				}
				select { // until the client gives up, which it says
				case m = <-messages:
					if m.kind != attentionMessage {
						return
					}
					o = out{}
					o.done(doneToken, doneAttn, 0)
				case <-ctx.Done():
					return
				}
			}
		}
		if writeMessage(c, o.b) != nil {
			return
		}
	}
}

// prelogin tells the version and that there is no TLS.
var prelogin = []byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 16, 0, 0x10, 0, 0, 0, 2}

func (s *Server) login(o *out, body []byte) (program string, err error) {
	text := func(at int) []byte {
		if len(body) < at+4 {
			return nil
		}
		from, n := int(binary.LittleEndian.Uint16(body[at:])), 2*int(binary.LittleEndian.Uint16(body[at+2:]))
		if len(body) < from+n {
			return nil
		}
		return body[from : from+n]
	}
	user, database := fromUCS2(text(40)), fromUCS2(text(68))
	password := append([]byte(nil), text(44)...)
	for i, b := range password {
		b ^= 0xA5
		password[i] = b<<4 | b>>4
	}
	switch {
	case user != User || fromUCS2(password) != Password:
		err = &Error{Number: 18456, Message: "Login failed for user '" + user + "'."}
	case database != "" && database != Database:
		err = &Error{Number: 4060, Message: "Cannot open database \"" + database + "\" requested by the login. The login failed."}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		o.failure(e)
		o.done(doneToken, doneError, 0)
		return "", err
	}
	o.textChange(databaseChange, Database, "master")
	o.sized(loginToken, func(o *out) {
		o.u8(1, 0x74, 0, 0, 4)
		o.short("Microsoft SQL Server")
		o.u8(16, 0, 0x10, 0)
	})
	o.textChange(sizeChange, fmt.Sprint(packetSize), fmt.Sprint(packetSize))
	o.done(doneToken, 0, 0)
	return fromUCS2(text(48)), nil
}
