package filestream

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// taskContext is what a task is given; offset is the one stored offset.
type taskContext struct {
	config map[string]string
	offset record.SourceOffset
}

func (c taskContext) Config() map[string]string         { return c.config }
func (c taskContext) Offsets() source.OffsetReader      { return stored{c.offset} }
func (c taskContext) Logger() *slog.Logger              { return slog.New(slog.DiscardHandler) }
func (c taskContext) Transactions() source.Transactions { return nil }

type stored struct{ offset record.SourceOffset }

func (s stored) Offset(context.Context, record.SourcePartition) (record.SourceOffset, error) {
	return s.offset, nil
}

func (s stored) Offsets(_ context.Context, ps []record.SourcePartition) ([]record.SourceOffset, error) {
	all := make([]record.SourceOffset, len(ps))
	for i := range all {
		all[i] = s.offset
	}
	return all, nil
}

// src is a source task under test over one file.
type src struct {
	*testing.T
	dir, file string
	*sourceTask
}

func newSource(t *testing.T, roots Roots) *src {
	t.Helper()
	dir := t.TempDir()
	if roots == nil {
		roots = Roots{dir}
	}
	s := &src{T: t, dir: dir, file: filepath.Join(dir, "in.txt")}
	s.fresh(roots)
	return s
}

func (s *src) fresh(roots Roots) {
	s.sourceTask = &sourceTask{roots: roots, stdin: strings.NewReader(""), clock: time.Now, after: time.After}
}

func (s *src) start(position any, more ...string) error {
	config := map[string]string{"file": s.file, "topic": "t"}
	for i := 0; i < len(more); i += 2 {
		config[more[i]] = more[i+1]
	}
	var offset record.SourceOffset
	if position != nil {
		offset = data.MapOf("position", position)
	}
	return s.Start(s.Context(), taskContext{config: config, offset: offset})
}

func (s *src) append(text string) {
	s.Helper()
	f, err := os.OpenFile(s.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(s, err)
	_, err = f.WriteString(text)
	require.NoError(s, err)
	require.NoError(s, f.Close())
}

// now takes what is there without waiting.
func (s *src) now() (lines []string, positions []int64) {
	s.Helper()
	batch, err := s.take(s.Context())
	require.NoError(s, err)
	for _, r := range batch {
		p, _ := r.Offset.Get("position")
		lines, positions = append(lines, r.Value.(string)), append(positions, p.(int64))
	}
	return lines, positions
}

func TestSource_acceptance_cases_1_to_4_lines_and_positions(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	require.NoError(t, s.start(nil))
	s.append("partial line")
	lines, _ := s.now()
	require.Empty(t, lines)
	s.append(" finished\n")
	lines, positions := s.now()
	require.Equal(t, []string{"partial line finished"}, lines)
	require.Equal(t, []int64{22}, positions)
	s.append("line1\rline2\r\nline3\nline4\n\r")
	lines, positions = s.now()
	require.Equal(t, []string{"line1", "line2", "line3", "line4"}, lines)
	require.Equal(t, []int64{28, 35, 41, 47}, positions)
	s.append("subsequent text")
	lines, positions = s.now()
	require.Equal(t, []string{""}, lines)
	require.Equal(t, []int64{48}, positions)
	require.NoError(t, s.Stop(t.Context()))

	s.fresh(Roots{s.dir})
	require.NoError(t, s.start(int64(35)))
	lines, _ = s.now()
	require.Equal(t, []string{"line3", "line4", ""}, lines)
	require.NoError(t, s.Stop(t.Context()))
}

func TestSource_records_look_as_Kafkas_do(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	require.NoError(t, s.start(nil))
	s.append("x\n")
	batch, err := s.Poll(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 1)
	r := batch[0]
	require.Equal(t, "t", r.Topic)
	require.Equal(t, record.AnyPartition, r.KafkaPartition)
	require.Nil(t, r.KeySchema)
	require.Nil(t, r.Key)
	require.Equal(t, data.StringSchema, r.ValueSchema)
	require.InDelta(t, time.Now().UnixMilli(), r.Timestamp, 60_000)
	name, _ := r.Partition.Get("filename")
	require.Equal(t, s.file, name)
	require.NoError(t, s.Stop(t.Context()))
}

func TestSource_acceptance_cases_5_and_6_batches_without_waiting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines int
		more  []string
		want  []int
	}{
		"two of 5000":     {10_000, []string{"batch.size", "5000"}, []int{5000, 5000, 0}},
		"2000 by default": {5000, nil, []int{2000, 2000, 1000, 0}},
		"a size below 1":  {3, []string{"batch.size", "0"}, []int{1, 1, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t, nil)
			require.NoError(t, s.start(nil, c.more...))
			s.append(strings.Repeat("short\n", c.lines))
			for _, n := range c.want {
				lines, _ := s.now()
				require.Len(t, lines, n)
			}
			require.NoError(t, s.Stop(t.Context()))
		})
	}
}

