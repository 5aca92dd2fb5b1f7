// Package jsontree reads JSON as Kafka Connect's parser does, as leniently and no more, into a flat tree that is used again
// for the next text, and writes strings as it does. Numbers and strings stay text until they are asked for.
//
// Start reading at Tree.Parse; a Node is a place in the tree.
package jsontree

import (
	"bytes"
	"fmt"
	"strconv"
)

// Kind is what a node is.
type Kind uint8

// The kinds of node.
const (
	Missing Kind = iota // there is none, as in an empty text
	Null
	False
	True
	Int    // a number without fraction and exponent
	Number // any other
	String
	Array
	Object
)

var kinds = [...]string{Missing: "MISSING", Null: "NULL", False: "BOOLEAN", True: "BOOLEAN", Int: "NUMBER", Number: "NUMBER", String: "STRING", Array: "ARRAY", Object: "OBJECT"}

// String is the name that Kafka Connect's messages have for the kind.
func (k Kind) String() string { return kinds[k] }

// Node is a place in a tree. Nodes of another text mean nothing.
type Node int32

// None is no node: Kind says Missing.
const None Node = -1

// node is a value, or the name of an object's member, which stands before its value.
type node struct {
	start, end uint32 // in the text; of a string without its quotes
	next       Node   // behind all that is inside
	kind       Kind
	odd        bool // a string that is not simply its text: escapes, or bytes that are not plain UTF-8
}

// Tree is the last text that was parsed. The zero value is ready; it belongs to one goroutine. It keeps the text.
type Tree struct {
	text  []byte
	nodes []node
	at    int
	wide  bool // the text was of another encoding than UTF-8
}

// maxKept is how many nodes are kept in any case for the next text.
const maxKept = 1 << 16

// The limits of Kafka Connect's parser.
const (
	maxDepth  = 1000
	maxNumber = 1000
)

// Root is the value of the whole text, None when there is nothing but white space.
func (t *Tree) Root() Node {
	if len(t.nodes) == 0 {
		return None
	}
	return 0
}

// Kind is what a node is.
func (t *Tree) Kind(n Node) Kind {
	if n == None {
		return Missing
	}
	return t.nodes[n].kind
}

// First is the first element of an array, or the name of an object's first member; Node End when there is none.
func (t *Tree) First(n Node) Node { return n + 1 }

// Next is what follows a node in the same array or object: of a name its value, of a value the next name.
func (t *Tree) Next(n Node) Node { return t.nodes[n].next }

// End is where an array or object ends: Next of its last node.
func (t *Tree) End(n Node) Node { return t.nodes[n].next }

// Len is the number of elements of an array, or of members of an object, one that comes twice counted twice.
func (t *Tree) Len(n Node) int {
	count := 0
	for c := t.First(n); c != t.End(n); c = t.Next(c) {
		count++
	}
	if t.nodes[n].kind == Object {
		count /= 2
	}
	return count
}

// Raw is the text of a node; of a string what is between its quotes, as it is written. It is a view of the text.
func (t *Tree) Raw(n Node) []byte { return t.text[t.nodes[n].start:t.nodes[n].end] }

// Plain tells whether a string is its Raw text.
func (t *Tree) Plain(n Node) bool { return !t.nodes[n].odd }

// Text is a string. A surrogate without its other half becomes the three bytes that UTF-8 would have for it; AppendString
// writes those as the escape they were.
func (t *Tree) Text(n Node) string {
	if !t.nodes[n].odd {
		return string(t.Raw(n))
	}
	return string(unescape(t.Raw(n)))
}

// Is tells whether a string is this one.
func (t *Tree) Is(n Node, s string) bool {
	if !t.nodes[n].odd {
		return string(t.Raw(n)) == s
	}
	return t.Text(n) == s
}

// Get is the value of an object's member, the last one of that name; None when there is none.
func (t *Tree) Get(n Node, name string) Node {
	found := None
	if t.Kind(n) != Object {
		return found
	}
	for c := t.First(n); c != t.End(n); c = t.Next(t.Next(c)) {
		if t.Is(c, name) {
			found = t.Next(c)
		}
	}
	return found
}

// Parse reads a text. What follows the first value does not count, but a number must end at white space.
func (t *Tree) Parse(b []byte) error {
	if cap(t.nodes) > maxKept && len(t.nodes) < cap(t.nodes)/4 { // one large text among small ones
		t.nodes = nil
	}
	t.nodes, t.at = t.nodes[:0], 0
	var err error
	if t.text, t.wide, err = toUTF8(b); err != nil {
		return err
	}
	if t.blank(); t.at == len(t.text) {
		return nil
	}
	if err := t.value(0); err != nil {
		return err
	}
	return t.ended()
}

// ParseBehind reads the value that follows a prefix which was part of another text, and the brace behind it. It tells whether
// there is nothing else; if not, the text has to be parsed as a whole.
func (t *Tree) ParseBehind(b []byte, prefix int) bool {
	t.nodes, t.text, t.at, t.wide = t.nodes[:0], b, prefix, false
	if t.blank(); t.at == len(b) || t.value(1) != nil {
		return false
	}
	t.blank()
	return t.at < len(b) && b[t.at] == '}'
}

// ended refuses what runs on where a value has ended.
func (t *Tree) ended() error {
	if t.at == len(t.text) {
		return nil
	}
	switch c := t.text[t.at]; t.nodes[0].kind {
	case Int, Number:
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return t.unexpected("white space between values")
		}
	case Null, False, True:
		if c >= '0' && c != ']' && c != '}' && identifier(t.text[t.at:]) {
			return t.unexpected("the word to end")
		}
	default:
	}
	return nil
}

