package filestream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// The parts of source partitions and offsets.
const (
	filenameField = "filename"
	positionField = "position"
)

// sourceConnector splits into exactly one task.
type sourceConnector struct {
	roots  Roots
	config map[string]string
}

func (c *sourceConnector) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	_, err := parse(sourceDef, c.config)
	return err
}

func (c *sourceConnector) TaskConfigs(context.Context, int) ([]map[string]string, error) {
	return []map[string]string{c.config}, nil
}

func (c *sourceConnector) Stop(context.Context) error { return nil }

// Validate implements connector.Validator.
func (c *sourceConnector) Validate(_ context.Context, config map[string]string) []connector.Finding {
	return c.roots.findings(config)
}

func (r Roots) findings(config map[string]string) []connector.Finding {
	file := config[fileKey]
	if file == "" {
		return nil
	}
	if _, _, _, err := r.allows(file); err != nil {
		return []connector.Finding{{Key: fileKey, Message: fmt.Sprintf("Invalid value %s for configuration %s: %v", file, fileKey, err)}}
	}
	return nil
}

// ExactlyOnceSupport implements connector.ExactlyOnce: standard input has no positions.
func (c *sourceConnector) ExactlyOnceSupport(config map[string]string) (connector.Support, error) {
	v, err := parse(sourceDef, config)
	if err != nil {
		return connector.SupportUnknown, err
	}
	if v.String(fileKey) == "" {
		return connector.Unsupported, nil
	}
	return connector.Supported, nil
}

// AlterOffsets implements connector.SourceOffsetAlterer, with Kafka's checks in Kafka's order.
func (c *sourceConnector) AlterOffsets(_ context.Context, config map[string]string, entries []connector.SourceOffsetEntry) (bool, error) {
	if config[fileKey] == "" {
		return false, connecterr.New(connecterr.General, "Offsets cannot be modified if the 'file' configuration is unspecified. "+
			"This is because stdin is used for input and offsets are not tracked.")
	}
	for _, e := range entries {
		if e.Offset == nil {
			continue // removes the offset, whatever the partition is
		}
		position, there := e.Offset.Get(positionField)
		n, number := position.(int64)
		_, named := e.Partition.Get(filenameField)
		switch {
		case !there:
			return false, connecterr.New(connecterr.General, "Offset objects should either be null or contain the key 'position'")
		case !number:
			return false, connecterr.New(connecterr.General, "The value for the 'position' key in the offset is expected to be a Long value")
		case n < 0:
			return false, connecterr.New(connecterr.General, "The value for the 'position' key in the offset should be a non-negative value")
		case e.Partition == nil:
			return false, connecterr.New(connecterr.General, "Partition objects cannot be null")
		case !named:
			return false, connecterr.New(connecterr.General, "Partition objects should contain the key 'filename'")
		}
	}
	return true, nil
}

// How long a poll waits for news of the file, and how often it looks; more seldom where it has looked in vain for so often, ten
// seconds.
const (
	pollWait   = time.Second
	pollEvery  = 50 * time.Millisecond
	pollSeldom = 250 * time.Millisecond
	pollVain   = 200
)

// sourceTask reads one file. Its fields belong to the task's goroutine.
type sourceTask struct {
	roots Roots
	stdin io.Reader
	log   *slog.Logger

	file, topic string
	batch       int
	truncation  string
	partition   record.SourcePartition

	in      io.Reader // nil until the file is open
	opened  *os.File  // nil for standard input
	lines   splitter
	warned  string           // the last warning, said once
	vain    int              // looks in a row that found nothing
	typed   chan stdinRead   // lines of standard input, which can't be interrupted
	pending []byte           // of typed, not yet taken
	clock   func() time.Time // for the records' timestamps
	after   func(time.Duration) <-chan time.Time
}

type stdinRead struct {
	b   []byte
	err error
}

func (t *sourceTask) Start(ctx context.Context, tc source.Context) error {
	v, err := parse(sourceDef, tc.Config())
	if err != nil {
		return err
	}
	t.log = tc.Logger()
	t.file, t.topic, t.batch, t.truncation = v.String(fileKey), v.String(topicKey), int(v.Int(batchKey)), v.String(truncationKey)
	if t.batch < 1 {
		t.log.Warn("batch.size is below 1 and counts as 1", slog.Int("batch_size", t.batch))
		t.batch = 1
	}
	if t.file == "" {
		t.partition = data.MapOf(filenameField, nil)
		t.readStdin(ctx)
		return nil
	}
	if _, _, _, err := t.roots.allows(t.file); err != nil {
		return connecterr.New(connecterr.Config, "The file %s can't be read: %v", t.file, err)
	}
	t.partition = data.MapOf(filenameField, t.file)
	offset, err := tc.Offsets().Offset(ctx, t.partition)
	if err != nil {
		return err
	}
	if offset == nil {
		return nil
	}
	position, there := offset.Get(positionField)
	if n, ok := position.(int64); ok {
		t.lines.pos = n
	} else if there && position != nil {
		return connecterr.New(connecterr.General, "Offset position is the incorrect type")
	}
	return nil
}

