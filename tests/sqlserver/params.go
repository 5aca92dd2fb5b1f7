package sqlserver

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
)

// Param is a parameter of a statement.
type Param struct {
	Name  string // with its @
	Type  string // on the wire: int, nvarchar, datetime2 …
	Value any    // as SQLite keeps it
}

// param reads a parameter of a procedure.
func (r *in) param() (p Param) {
	p.Name = fromUCS2(r.take(2 * r.u8()))
	r.u8() // flags
	id := byte(r.u8())
	switch id {
	case 0x1F:
		p.Type = "null"
	case 0x26:
		p.number("int", r, func(b []byte) any {
			var n [8]byte
			copy(n[:], b)
			v := int64(binary.LittleEndian.Uint64(n[:])) //nolint:gosec // the bits
			switch len(b) {
			case 2:
				v = int64(int16(v)) //nolint:gosec // the bits
			case 4:
				v = int64(int32(v)) //nolint:gosec // the bits
			}
			return v
		})
	case 0x68:
		p.number("bit", r, func(b []byte) any { return int64(b[0]) })
	case 0x6D:
		p.number("float", r, func(b []byte) any {
			if len(b) == 4 {
				return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
			}
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		})
	case 0x6A, 0x6C:
		r.u8()
		r.u8()
		scale := r.u8()
		p.Type = "decimal"
		if b := r.take(r.u8()); len(b) > 0 {
			abs := make([]byte, len(b)-1)
			for i := range abs {
				abs[i] = b[len(b)-1-i]
			}
			n := new(big.Int).SetBytes(abs)
			if b[0] == 0 {
				n.Neg(n)
			}
			p.Value = new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
		}
	case 0x28:
		p.Type = "date"
		if b := r.take(r.u8()); len(b) == 3 {
			p.Value = dayOf(b).Format("2006-01-02")
		}
	case 0x29, 0x2A, 0x2B:
		p.stamp(id, r)
	case 0xA5, 0xA7, 0xE7, 0xEF, 0xAF, 0xAD:
		p.text(id, r)
	default:
		r.err = fmt.Errorf("parameters of type 0x%02X are not known here", id)
		r.b = nil
	}
	return p
}

func (p *Param) number(kind string, r *in, read func([]byte) any) {
	p.Type = kind
	r.u8() // its size
	if b := r.take(r.u8()); len(b) > 0 {
		p.Value = read(b)
	}
}

func dayOf(b []byte) time.Time {
	return time.Date(1, 1, 1+int(b[0])+int(b[1])<<8+int(b[2])<<16, 0, 0, 0, 0, time.UTC)
}

func (p *Param) stamp(id byte, r *in) {
	scale := r.u8()
	p.Type = map[byte]string{0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}[id]
	b := r.take(r.u8())
	if len(b) == 0 {
		return
	}
	size := len(b) - map[byte]int{0x29: 0, 0x2A: 3, 0x2B: 5}[id]
	if size < 3 {
		r.err = errShort
		return
	}
	var n [8]byte
	copy(n[:], b[:size])
	of := time.Duration(binary.LittleEndian.Uint64(n[:])) * time.Duration(math.Pow10(9-scale)) //nolint:gosec // within a day
	switch id {
	case 0x29:
		p.Value = time.Time{}.Add(of).Format("15:04:05.0000000")
	case 0x2A:
		p.Value = dayOf(b[size:]).Add(of).Format(stampText)
	default: // the bytes are UTC's, whatever the offset
		p.Value = dayOf(b[size:size+3]).Add(of).Format(stampText) + " +00:00"
	}
}

func (p *Param) text(id byte, r *in) {
	p.Type = map[byte]string{0xA5: "varbinary", 0xAD: "binary", 0xA7: "varchar", 0xAF: "char", 0xE7: "nvarchar", 0xEF: "nchar"}[id]
	parts := r.u16() == 0xFFFF
	binaries := id == 0xA5 || id == 0xAD
	if !binaries {
		r.take(5)
	}
	var b []byte
	if parts {
		p.Type += "(max)"
		if r.u64() == math.MaxUint64 {
			return
		}
		for n := r.u32(); n > 0; n = r.u32() {
			b = append(b, r.take(n)...)
		}
	} else {
		n := r.u16()
		if n == 0xFFFF {
			return
		}
		b = r.take(n)
	}
	switch {
	case binaries:
		p.Value = append([]byte{}, b...)
	case strings.HasPrefix(p.Type, "n"):
		p.Value = fromUCS2(b)
	default:
		p.Value = string(b)
	}
}
