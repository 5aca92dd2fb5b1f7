package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func (s *server) topics(r *request) error {
	topics, err := s.herder.ActiveTopics(r.ctx, r.params[0])
	if err != nil {
		return err
	}
	return r.json(topics)
}

func (s *server) resetTopics(r *request) error {
	delivered, err := s.herder.ResetTopics(r.ctx, r.params[0], r.by(nil))
	if err != nil {
		return err
	}
	return r.done(cluster.Answer{Status: http.StatusAccepted}, delivered)
}

func (s *server) offsets(r *request) error {
	info, err := s.herder.Offsets(r.ctx, r.params[0])
	if err != nil {
		return err
	}
	return r.json(info)
}

func (s *server) alterOffsets(r *request) error {
	changes, err := parseOffsets(r.BodyRaw())
	if err != nil {
		return err
	}
	message, err := s.herder.AlterOffsets(r.ctx, r.params[0], changes, r.by(nil))
	if err != nil {
		return err
	}
	return r.json(message)
}

func (s *server) resetOffsets(r *request) error {
	message, err := s.herder.ResetOffsets(r.ctx, r.params[0], r.by(nil))
	if err != nil {
		return err
	}
	return r.json(message)
}

// parseOffsets reads the body of PATCH /connectors/{c}/offsets. The shape is checked on the parsed body; partitions and
// offsets are handed on as they were written, since the order of their fields and the text of their numbers count.
func parseOffsets(b []byte) ([]wire.OffsetEntry, error) {
	v, err := parse(b)
	if err != nil {
		return nil, err
	}
	m, err := fixed(v, "ConnectorOffsets", "offsets")
	if err != nil {
		return nil, err
	}
	switch list := m["offsets"].(type) {
	case nil:
		return nil, nil
	case []any:
		for _, e := range list {
			if err := checkOffset(e); err != nil {
				return nil, err
			}
		}
	default:
		return nil, bad("Cannot deserialize value of type `java.util.ArrayList<ConnectorOffset>` from %s", token(list))
	}
	// Into maps, which unlike structs do not take "Offsets" for "offsets".
	var body map[string]json.RawMessage
	var entries []map[string]json.RawMessage
	err = json.Unmarshal(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), &body)
	if err == nil {
		err = json.Unmarshal(body["offsets"], &entries)
	}
	if err != nil {
		return nil, bad("The request's body is no JSON: %v", err)
	}
	out := make([]wire.OffsetEntry, len(entries))
	for i, e := range entries {
		out[i] = wire.OffsetEntry{Partition: e["partition"], Offset: e["offset"]}
	}
	return out, nil
}

func checkOffset(v any) error {
	if v == nil {
		return bad("An entry of offsets must be a JSON object with partition and offset, not null")
	}
	m, err := fixed(v, "ConnectorOffset", "partition", "offset")
	if err != nil {
		return err
	}
	for _, key := range []string{"partition", "offset"} {
		if m[key] == nil {
			continue
		}
		if _, err := object(m[key], "`java.util.LinkedHashMap<java.lang.String,java.lang.Object>` ("+key+")"); err != nil {
			return err
		}
	}
	return nil
}
