package jsontree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

var errWeird = errors.New("the text has an unusual order of bytes")

// toUTF8 finds the encoding of a text, by its byte order mark or by the zeros at its start, and gives the text in UTF-8.
func toUTF8(b []byte) (text []byte, wide bool, err error) {
	if len(b) >= 4 {
		switch first := binary.BigEndian.Uint32(b); {
		case first == 0x0000FEFF:
			return utf32(b[4:], binary.BigEndian)
		case first == 0xFFFE0000:
			return utf32(b[4:], binary.LittleEndian)
		case first == 0x0000FFFE, first == 0xFEFF0000:
			return nil, false, errWeird
		case first>>16 == 0xFEFF:
			return utf16Text(b[2:], binary.BigEndian)
		case first>>16 == 0xFFFE:
			return utf16Text(b[2:], binary.LittleEndian)
		case first>>8 == 0xEFBBBF:
			return b[3:], false, nil
		case first>>8 == 0:
			return utf32(b, binary.BigEndian)
		case first&0x00FFFFFF == 0:
			return utf32(b, binary.LittleEndian)
		case first&^0x00FF0000 == 0, first&^0x0000FF00 == 0:
			return nil, false, errWeird
		}
	}
	if len(b) >= 2 {
		switch {
		case b[0] == 0:
			return utf16Text(b, binary.BigEndian)
		case b[1] == 0:
			return utf16Text(b, binary.LittleEndian)
		}
	}
	return b, false, nil
}

func utf32(b []byte, order binary.ByteOrder) ([]byte, bool, error) {
	var out bytes.Buffer
	for ; len(b) >= 4; b = b[4:] {
		r := order.Uint32(b)
		if r > utf8.MaxRune {
			return nil, true, errors.New("the text is no UTF-32")
		}
		out.Write(appendRune(nil, rune(r))) // checked
	}
	if len(b) > 0 {
		return nil, true, errors.New("the text ends within a character")
	}
	return out.Bytes(), true, nil
}

func utf16Text(b []byte, order binary.ByteOrder) ([]byte, bool, error) {
	out := make([]byte, 0, len(b))
	for ; len(b) >= 2; b = b[2:] {
		r := rune(order.Uint16(b))
		if len(b) >= 4 {
			if pair := utf16.DecodeRune(r, rune(order.Uint16(b[2:]))); pair != utf8.RuneError {
				r, b = pair, b[2:]
			}
		}
		out = appendRune(out, r)
	}
	if len(b) > 0 {
		out = append(out, "\uFFFD"...)
	}
	return out, true, nil
}
