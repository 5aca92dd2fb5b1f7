package httpapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
)

// The workers of Kafka Connect call each other over two routes, with a signature. Here nobody does: what comes is refused
// as a worker refuses it that does not know the key, and nothing changes.

// signatures are the algorithms that Java knows for them.
var signatures = []string{"HmacSHA256", "HmacSHA1", "HmacSHA224", "HmacSHA384", "HmacSHA512", "HmacMD5"}

func (s *server) tasksOfWorker(r *request) error {
	// What begins as an object is refused as one, also when it does not end.
	if b := bytes.TrimLeft(r.BodyRaw(), " \t\r\n"); bytes.HasPrefix(b, []byte("{")) {
		return bad("Cannot deserialize value of type `java.util.ArrayList` from %s", token(map[string]any{}))
	}
	v, err := parse(r.BodyRaw())
	if err != nil {
		return err
	}
	if _, list := v.([]any); v != nil && !list {
		return bad("Cannot deserialize value of type `java.util.ArrayList` from %s", token(v))
	}
	return r.unsigned()
}

func (s *server) fence(r *request) error { return r.unsigned() }

func (r *request) unsigned() error {
	signature, algorithm := r.Get("X-Connect-Authorization"), r.Get("X-Connect-Request-Signature-Algorithm")
	if signature == "" || algorithm == "" {
		return cluster.Errorf(cluster.Invalid, "Internal request missing required signature")
	}
	if !slices.Contains(signatures, algorithm) {
		return cluster.Errorf(cluster.Invalid, "Algorithm %s not available", algorithm)
	}
	_, err := base64.StdEncoding.DecodeString(signature)
	if at, ok := errors.AsType[base64.CorruptInputError](err); ok {
		if int(at) < len(signature) {
			return cluster.Errorf(cluster.Invalid, "Illegal base64 character %x", signature[at])
		}
		return cluster.Errorf(cluster.Invalid, "Illegal base64 text: it ends too early")
	}
	return cluster.Errorf(cluster.Forbidden, "Internal request contained invalid signature.")
}
