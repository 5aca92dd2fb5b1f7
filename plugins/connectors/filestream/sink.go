package filestream

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// sinkConnector splits into as many equal tasks as are allowed.
type sinkConnector struct {
	roots  Roots
	config map[string]string
}

func (c *sinkConnector) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	_, err := parse(sinkDef, c.config)
	return err
}

func (c *sinkConnector) TaskConfigs(_ context.Context, maxTasks int) ([]map[string]string, error) {
	return slices.Repeat([]map[string]string{c.config}, maxTasks), nil
}

func (c *sinkConnector) Stop(context.Context) error { return nil }

// Validate implements connector.Validator.
func (c *sinkConnector) Validate(_ context.Context, config map[string]string) []connector.Finding {
	return c.roots.findings(config)
}

// AlterOffsets implements connector.SinkOffsetAlterer: every offset is fine.
func (c *sinkConnector) AlterOffsets(context.Context, map[string]string, map[record.TopicPartition]int64) (bool, error) {
	return true, nil
}

// chunk is how much is written at once, give or take a line.
const chunk = 256 << 10

// sinkTask appends to one file. Several tasks may append to the same: each writes whole lines.
type sinkTask struct {
	roots  Roots
	stdout io.Writer
	log    *slog.Logger

	name   string // of the file; "" for standard output
	file   *os.File
	out    io.Writer
	buf    []byte // whole lines
	broken error  // a write that failed; nothing is written after it
}

func (t *sinkTask) Start(_ context.Context, tc sink.Context) error {
	v, err := parse(sinkDef, tc.Config())
	if err != nil {
		return err
	}
	t.log, t.name = tc.Logger(), v.String(fileKey)
	if t.name == "" {
		t.out = t.stdout
		return nil
	}
	f, err := t.roots.open(t.name, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return connecterr.Wrap(connecterr.General, err, "Couldn't find or create file '%s' for FileStreamSinkTask", t.name)
	}
	t.file, t.out = f, f
	return t.endLine()
}

// endLine ends a line that a write that failed, on a full disk say, left unfinished; its record comes again.
func (t *sinkTask) endLine() error {
	st, err := t.file.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := t.file.ReadAt(last, st.Size()-1); err != nil {
		return connecterr.Wrap(connecterr.General, err, "Couldn't read the end of file '%s'", t.name)
	}
	if last[0] != '\n' {
		t.buf = append(t.buf, '\n')
	}
	return nil
}

func (t *sinkTask) Put(_ context.Context, batch []record.Sink) error {
	for i := range batch {
		t.buf = data.AppendText(t.buf, batch[i].Value)
		t.buf = append(t.buf, '\n')
		if len(t.buf) >= chunk {
			if err := t.write(); err != nil {
				return err
			}
		}
	}
	return t.write() // so that a reader of the file sees it; Flush makes it durable
}

// write writes the buffer in one call.
func (t *sinkTask) write() error {
	if t.broken != nil {
		return t.broken
	}
	if len(t.buf) == 0 {
		return nil
	}
	if _, err := t.out.Write(t.buf); err != nil {
		t.broken = connecterr.Wrap(connecterr.General, err, "Couldn't write to file '%s'. Nothing of what was not written is committed: mend the cause "+
			"(a full disk, say) and restart the task", t.name)
		return t.broken
	}
	t.buf = t.buf[:0]
	return nil
}

// Flush implements sink.Flusher: what was put is on the disk before its offsets are committed.
func (t *sinkTask) Flush(context.Context, sink.Offsets) error {
	if err := t.write(); err != nil {
		return err
	}
	if t.file == nil {
		return nil
	}
	if err := t.file.Sync(); err != nil && !notSyncable(t.file) {
		t.broken = connecterr.Wrap(connecterr.General, err, "Couldn't bring file '%s' to the disk", t.name)
		return t.broken
	}
	return nil
}

// notSyncable tells that there is no disk behind the file: a pipe or a device.
func notSyncable(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && !st.Mode().IsRegular()
}

func (t *sinkTask) Stop(context.Context) error {
	if t.file == nil {
		return nil
	}
	f := t.file
	t.file = nil
	return f.Close()
}
