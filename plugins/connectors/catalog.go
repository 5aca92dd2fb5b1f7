// Package connectors is the list of the connectors that Millrace comes with.
package connectors

import (
	"io"
	"strings"
	"sync"

	"github.com/millrace/millrace/plugins/connectors/filestream"
	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcsink"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcsource"
	"github.com/millrace/millrace/plugins/connectors/mock"
	"github.com/millrace/millrace/plugins/connectors/schemasource"
	"github.com/millrace/millrace/plugins/connectors/verifiable"
	"github.com/millrace/millrace/sdk/plugin"
)

// Version is what the connectors that come with Kafka report.
const Version = "4.3.0"

// JDBCVersion is what the JDBC connectors report: that of the Java connector whose keys they have.
const JDBCVersion = "10.9.7"

// Options are what the operator decides about connectors.
type Options struct {
	// FileRoots are the folders whose files, SQLite databases too, connectors may use. None: they refuse every file.
	FileRoots []string
	// Stdin and Stdout are what file connectors without a file use, and where sources of numbered records say what they made;
	// nil: nothing.
	Stdin  io.Reader
	Stdout io.Writer
	// BlockedJDBC are the names of URL parameters and driver properties that JDBC connectors may not have.
	BlockedJDBC []string
}

// Blocked reads the names that JDBC connectors may not have, from the worker property or else, as Java's connectors do, from
// the environment variable.
func Blocked(worker map[string]string, getenv func(string) (string, bool)) (names []string) {
	list, ok := worker["jdbc.connection.url.blocked.params"]
	if !ok {
		list, _ = getenv("JDBC_CONNECTION_URL_BLOCKED_PARAMS")
	}
	for n := range strings.SplitSeq(list, ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}

// All lists the connectors. It is the only list: a build or a test with others is another one.
func All(o Options) []plugin.Plugin {
	if o.Stdin == nil {
		o.Stdin = empty{}
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	o.Stdout = &lockedWriter{w: o.Stdout}
	policy := connect.Policy{Blocked: o.BlockedJDBC, Files: filestream.Roots(o.FileRoots).Check}
	all := filestream.Plugins(filestream.Options{Version: Version, Roots: o.FileRoots, Stdin: o.Stdin, Stdout: o.Stdout})
	all = append(all, jdbcsink.Plugins(JDBCVersion, policy)...)
	all = append(all, jdbcsource.Plugins(jdbcsource.Options{Version: JDBCVersion, Policy: policy})...)
	all = append(all, mock.Plugins(Version)...)
	all = append(all, schemasource.Plugins(Version, o.Stdout)...)
	return append(all, verifiable.Plugins(Version, o.Stdout)...)
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }

// lockedWriter is one writer for tasks that write at the same time: what is written in one call stays together.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(text)
}
