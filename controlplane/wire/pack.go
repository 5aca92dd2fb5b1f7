package wire

import (
	"bytes"
	"compress/gzip"
	"io"
)

const (
	packFrom = 16 << 10 // messages below are sent as they are
	// MaxUnpacked bounds what a packed message may hold.
	MaxUnpacked = 32 << 20
)

// Pack makes a large message small for a bus that bounds messages: configurations of one connector's tasks are much alike.
// Small ones stay as they are.
func Pack(msg []byte) []byte {
	if len(msg) < packFrom {
		return msg
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return msg
	}
	_, err = z.Write(msg)
	if err != nil || z.Close() != nil || b.Len() >= len(msg) {
		return msg
	}
	return b.Bytes()
}

// Unpack undoes Pack. A message that can't be unpacked is a *PoisonError.
func Unpack(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != 0x1f || b[1] != 0x8b { // gzip's magic number; an envelope begins with a brace
		return b, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, &PoisonError{Reason: "a packed message can't be read: " + err.Error()}
	}
	msg, err := io.ReadAll(io.LimitReader(z, MaxUnpacked+1))
	if err != nil {
		return nil, &PoisonError{Reason: "a packed message can't be read: " + err.Error()}
	}
	if len(msg) > MaxUnpacked {
		return nil, &PoisonError{Reason: "a packed message is too large"}
	}
	return msg, nil
}
