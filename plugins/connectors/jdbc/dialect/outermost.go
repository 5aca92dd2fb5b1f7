package dialect

import "iter"

// Outermost are the bytes of a text in SQL, with their places, that are in no quotes and no parentheses.
func Outermost(text string) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		depth := 0
		var quote byte
		for i := range len(text) {
			switch c := text[i]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '\'' || c == '"' || c == '`':
				quote = c
			case c == '(':
				depth++
			case c == ')':
				depth--
			case depth == 0 && !yield(i, c):
				return
			}
		}
	}
}
