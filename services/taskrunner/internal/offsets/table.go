package offsets

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// Table is what the records of an offsets topic say, by connector, then by the identity of the source partition.
type Table map[string]map[string]known

// Add takes one more record. The error is of one that can't be read.
func (t Table) Add(r kafkaio.Record) error {
	_, _, err := t.add(r)
	return err
}

// add tells also of which connector's source partition a record is.
func (t Table) add(r kafkaio.Record) (connector, id string, err error) {
	connector, e, err := parse(r)
	if err != nil {
		return "", "", err
	}
	if id, err = Identity(e.Partition); err != nil {
		return "", "", err
	}
	mine := t[connector]
	if mine == nil {
		mine = map[string]known{}
		t[connector] = mine
	}
	if mine[id] = mine[id].with(written{string(r.Key), r.Timestamp, e}); len(mine[id]) == 0 {
		delete(mine, id)
	}
	return connector, id, nil
}

// Entries are a connector's source partitions and their offsets, in a fixed order.
func (t Table) Entries(connector string) []Entry {
	var all []Entry
	for _, id := range slices.Sorted(maps.Keys(t[connector])) {
		all = append(all, t[connector][id][len(t[connector][id])-1].Entry)
	}
	return all
}

// Missing lists what of a connector's entries another does not have, and tells whether it has another offset for one of the
// same source partitions.
func Missing(of, in []Entry) (missing []Entry, differs bool, err error) {
	have := map[string]string{}
	for _, e := range in {
		id, err := Identity(e.Partition)
		if err != nil {
			return nil, false, err
		}
		if have[id], err = Identity(e.Offset); err != nil {
			return nil, false, err
		}
	}
	for _, e := range of {
		id, err := Identity(e.Partition)
		if err != nil {
			return nil, false, err
		}
		offset, err := Identity(e.Offset)
		if err != nil {
			return nil, false, err
		}
		switch other, ok := have[id]; {
		case !ok:
			missing = append(missing, e)
		case other != offset:
			differs = true
		}
	}
	return missing, differs, nil
}

// known is what is known of one source partition: what was written under each of its keys, in the order of writing; the last
// counts. Nearly always there is one key, but to Kafka {"a":1,"b":2} and {"b":2,"a":1} are two, and may lie in two partitions of
// the topic, which are read in any order: their timestamps tell what was written last.
type known []written

type written struct {
	key string
	at  int64 // the record's timestamp
	Entry
}

// with is what is known after one more record. Those of one key are in one partition and come in order.
func (k known) with(w written) known {
	k = slices.DeleteFunc(k, func(old written) bool { return old.key == w.key })
	if w.Offset == nil {
		return k
	}
	i := len(k)
	for i > 0 && k[i-1].at > w.at {
		i--
	}
	return slices.Insert(k, i, w)
}

func (k known) offset() record.SourceOffset {
	if len(k) == 0 {
		return nil
	}
	return k[len(k)-1].Offset
}
