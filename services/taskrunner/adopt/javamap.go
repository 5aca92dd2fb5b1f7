package adopt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Marks of Java's Object Serialization Stream Protocol, version 5, as far as a file of offsets has them.
const (
	javaHeader    = 0xaced0005
	javaNull      = 0x70
	javaReference = 0x71
	javaClass     = 0x72
	javaObject    = 0x73
	javaArray     = 0x75
	javaBlock     = 0x77
	javaEnd       = 0x78

	javaHandles = 0x7e0000 // the first object's number
	javaMost    = 16 << 20 // bytes of one key or value
)

// javaEntry is a key with its value; nil is Java's null.
type javaEntry struct{ key, value []byte }

// readJavaMap reads the file of offsets of a standalone worker: one java.util.HashMap<byte[],byte[]>.
func readJavaMap(path string) (all []javaEntry, err error) {
	f, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if all, err = parseJavaMap(f); err != nil {
		return nil, fmt.Errorf("%s is not a file of offsets of Kafka Connect's standalone worker: %w", path, err)
	}
	return all, nil
}

func parseJavaMap(in io.Reader) ([]javaEntry, error) {
	s := &javaStream{in: bufio.NewReader(in)}
	if s.number(4) != javaHeader {
		s.fail("it does not begin as a serialized Java object does")
	}
	s.expect(javaObject)
	s.class("java.util.HashMap", true)
	s.handle(nil)
	s.number(8) // load factor and threshold
	s.expect(javaBlock)
	if n := s.number(1); n != 8 {
		s.fail("a HashMap's head has %d bytes, want 8", n)
	}
	s.number(4) // buckets
	n := s.number(4)
	var all []javaEntry
	for i := uint64(0); i < n && s.err == nil; i++ { // the number is only believed as far as there are entries
		all = append(all, javaEntry{s.bytes(), s.bytes()})
	}
	s.expect(javaEnd)
	if s.err != nil {
		return nil, s.err
	}
	if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows after byte %d", s.at)
	}
	return all, nil
}

// javaStream reads until its first error, which stays.
type javaStream struct {
	in      *bufio.Reader
	at      int64
	handles []any // what can be referred to: class names, arrays, nil for others
	err     error
}

func (s *javaStream) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("byte %d: %w", s.at, fmt.Errorf(format, args...))
	}
}

func (s *javaStream) take(n int64) []byte {
	if s.err != nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(s.in, n)) // n may be a lie: memory grows with what there is
	if err == nil && int64(len(b)) < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		s.fail("%w", err)
		return nil
	}
	s.at += n
	return b
}

// number reads a big-endian number of up to 8 bytes.
func (s *javaStream) number(bytes int) uint64 {
	var b [8]byte
	copy(b[8-bytes:], s.take(int64(bytes)))
	return binary.BigEndian.Uint64(b[:])
}

func (s *javaStream) expect(mark uint64) {
	if got := s.number(1); got != mark {
		s.fail("there is %#x, want %#x", got, mark)
	}
}

func (s *javaStream) handle(what any) { s.handles = append(s.handles, what) }

func (s *javaStream) referred() any {
	n := s.number(4) - javaHandles // wraps around when it is less
	if n >= uint64(len(s.handles)) {
		s.fail("it refers to an object that is not there")
		return nil
	}
	return s.handles[n]
}

// class reads the description of the class that must come here, or a reference to it.
func (s *javaStream) class(name string, fields bool) {
	switch mark := s.number(1); mark {
	case javaReference:
		if s.referred() != name {
			s.fail("there is an object of another class than %s", name)
		}
		return
	case javaClass:
	default:
		s.fail("there is %#x, want a class", mark)
	}
	if got := s.take(int64(s.number(2))); string(got) != name { //nolint:gosec // two bytes
		s.fail("there is an object of the class %.100q, want %s", got, name)
	}
	s.number(8) // its version
	s.handle(name)
	s.number(1) // how it writes itself
	want := uint64(0)
	if fields {
		want = 2
	}
	if n := s.number(2); n != want {
		s.fail("%s has %d fields, want %d", name, n, want)
	}
	for range want {
		s.number(1)
		s.take(int64(s.number(2))) //nolint:gosec // two bytes
	}
	s.expect(javaEnd)
	s.expect(javaNull) // no class above it
}

// bytes reads an array of bytes, or null.
func (s *javaStream) bytes() []byte {
	switch mark := s.number(1); mark {
	case javaNull:
	case javaReference:
		b, ok := s.referred().([]byte)
		if !ok {
			s.fail("it refers to something that is no array of bytes")
		}
		return b
	case javaArray:
		s.class("[B", false)
		n := s.number(4)
		if n > javaMost {
			s.fail("an array of %d bytes is too long, at most %d are", n, javaMost)
			return nil
		}
		b := s.take(int64(n))
		s.handle(b)
		return b
	default:
		s.fail("there is %#x, want an array of bytes", mark)
	}
	return nil
}
