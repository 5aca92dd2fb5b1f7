package rest

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// answerWithin bounds one exchange. Kafka Connect answers within 90 seconds or gives up by itself.
const answerWithin = 2 * time.Minute

// send sends a request as it was recorded, byte for byte, over a connection of its own: where several processes serve one
// address, each request reaches the next one.
func (p *Player) send(r row) (status int, header http.Header, body []byte, err error) {
	base := p.target.Base
	if p.target.Sticky != nil {
		base = cmp.Or(p.target.Sticky(r.Request.Path), base)
	}
	base = cmp.Or(r.Request.To, base)
	host := base
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		host = u.Host
	}
	conn, err := net.DialTimeout("tcp", host, answerWithin) //nolint:noctx // a test's request
	if err != nil {
		return 0, nil, nil, err
	}
	defer conn.Close() //nolint:errcheck // it was read
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, nil, nil, err
	}
	written := make(chan error, 1)
	go func() { _, err := io.WriteString(conn, request(r, host)); written <- err }() // an answer may come before all is read
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.Request.Method})
	if err != nil {
		select {
		case failed := <-written:
			if failed != nil {
				err = failed
			}
		default:
		}
		return 0, nil, nil, fmt.Errorf("%s %s: %w", r.Request.Method, r.Request.Path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

// request is what goes over the line.
func request(r row, host string) string {
	var b strings.Builder
	given := map[string]string{"Host": host, "Connection": "close"}
	if r.Request.Body != nil {
		given["Content-Length"] = fmt.Sprint(len(*r.Request.Body))
	}
	for name, value := range r.Request.Headers {
		given[http.CanonicalHeaderKey(name)] = value
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Request.Method, r.Request.Path)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, given[name])
	}
	b.WriteString("\r\n")
	if r.Request.Body != nil {
		b.WriteString(*r.Request.Body)
	}
	return b.String()
}
