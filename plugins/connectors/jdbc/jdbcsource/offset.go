package jdbcsource

import (
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// The fields of partitions and offsets, in the names and the order that the Java connectors write: the offsets topic is
// compacted by the bytes of its keys, and a Java worker may go on from here.
const (
	protocolField  = "protocol"
	tableField     = "table"
	queryField     = "query"
	nanosField     = "timestamp_nanos"
	idField        = "incrementing"
	timestampField = "timestamp"
)

func queryPartition() record.SourcePartition { return data.MapOf(queryField, queryField) }

// partition is where the offset of a table is written.
func (t table) partition() record.SourcePartition {
	return data.MapOf(protocolField, "1", tableField, t.String())
}

// barePartition is the form of versions before 5.0, and what records without an offset say.
func (t table) barePartition() record.SourcePartition { return data.MapOf(tableField, t.name) }

// partitions are where a table's offset may be, the best first. catalog: the name of the database, which some versions for
// Postgres wrote before the schema. bare: an offset under the name alone is this table's.
func (t table) partitions(catalog string, bare bool) []record.SourcePartition {
	all := []record.SourcePartition{t.partition()}
	if catalog != "" && t.catalog == "" && t.schema != "" {
		long := t
		long.catalog = catalog
		all = append(all, long.partition())
	}
	if bare {
		all = append(all, t.barePartition())
	}
	return all
}

// position is how far a table or query has been read.
type position struct {
	at    time.Time // the timestamp of the last row all of whose companions are out
	id    int64
	hasAt bool
	hasID bool
}

// readOffset reads an offset. What it lacks is absent in the position.
func readOffset(p record.SourcePartition, o record.SourceOffset) (pos position, err error) {
	field := func(name string) (n int64, there bool, err error) {
		v, ok := o.Get(name)
		if !ok || v == nil {
			return 0, false, nil
		}
		switch x := v.(type) {
		case int64:
			return x, true, nil
		case int32:
			return int64(x), true, nil
		}
		return 0, false, connecterr.New(connecterr.General, "Invalid offset for partition %s: %s must be an integer", data.Text(p), name)
	}
	if o == nil {
		return pos, nil
	}
	if pos.id, pos.hasID, err = field(idField); err != nil {
		return pos, err
	}
	millis, there, err := field(timestampField)
	if err != nil {
		return pos, err
	}
	nanos, fine, err := field(nanosField)
	if err != nil || !there {
		return pos, err
	}
	pos.at, pos.hasAt = time.UnixMilli(millis).UTC(), true
	if fine {
		if nanos < 0 || nanos >= int64(time.Second) {
			return pos, connecterr.New(connecterr.General, "Invalid offset for partition %s: %s must be from 0 to 999999999", data.Text(p), nanosField)
		}
		pos.at = time.Unix(pos.at.Unix(), nanos).UTC()
	}
	return pos, nil
}

// offset is the position as it is written.
func (p position) offset() record.SourceOffset {
	entries := 1
	if p.hasAt {
		entries = 3
	}
	o := data.NewMap(entries)
	if p.hasAt {
		o.Set(nanosField, int64(p.at.Nanosecond()))
	}
	if p.hasID {
		o.Set(idField, p.id)
	}
	if p.hasAt {
		o.Set(timestampField, p.at.UnixMilli())
	}
	return o
}

// lag gives the rows of a result in the order of their timestamps the position that may be written with each: that of the
// last timestamp all of whose rows are out by then. A row's own is that only when the next row is later, or there is none.
type lag struct{ safe position }

// next is the position of a row; following is that of the row behind it, or nil at the end of the result.
func (l *lag) next(row position, following *position) position {
	if following == nil || following.at.After(row.at) {
		l.safe = row
	}
	return l.safe
}
