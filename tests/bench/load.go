package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load asks a server for paths over and over on several connections, and counts the answers. It does as little as possible: it
// shares the machine with what it measures.
type load struct {
	addr  string // host:port
	conns int
	path  func(i int64) string
}

// run asks for a time, and returns the answers a second.
func (l load) run(ctx context.Context, d time.Duration) (perSecond float64, n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var count, next atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range l.conns {
		g.Go(func() error {
			err := l.ask(gctx, &next, &count)
			if gctx.Err() != nil {
				return nil // the time is up
			}
			return err
		})
	}
	err = g.Wait()
	return float64(count.Load()) / time.Since(began).Seconds(), count.Load(), err
}

func (l load) ask(ctx context.Context, next, count *atomic.Int64) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	in := bufio.NewReaderSize(conn, 64<<10)
	var out []byte
	for {
		out = append(out[:0], "GET "...)
		out = append(out, l.path(next.Add(1))...)
		out = append(append(append(out, " HTTP/1.1\r\nHost: "...), l.addr...), "\r\n\r\n"...)
		if _, err := conn.Write(out); err != nil {
			return err
		}
		if err := answer(in); err != nil {
			return err
		}
		count.Add(1)
	}
}

// answer reads one answer, which must be 200 and say how long it is.
func answer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answered %q", textproto.TrimBytes(line))
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = textproto.TrimBytes(line); len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(textproto.TrimBytes(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("the answer does not say how long it is")
	}
	_, err = in.Discard(length)
	return err
}

// once asks for one path and returns how long the answer took and was.
func (l load) once(ctx context.Context, path string) (took time.Duration, size int64, err error) {
	began := time.Now()
	resp, err := get(ctx, "http://"+l.addr+path)
	if err != nil {
		return 0, 0, err
	}
	size, err = io.Copy(io.Discard, resp)
	return time.Since(began), size, errors.Join(err, resp.Close())
}