func TestSource_acceptance_case_7_a_missing_file_is_waited_for(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	require.NoError(t, s.start(nil))
	lines, _ := s.now()
	require.Empty(t, lines)
	s.append("late\n")
	batch, err := s.Poll(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 1)
	require.NoError(t, s.Stop(t.Context()))
}

func TestSource_acceptance_cases_8_and_9_bytes_count_and_lines_may_be_long(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	require.NoError(t, s.start(nil))
	long := strings.Repeat("x", 100_000)
	s.append("ä\nb\n" + long + "\n\xff\xfeq\n")
	var lines []string
	var positions []int64
	for len(lines) < 4 {
		l, p := s.now()
		lines, positions = append(lines, l...), append(positions, p...)
	}
	require.Equal(t, []string{"ä", "b", long, "\uFFFD\uFFFDq"}, lines)
	require.Equal(t, []int64{3, 5, 100_006, 100_010}, positions)
	require.NoError(t, s.Stop(t.Context()))
}

func TestSource_bad_files_fail_with_a_text_that_tells(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("x\n"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	for name, want := range map[string]string{
		"folder": "it is a directory", "link": "Error while trying to open file", "../x": "outside the folders",
	} {
		s := newSource(t, Roots{dir})
		s.file = filepath.Join(dir, name)
		err := s.start(nil)
		if err == nil {
			_, err = s.take(t.Context())
		}
		require.ErrorContains(t, err, want, name)
	}
	s := newSource(t, Roots{})
	require.ErrorContains(t, s.start(nil), "files are switched off on this worker")
	s = newSource(t, nil)
	require.EqualError(t, s.start("12"), "Offset position is the incorrect type")
}

func TestSource_a_truncated_or_replaced_file(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string][]string{"wait": nil, "restart": {"new"}} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSource(t, nil)
			require.NoError(t, s.start(nil, "file.truncation", mode))
			s.append("first line\n")
			s.now()
			require.NoError(t, os.WriteFile(s.file, []byte("new\n"), 0o600))
			s.now() // sees that there is nothing more
			lines, _ := s.now()
			require.Equal(t, want, lines)
			require.NoError(t, s.Stop(t.Context()))
		})
	}
	s := newSource(t, nil)
	require.NoError(t, s.start(nil, "file.truncation", "fail"))
	s.append("first line\n")
	s.now()
	require.NoError(t, os.Remove(s.file))
	s.append("x\n")
	_, err := s.take(t.Context())
	require.ErrorContains(t, err, "was truncated or replaced")
	require.NoError(t, s.Stop(t.Context()))
}

func TestSource_a_waiting_poll_ends_with_its_context(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	require.NoError(t, s.start(nil))
	s.after = func(time.Duration) <-chan time.Time { return nil } // time stands still
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch, err := s.Poll(ctx)
	require.NoError(t, err)
	require.Empty(t, batch)
}