// readStdin reads standard input in a goroutine of its own, because such a read can't be interrupted.
func (t *sourceTask) readStdin(ctx context.Context) {
	t.typed = make(chan stdinRead)
	go func() {
		for {
			b := make([]byte, firstBuffer)
			n, err := t.stdin.Read(b)
			select {
			case t.typed <- stdinRead{b[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

func (t *sourceTask) Poll(ctx context.Context) ([]record.Source, error) {
	deadline := t.after(pollWait)
	for {
		batch, err := t.take(ctx)
		if err != nil || len(batch) > 0 {
			t.vain = 0
			return batch, err
		}
		t.vain++
		every := pollEvery
		if t.vain > pollVain {
			every = pollSeldom
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-deadline:
			return nil, nil
		case <-t.after(every):
		}
	}
}

// take returns the lines that are there now, at most a batch.
func (t *sourceTask) take(ctx context.Context) ([]record.Source, error) {
	if t.typed == nil && t.in == nil {
		if ok, err := t.open(); !ok {
			return nil, err
		}
	}
	var out []record.Source
	for len(out) < t.batch {
		line, after, ok := t.lines.next()
		if !ok {
			n, err := t.read(ctx)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				break
			}
			continue
		}
		if out == nil {
			out = make([]record.Source, 0, min(t.batch, 1024))
		}
		var position any
		if t.file != "" {
			position = after
		}
		out = append(out, record.Source{Partition: t.partition, Offset: data.MapOf(positionField, position), Topic: t.topic,
			KafkaPartition: record.AnyPartition, ValueSchema: data.StringSchema, Value: line, Timestamp: t.clock().UnixMilli()})
	}
	return out, nil
}

// open opens the file at the stored position; false while it is not there.
func (t *sourceTask) open() (bool, error) {
	f, err := t.roots.open(t.file, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.warn(fmt.Sprintf("Couldn't find file %s for FileStreamSourceTask, sleeping to wait for it to be created", t.file))
		return false, nil
	}
	if err == nil {
		var st os.FileInfo
		if st, err = f.Stat(); err == nil && st.IsDir() {
			err = errors.New("it is a directory")
		} else if err == nil {
			err = t.seek(f, st.Size())
		}
		if err != nil {
			_ = f.Close() // the first error tells
		}
	}
	if err != nil {
		t.log.Error("Error while trying to open file "+t.file+": ", slog.Any("err", err))
		return false, connecterr.New(connecterr.General, "Error while trying to open file %s: %v", t.file, err)
	}
	t.in, t.opened, t.warned = f, f, ""
	t.log.Info("reading", slog.String("file", t.file), slog.Int64("position", t.lines.pos))
	return true, nil
}

func (t *sourceTask) seek(f *os.File, size int64) error {
	if t.lines.pos > size {
		t.warn(fmt.Sprintf("Stored position %d is beyond the end of file %s (size %d), waiting for the file to grow", t.lines.pos, t.file, size))
	}
	_, err := f.Seek(t.lines.pos, io.SeekStart)
	return err
}

func (t *sourceTask) warn(text string) {
	if t.warned != text {
		t.warned = text
		t.log.Warn(text)
	}
}

// read reads more bytes; 0 when there are none now.
func (t *sourceTask) read(ctx context.Context) (int, error) {
	if t.typed == nil && t.lines.buf == nil && !t.grew() {
		return t.nothing()
	}
	space, grown := t.lines.room()
	if grown > 0 {
		t.log.Info(fmt.Sprintf("Increased buffer from %d to %d", grown/2, grown))
	}
	if t.typed != nil {
		return t.readTyped(ctx, space), nil
	}
	n, err := t.in.Read(space)
	t.lines.filled(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, connecterr.New(connecterr.General, "Error while reading file %s at position %d: %v", t.file, t.lines.pos, err)
	}
	if n == 0 {
		t.lines.rest()
		return t.nothing()
	}
	return n, nil
}

// grew is false when a file that is known to have a size has nothing behind what was read: no buffer is needed to see that.
func (t *sourceTask) grew() bool {
	if t.opened == nil {
		return true
	}
	st, err := t.opened.Stat()
	return err != nil || !st.Mode().IsRegular() || st.Size() > t.lines.pos
}

// nothing is what there is to do when there is nothing to read.
func (t *sourceTask) nothing() (int, error) {
	if t.truncation != truncationWait {
		return t.checkTruncated()
	}
	return 0, nil
}

// readTyped takes what came on standard input; its end is silence.
func (t *sourceTask) readTyped(ctx context.Context, space []byte) int {
	if len(t.pending) == 0 {
		select {
		case r := <-t.typed:
			t.pending = r.b
		case <-ctx.Done():
		default:
		}
	}
	n := copy(space, t.pending)
	t.pending = t.pending[n:]
	t.lines.filled(n)
	return n
}

// checkTruncated looks whether the file is shorter than what was read, or another file has taken its name.
func (t *sourceTask) checkTruncated() (int, error) {
	open, err := t.opened.Stat()
	if err != nil {
		return 0, connecterr.New(connecterr.General, "Error while looking at file %s: %v", t.file, err)
	}
	read := t.lines.pos + int64(t.lines.end-t.lines.start)
	replaced := false
	if f, err := t.roots.open(t.file, os.O_RDONLY, 0); err == nil {
		named, statErr := f.Stat()
		replaced = statErr == nil && !os.SameFile(open, named)
		_ = f.Close() // only looked at
	}
	if open.Size() >= read && !replaced {
		return 0, nil
	}
	if t.truncation == truncationFail {
		return 0, connecterr.New(connecterr.General, "The file %s was truncated or replaced; %s=%s makes that an error", t.file, truncationKey, truncationFail)
	}
	t.log.Info("the file was truncated or replaced, reading it from its start", slog.String("file", t.file))
	_ = t.opened.Close() // it is replaced
	t.in, t.opened, t.lines = nil, nil, splitter{buf: t.lines.buf}
	return 0, nil
}

func (t *sourceTask) Stop(context.Context) error {
	if t.opened == nil {
		return nil
	}
	f := t.opened
	t.in, t.opened = nil, nil
	return f.Close()
}

func parse(d *config.Def, props map[string]string) (config.Values, error) {
	v, problems := d.Parse(props)
	if len(problems) > 0 {
		return nil, connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	return v, nil
}
