package inbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/loopback"
)

// MessagePath is where runners post envelopes when the bus is away.
const MessagePath = "/internal/v1/message"

// maxBody bounds an envelope: registrations with all plugin definitions are the largest.
const maxBody = 16 << 20

// Handler is the internal HTTP door: POST MessagePath takes an envelope and answers with one, exactly as the bus endpoint
// does. The bearer token must match; with an empty token only loopback peers are let in.
// Everything else is a bare 404, which tells a stranger nothing.
func (b *Inbox) Handler(token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+MessagePath, func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r, token) {
			notFound(w)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			notFound(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b.AnswerHTTP(r.Context(), body)) // the peer went away: it will ask again
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { notFound(w) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != MessagePath || r.Method != http.MethodPost { // the mux would redirect or name methods
			notFound(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// AnswerHTTP is Answer with its error encoded, as the bus endpoint does it.
func (b *Inbox) AnswerHTTP(ctx context.Context, msg []byte) []byte {
	reply, err := b.Answer(ctx, msg)
	if err == nil {
		return reply
	}
	id := ""
	if e, openErr := wire.Open(msg); openErr == nil {
		id = e.ID
	}
	return wire.EncodeError(id, err)
}

func allowed(r *http.Request, token string) bool {
	if token == "" {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		return err == nil && loopback.Is(host)
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && ok
}

func notFound(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }
