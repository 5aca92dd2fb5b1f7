package sqlserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// The types of messages.
const (
	batchMessage     = 1
	rpcMessage       = 3
	replyMessage     = 4
	attentionMessage = 6
	tranMessage      = 14
	loginMessage     = 16
	preloginMessage  = 18
)

const (
	headerSize = 8
	packetSize = 4096
	lastPacket = 1
)

// readMessage reads the packets of a message.
func readMessage(r io.Reader) (kind byte, body []byte, err error) {
	for {
		var head [headerSize]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0, nil, err
		}
		size := int(binary.BigEndian.Uint16(head[2:]))
		if size < headerSize {
			return 0, nil, fmt.Errorf("a packet of %d bytes", size)
		}
		part := make([]byte, size-headerSize)
		if _, err := io.ReadFull(r, part); err != nil {
			return 0, nil, err
		}
		body = append(body, part...)
		if head[1]&lastPacket != 0 {
			return head[0], body, nil
		}
	}
}

// writeMessage writes a reply in packets.
func writeMessage(w io.Writer, body []byte) error {
	for n := byte(1); ; n++ {
		part := body[:min(len(body), packetSize-headerSize)]
		body = body[len(part):]
		head := [headerSize]byte{0: replyMessage, 6: n}
		if len(body) == 0 {
			head[1] = lastPacket
		}
		binary.BigEndian.PutUint16(head[2:], uint16(len(part)+headerSize)) //nolint:gosec // of a packet
		if _, err := w.Write(append(head[:], part...)); err != nil {
			return err
		}
		if len(body) == 0 {
			return nil
		}
	}
}

// out collects the tokens of a reply.
type out struct{ b []byte }

func (o *out) u8(v ...byte)   { o.b = append(o.b, v...) }
func (o *out) u16(v int)      { o.b = binary.LittleEndian.AppendUint16(o.b, uint16(v)) } //nolint:gosec // fits
func (o *out) u32(v int)      { o.b = binary.LittleEndian.AppendUint32(o.b, uint32(v)) } //nolint:gosec // fits
func (o *out) u64(v uint64)   { o.b = binary.LittleEndian.AppendUint64(o.b, v) }
func (o *out) bytes(v []byte) { o.b = append(o.b, v...) }
func (o *out) short(text string) { // B_VARCHAR
	u := ucs2(text)
	o.u8(byte(len(u) / 2))
	o.bytes(u)
}

func (o *out) long(text string) { // US_VARCHAR
	u := ucs2(text)
	o.u16(len(u) / 2)
	o.bytes(u)
}

// sized writes a token with the length of what fill writes.
func (o *out) sized(token byte, fill func(*out)) {
	var in out
	fill(&in)
	o.u8(token)
	o.u16(len(in.b))
	o.bytes(in.b)
}

func ucs2(text string) (b []byte) {
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func fromUCS2(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

var errShort = errors.New("the message ends too early")

// in reads a message; what is behind its end reads as zeros, and err tells it.
type in struct {
	b   []byte
	err error
}

func (r *in) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err, r.b = errShort, nil
		return make([]byte, max(0, min(n, 1<<16)))
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *in) u8() int     { return int(r.take(1)[0]) }
func (r *in) u16() int    { return int(binary.LittleEndian.Uint16(r.take(2))) }
func (r *in) u32() int    { return int(binary.LittleEndian.Uint32(r.take(4))) }
func (r *in) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// headers skips what stands before each request: it repeats the transaction, which a session here knows.
func (r *in) headers() {
	if n := r.u32(); n >= 4 {
		r.take(n - 4)
	}
}

// The tokens of replies.
const (
	statusToken     = 0x79
	columnsToken    = 0x81
	errorToken      = 0xAA
	loginToken      = 0xAD
	rowToken        = 0xD1
	changeToken     = 0xE3
	doneToken       = 0xFD
	doneProcToken   = 0xFE
	doneInProcToken = 0xFF
)

// The flags of a done token.
const (
	doneMore  = 1
	doneError = 2
	doneCount = 0x10
	doneAttn  = 0x20
)

// The changes that a server tells.
const (
	databaseChange = 1
	sizeChange     = 4
	beginChange    = 8
	commitChange   = 9
	rollbackChange = 10
)

func (o *out) done(token byte, flags int, rows int64) {
	o.u8(token)
	o.u16(flags)
	o.u16(0)
	o.u64(uint64(rows)) //nolint:gosec // a count
}

func (o *out) failure(e *Error) {
	o.sized(errorToken, func(o *out) {
		o.u32(e.Number)
		o.u8(1, 16)
		o.long(e.Message)
		o.short("fake")
		o.short("")
		o.u32(1)
	})
}

// textChange tells a change of texts, tranChange one of the transaction.
func (o *out) textChange(kind byte, now, before string) {
	o.sized(changeToken, func(o *out) { o.u8(kind); o.short(now); o.short(before) })
}

func (o *out) tranChange(kind byte, id uint64) {
	var desc [8]byte
	binary.LittleEndian.PutUint64(desc[:], id)
	o.sized(changeToken, func(o *out) {
		o.u8(kind)
		if kind == beginChange {
			o.u8(8)
			o.bytes(desc[:])
			o.u8(0)
			return
		}
		o.u8(0, 8)
		o.bytes(desc[:])
	})
}