func (t *Tree) blank() {
	for t.at < len(t.text) {
		switch t.text[t.at] {
		case ' ', '\t', '\n', '\r':
			t.at++
		default:
			return
		}
	}
}

func (t *Tree) unexpected(want string) error {
	if t.at >= len(t.text) {
		return fmt.Errorf("unexpected end of the text: expected %s", want)
	}
	return fmt.Errorf("unexpected character (code %d) at byte %d: expected %s", t.text[t.at], t.at, want)
}

// value reads a value, which begins here.
func (t *Tree) value(depth int) error {
	if t.at >= len(t.text) {
		return t.unexpected("a value")
	}
	switch c := t.text[t.at]; c {
	case '{':
		return t.object(depth + 1)
	case '[':
		return t.array(depth + 1)
	case '"':
		return t.str()
	case 't':
		return t.word("true", True)
	case 'f':
		return t.word("false", False)
	case 'n':
		return t.word("null", Null)
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return t.number()
		}
	}
	return t.unexpected("a value")
}

func (t *Tree) leaf(k Kind, start, end int, odd bool) {
	t.nodes = append(t.nodes, node{uint32(start), uint32(end), Node(len(t.nodes) + 1), k, odd}) // no record is that long
}

func (t *Tree) word(w string, k Kind) error {
	if !bytes.HasPrefix(t.text[t.at:], []byte(w)) {
		return t.unexpected("true, false or null")
	}
	t.leaf(k, t.at, t.at+len(w), false)
	t.at += len(w)
	return nil
}

func (t *Tree) open(k Kind, depth int) (Node, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("values lie more than %d deep in each other", maxDepth)
	}
	n := Node(len(t.nodes)) // no record is that long
	t.leaf(k, t.at, t.at, false)
	t.at++
	t.blank()
	return n, nil
}

func (t *Tree) shut(n Node) error {
	t.at++
	t.nodes[n].end, t.nodes[n].next = uint32(t.at), Node(len(t.nodes)) // no record is that long
	return nil
}

func (t *Tree) array(depth int) error {
	n, err := t.open(Array, depth)
	if err != nil {
		return err
	}
	if t.at < len(t.text) && t.text[t.at] == ']' {
		return t.shut(n)
	}
	for {
		if err := t.value(depth); err != nil {
			return err
		}
		t.blank()
		switch {
		case t.at < len(t.text) && t.text[t.at] == ',':
			t.at++
			t.blank()
		case t.at < len(t.text) && t.text[t.at] == ']':
			return t.shut(n)
		default:
			return t.unexpected("a comma or the end of the array")
		}
	}
}

func (t *Tree) object(depth int) error {
	n, err := t.open(Object, depth)
	if err != nil {
		return err
	}
	if t.at < len(t.text) && t.text[t.at] == '}' {
		return t.shut(n)
	}
	for {
		if t.at >= len(t.text) || t.text[t.at] != '"' {
			return t.unexpected("the name of a member")
		}
		if err := t.str(); err != nil {
			return err
		}
		if t.blank(); t.at >= len(t.text) || t.text[t.at] != ':' {
			return t.unexpected("a colon")
		}
		t.at++
		t.blank()
		if err := t.value(depth); err != nil {
			return err
		}
		t.blank()
		switch {
		case t.at < len(t.text) && t.text[t.at] == ',':
			t.at++
			t.blank()
		case t.at < len(t.text) && t.text[t.at] == '}':
			return t.shut(n)
		default:
			return t.unexpected("a comma or the end of the object")
		}
	}
}

func (t *Tree) digits() int {
	start := t.at
	for t.at < len(t.text) && t.text[t.at] >= '0' && t.text[t.at] <= '9' {
		t.at++
	}
	return t.at - start
}

// number reads a number; zeros may lead it, and count for nothing.
func (t *Tree) number() error {
	start, kind := t.at, Int
	if t.text[t.at] == '-' {
		t.at++
	}
	zeros := t.at
	for t.at+1 < len(t.text) && t.text[t.at] == '0' && t.text[t.at+1] >= '0' && t.text[t.at+1] <= '9' {
		t.at++
	}
	zeros = t.at - zeros
	if t.digits() == 0 {
		return t.unexpected("a digit")
	}
	if t.at < len(t.text) && t.text[t.at] == '.' {
		kind = Number
		if t.at++; t.digits() == 0 {
			return t.unexpected("a digit behind the point")
		}
	}
	if t.at < len(t.text) && t.text[t.at]|0x20 == 'e' {
		kind = Number
		t.at++
		if t.at < len(t.text) && (t.text[t.at] == '-' || t.text[t.at] == '+') {
			t.at++
		}
		if t.digits() == 0 {
			return t.unexpected("a digit of the exponent")
		}
	}
	if t.at-start-zeros > maxNumber {
		return fmt.Errorf("the number at byte %d has more than %d characters", start, maxNumber)
	}
	t.leaf(kind, start, t.at, false)
	return nil
}

// Before is the text in front of a value, as it was given to Parse; nil when that was not the text of so many bytes.
func (t *Tree) Before(n Node, size int) []byte {
	if t.wide || len(t.text) != size {
		return nil
	}
	start := t.nodes[n].start
	if t.nodes[n].kind == String {
		start-- // its quote
	}
	return t.text[:start]
}

// Int32 is an integer that 32 bits hold; false for any other node.
func (t *Tree) Int32(n Node) (int32, bool) {
	if t.Kind(n) != Int {
		return 0, false
	}
	i, err := strconv.ParseInt(string(t.Raw(n)), 10, 32)
	return int32(i), err == nil
}
