package filestream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

type sinkContext struct {
	sink.Context
	config map[string]string
}

func (c sinkContext) Config() map[string]string { return c.config }
func (c sinkContext) Logger() *slog.Logger      { return slog.New(slog.DiscardHandler) }

func values(vs ...any) []record.Sink {
	batch := make([]record.Sink, len(vs))
	for i, v := range vs {
		batch[i].Value = v
	}
	return batch
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path) //nolint:gosec // a test's file
	require.NoError(t, err)
	return string(b)
}

func TestSink_acceptance_case_15_writes_values_as_Java_prints_them(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "out.txt")
	st := data.NewStruct(data.StructOf([]data.Field{{Name: "a", Schema: data.Int32Schema}, {Name: "b", Schema: data.OptionalStringSchema}}))
	st.SetAt(0, int32(1))
	task := &sinkTask{roots: Roots{dir}}
	require.NoError(t, task.Start(t.Context(), sinkContext{config: map[string]string{"file": file}}))
	require.NoError(t, task.Put(t.Context(), values("a", nil, int64(1), st)))
	require.Equal(t, "a\nnull\n1\nStruct{a=1}\n", content(t, file), "readers of the file see it at once")
	require.NoError(t, task.Flush(t.Context(), nil))
	require.NoError(t, task.Stop(t.Context()))
}

func TestSink_acceptance_case_16_a_folder_that_is_not_there(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "no", "out.txt")
	err := (&sinkTask{roots: Roots{dir}}).Start(t.Context(), sinkContext{config: map[string]string{"file": file}})
	require.ErrorContains(t, err, "Couldn't find or create file '"+file+"' for FileStreamSinkTask")
}

func TestSink_acceptance_case_17_lines_of_several_tasks_never_mix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "out.txt")
	const tasks, each = 3, 10_000
	var wg sync.WaitGroup
	for n := range tasks {
		wg.Go(func() {
			task := &sinkTask{roots: Roots{dir}}
			require.NoError(t, task.Start(t.Context(), sinkContext{config: map[string]string{"file": file}}))
			for i := range each {
				require.NoError(t, task.Put(t.Context(), values(fmt.Sprintf("task %d line %05d %s", n, i, strings.Repeat("x", 60)))))
				if i%700 == 0 {
					require.NoError(t, task.Flush(t.Context(), nil))
				}
			}
			require.NoError(t, task.Flush(t.Context(), nil))
			require.NoError(t, task.Stop(t.Context()))
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for line := range strings.Lines(content(t, file)) {
		require.Len(t, line, len("task 0 line 00000 ")+61)
		seen[line] = true
	}
	require.Len(t, seen, tasks*each)
}

// full is a disk with room for so many bytes.
type full struct {
	bytes.Buffer
	room int
}

func (f *full) Write(b []byte) (int, error) {
	if n := f.room - f.Len(); n < len(b) {
		m, _ := f.Buffer.Write(b[:n])
		return m, syscall.ENOSPC
	}
	return f.Buffer.Write(b)
}

func TestSink_acceptance_case_18_a_full_disk_fails_the_task_before_anything_is_committed(t *testing.T) {
	t.Parallel()
	disk := &full{room: 10}
	task := &sinkTask{stdout: disk}
	require.NoError(t, task.Start(t.Context(), sinkContext{}))
	err := task.Put(t.Context(), values("1234567", "89"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "mend the cause")
	require.Error(t, task.Put(t.Context(), values(strings.Repeat("x", chunk))), "nothing is written after it")
	require.Error(t, task.Flush(t.Context(), nil), "and nothing is called durable")
	require.Equal(t, 10, disk.Len())
	require.NoError(t, task.Stop(t.Context()))
}

func TestSink_a_line_that_a_crash_cut_is_ended_first(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "out.txt")
	require.NoError(t, os.WriteFile(file, []byte("whole\nhal"), 0o600))
	task := &sinkTask{roots: Roots{dir}}
	require.NoError(t, task.Start(t.Context(), sinkContext{config: map[string]string{"file": file}}))
	require.NoError(t, task.Put(t.Context(), values("half")))
	require.NoError(t, task.Stop(context.Background()))
	require.Equal(t, "whole\nhal\nhalf\n", content(t, file))
}

func TestSinkConnector_as_many_equal_tasks_as_allowed(t *testing.T) {
	t.Parallel()
	c := &sinkConnector{config: map[string]string{"file": "f"}}
	configs, err := c.TaskConfigs(t.Context(), 3)
	require.NoError(t, err)
	require.Equal(t, []map[string]string{{"file": "f"}, {"file": "f"}, {"file": "f"}}, configs)
	ok, err := c.AlterOffsets(t.Context(), nil, nil)
	require.NoError(t, err)
	require.True(t, ok)
}
