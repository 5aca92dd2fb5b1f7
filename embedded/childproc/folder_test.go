//go:build unix

package childproc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/childproc"
)

func TestLockFolder_has_one_holder_and_is_free_after_it(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	first, err := childproc.LockFolder(dir)
	require.NoError(t, err)
	st, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	_, err = childproc.LockFolder(dir)
	require.ErrorIs(t, err, childproc.ErrFolderInUse)
	require.ErrorContains(t, err, dir)

	start(t, "sleep", "600") // a child does not inherit the lock
	first.Unlock()
	first.Unlock()
	second, err := childproc.LockFolder(dir)
	require.NoError(t, err)
	second.Unlock()
	var none *childproc.FolderLock
	none.Unlock()
}

func TestLockFolder_says_which_folder_can_not_be_made(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := childproc.LockFolder(filepath.Join(file, "below"))
	require.ErrorContains(t, err, file)
}

func TestWaitFolder_waits_for_the_holder_until_its_context_ends(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder, err := childproc.LockFolder(dir)
	require.NoError(t, err)

	why := errors.New("tired of waiting")
	tired, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err = childproc.WaitFolder(tired, dir)
	require.ErrorIs(t, err, childproc.ErrFolderInUse)
	require.ErrorIs(t, err, why)

	got := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), soon)
		defer cancel()
		l, err := childproc.WaitFolder(ctx, dir)
		l.Unlock()
		got <- err
	}()
	holder.Unlock()
	require.NoError(t, <-got)
}

func TestFreePort_is_below_the_ports_of_outgoing_connections(t *testing.T) {
	t.Parallel()
	for range 50 {
		l, err := childproc.Listen()
		require.NoError(t, err)
		addr, ok := l.Addr().(*net.TCPAddr)
		require.True(t, ok)
		require.True(t, addr.IP.IsLoopback())
		require.Less(t, addr.Port, 32768)
		require.Greater(t, addr.Port, 1023)
		require.NoError(t, l.Close())
	}
	port, err := childproc.FreePort()
	require.NoError(t, err)
	require.Less(t, port, 32768)
}

func TestTail_keeps_the_last_lines_and_hands_each_on(t *testing.T) {
	t.Parallel()
	var lines []string
	tail := &childproc.Tail{Line: func(l string) { lines = append(lines, l) }}
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "line %d\r\n", i)
	}
	text.WriteString("half")
	all := text.String()
	for len(all) > 0 { // in pieces that know nothing of lines
		n := min(7, len(all))
		written, err := tail.Write([]byte(all[:n]))
		require.NoError(t, err)
		require.Equal(t, n, written)
		all = all[n:]
	}
	require.Len(t, lines, 100)
	for i, l := range lines {
		require.Equal(t, "line "+strconv.Itoa(i), l)
	}
	kept := strings.Split(tail.String(), "\n")
	require.Len(t, kept, 41)
	require.Equal(t, "line 60", kept[0])
	require.Equal(t, []string{"line 99", "half"}, kept[39:])
}

func TestFreePort_is_given_once(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 1000 { // of 22,768 ports two of so many would be the same
		port, err := childproc.FreePort()
		require.NoError(t, err)
		require.False(t, seen[port])
		seen[port] = true
	}
}
