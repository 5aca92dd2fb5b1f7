package sourcetask

import (
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
)

// newest keeps the newest offset of each source partition, and nothing else of the records: there may be very many until the
// offsets are written.
type newest struct {
	entries []offsets.Entry
	byID    map[string]int                 // partitions by what is in them
	byPtr   map[record.SourcePartition]int // the same by pointer, for plugins that use one map for all records of a partition

	last   record.SourcePartition // of the newest record: records come in runs
	lastAt int
}

// manyPointers is when pointers are forgotten: a plugin that makes a map for each record would fill the memory.
const manyPointers = 4096

// add takes the offsets of records, in order. Records that were dropped count: they are done.
func (n *newest) add(in []record.Source) {
	for i := range in {
		r := &in[i]
		if r.Offset == nil {
			continue
		}
		if len(n.entries) == 0 || r.Partition != n.last {
			n.last, n.lastAt = r.Partition, n.find(r.Partition)
		}
		n.entries[n.lastAt].Offset = r.Offset
	}
}

// find is the place of a partition's entry.
func (n *newest) find(p record.SourcePartition) int {
	if at, known := n.byPtr[p]; known {
		return at
	}
	if n.byPtr == nil || len(n.byPtr) >= manyPointers {
		n.byPtr = map[record.SourcePartition]int{}
	}
	id, err := offsets.Identity(p)
	at, known := n.byID[id]
	if err != nil || !known {
		at = len(n.entries)
		n.entries = append(n.entries, offsets.Entry{Partition: p})
	}
	if err == nil { // else writing it will fail, and say why
		if n.byID == nil {
			n.byID = map[string]int{}
		}
		n.byID[id] = at
	}
	n.byPtr[p] = at
	return at
}

// empty tells that there is nothing to write.
func (n *newest) empty() bool { return len(n.entries) == 0 }
