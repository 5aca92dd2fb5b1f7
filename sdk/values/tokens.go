package values

// tokens cuts a text at its delimiters. A token is one delimiter, or all that stands before the next one. A backslash makes a
// delimiter part of what stands before it, and stays there.
type tokens struct {
	text     string
	at       int    // behind what was cut off
	peeked   string // cut off and not taken yet, when has is set
	has      bool
	previous string
}

// mark is where the next token begins.
func (t *tokens) mark() int {
	if t.has {
		return t.at - len(t.peeked)
	}
	return t.at
}

func (t *tokens) rewind(to int) { t.at, t.has, t.peeked, t.previous = to, false, "", "" }

func (t *tokens) more() bool { return t.has || t.at < len(t.text) }

// next takes a token; there must be one.
func (t *tokens) next() string {
	if t.has {
		t.previous, t.has = t.peeked, false
	} else {
		t.previous = t.cut()
	}
	return t.previous
}

// nextN takes n tokens as one text; false, and nothing taken, when there are not so many.
func (t *tokens) nextN(n int) (string, bool) {
	start := t.mark()
	for range n {
		if !t.more() {
			t.rewind(start)
			return "", false
		}
		t.next()
	}
	return t.text[start:t.at], true
}

func (t *tokens) cut() string {
	start, escaped := t.at, false
	for ; t.at < len(t.text); t.at++ {
		switch t.text[t.at] {
		case '\\':
			escaped = !escaped
			continue
		case ':', ',', '{', '}', '[', ']', '"':
			if escaped {
				break
			}
			if t.at == start {
				t.at++
			}
			return t.text[start:t.at]
		}
		escaped = false
	}
	return t.text[start:]
}

// take takes the next token if it is what is expected, blanks around it aside.
func (t *tokens) take(expected string) bool {
	if !t.has {
		if !t.more() {
			return false
		}
		t.peeked, t.has = t.cut(), true
	}
	for blank(t.peeked) && t.at < len(t.text) {
		t.peeked = t.cut()
	}
	if trim(t.peeked) != expected {
		return false
	}
	t.has = false
	return true
}

// trim cuts off what Java's String.trim does.
func trim(s string) string {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	return s
}

func blank(s string) bool { return trim(s) == "" }

// blanks are what trim cuts off.
const blanks = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f "
