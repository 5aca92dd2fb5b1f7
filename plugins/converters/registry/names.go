package registry

import "fmt"

// inName tells whether a character can be in a name of Avro and of Protobuf.
func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// Scrubbed is a name with what can't be in one replaced: as Java encodes a URL, and then with _ for what still does not fit. Where
// oddStart holds for its first character, an x comes before it.
func Scrubbed(name string, oddStart func(c byte) bool) string {
	if name == "" {
		return name
	}
	odd := oddStart(name[0])
	fine := !odd
	for i := range len(name) {
		fine = fine && inName(name[i])
	}
	if fine {
		return name
	}
	var b []byte
	if odd {
		b = append(b, 'x')
	}
	for i := range len(name) {
		switch c := name[i]; {
		case inName(c):
			b = append(b, c)
		case c == '.' || c == '-' || c == '*' || c == ' ':
			b = append(b, '_')
		default:
			b = fmt.Appendf(b, "_%02X", c)
		}
	}
	return string(b)
}