func TestSource_standard_input_has_no_positions(t *testing.T) {
	t.Parallel()
	s := newSource(t, Roots{})
	s.file = ""
	s.stdin = strings.NewReader("a\nb\nrest")
	require.NoError(t, s.start(nil))
	var batch []record.Source
	for len(batch) < 2 {
		more, err := s.Poll(t.Context())
		require.NoError(t, err)
		batch = append(batch, more...)
	}
	p, there := batch[1].Offset.Get("position")
	require.True(t, there)
	require.Nil(t, p)
	name, there := batch[1].Partition.Get("filename")
	require.True(t, there)
	require.Nil(t, name)
}

func TestSourceConnector_one_task_and_its_promises(t *testing.T) {
	t.Parallel()
	c := &sourceConnector{roots: Roots{"/data"}}
	support, err := c.ExactlyOnceSupport(map[string]string{"file": "x", "topic": "t"})
	require.NoError(t, err)
	require.Equal(t, connector.Supported, support)
	support, err = c.ExactlyOnceSupport(map[string]string{"topic": "t"})
	require.NoError(t, err)
	require.Equal(t, connector.Unsupported, support)
	_, err = c.ExactlyOnceSupport(map[string]string{"file": "x"})
	require.EqualError(t, err, `Missing required configuration "topic" which has no default value.`)
	require.Empty(t, c.Validate(t.Context(), map[string]string{"file": "/data/x"}))
	require.Len(t, c.Validate(t.Context(), map[string]string{"file": "/etc/passwd"}), 1)
	require.Len(t, c.Validate(t.Context(), map[string]string{"file": "/data/../etc/passwd"}), 1)
}

func TestSourceConnector_acceptance_cases_13_and_14_altering_offsets(t *testing.T) {
	t.Parallel()
	named := data.MapOf("filename", "test.txt")
	for name, c := range map[string]struct {
		config map[string]string
		entry  connector.SourceOffsetEntry
		want   string
	}{
		"a position":        {map[string]string{"file": "f"}, connector.SourceOffsetEntry{Partition: named, Offset: data.MapOf("position", int64(10))}, ""},
		"a removal":         {map[string]string{"file": "f"}, connector.SourceOffsetEntry{}, ""},
		"stdin":             {nil, connector.SourceOffsetEntry{}, "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used for input and offsets are not tracked."},
		"no position":       {map[string]string{"file": "f"}, connector.SourceOffsetEntry{Partition: named, Offset: data.MapOf("x", int64(1))}, "Offset objects should either be null or contain the key 'position'"},
		"a text":            {map[string]string{"file": "f"}, connector.SourceOffsetEntry{Partition: named, Offset: data.MapOf("position", "10")}, "The value for the 'position' key in the offset is expected to be a Long value"},
		"a fraction":        {map[string]string{"file": "f"}, connector.SourceOffsetEntry{Partition: named, Offset: data.MapOf("position", 3.14)}, "The value for the 'position' key in the offset is expected to be a Long value"},
		"negative":          {map[string]string{"file": "f"}, connector.SourceOffsetEntry{Partition: named, Offset: data.MapOf("position", int64(-1))}, "The value for the 'position' key in the offset should be a non-negative value"},
		"no partition":      {map[string]string{"file": "f"}, connector.SourceOffsetEntry{Offset: data.MapOf("position", int64(1))}, "Partition objects cannot be null"},
		"another partition": {map[string]string{"file": "f"}, connector.SourceOffsetEntry{Partition: data.MapOf("other", "x"), Offset: data.MapOf("position", int64(1))}, "Partition objects should contain the key 'filename'"},
	} {
		ok, err := (&sourceConnector{}).AlterOffsets(t.Context(), c.config, []connector.SourceOffsetEntry{c.entry})
		if c.want == "" {
			require.NoError(t, err, name)
			require.True(t, ok, name)
			continue
		}
		require.EqualError(t, err, c.want, name)
	}
}
