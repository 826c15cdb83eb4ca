//go:build linux

package supervisor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/supervisor"
)

func newStandby(t *testing.T) *supervisor.Standby {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	standby := supervisor.NewStandby(self)
	t.Cleanup(func() { require.NoError(t, standby.Close()) })
	return standby
}

// children are the processes that this one has started and not reaped.
func children(t *testing.T) []int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(t, err)
	var pids []int
	for _, task := range tasks {
		content, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(content)) {
			pid, err := strconv.Atoi(field)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// prepare returns the process of the supervisor that waits.
func prepare(t *testing.T, standby *supervisor.Standby) int {
	t.Helper()
	before := children(t)
	require.NoError(t, standby.Prepare())
	started := slices.DeleteFunc(children(t), func(pid int) bool { return slices.Contains(before, pid) })
	require.Len(t, started, 1)
	require.NoError(t, standby.Prepare(), "one is enough")
	return started[0]
}

// TestStandby does not run beside other tests, whose children it would count.
func TestStandby(t *testing.T) {
	begin := func(t *testing.T, standby *supervisor.Standby, a *attempt) *supervisor.Process {
		pending, err := standby.Launch(a.folder)
		require.NoError(t, err)
		free, err := supervisor.Free(a.folder)
		require.NoError(t, err)
		require.False(t, free, "the attempt is locked before its run begins")
		process, err := pending.Begin(a.run, supervisor.Clock())
		require.NoError(t, err)
		return process
	}

	t.Run("the one that waits takes the attempt", func(t *testing.T) {
		standby, a := newStandby(t), newAttempt(t, "echo $PPID; pwd")
		waiting := prepare(t, standby)
		require.Equal(t, 0, wait(t, begin(t, standby, a)).Steps[0].Code)
		require.Equal(t, strconv.Itoa(waiting)+"\n"+a.folder+"\n", a.out(t))
	})

	t.Run("one that died while it waited is replaced", func(t *testing.T) {
		standby, a := newStandby(t), newAttempt(t, "echo $PPID")
		waiting := prepare(t, standby)
		require.NoError(t, syscall.Kill(waiting, syscall.SIGKILL))
		require.Eventually(t, func() bool {
			status, err := os.ReadFile("/proc/" + strconv.Itoa(waiting) + "/stat")
			return err != nil || strings.Contains(string(status), ") Z ")
		}, patience, time.Millisecond)
		require.Equal(t, 0, wait(t, begin(t, standby, a)).Steps[0].Code)
		require.NotEqual(t, strconv.Itoa(waiting)+"\n", a.out(t))
	})

	t.Run("an attempt that comes to nothing frees its folder", func(t *testing.T) {
		standby, a := newStandby(t), newAttempt(t)
		pending, err := standby.Launch(a.folder)
		require.NoError(t, err)
		require.NoError(t, pending.Abandon())
		free, err := supervisor.Free(a.folder)
		require.NoError(t, err)
		require.True(t, free)
	})

	t.Run("none waits after the end", func(t *testing.T) {
		standby := newStandby(t)
		waiting := prepare(t, standby)
		require.NoError(t, standby.Close())
		require.NoDirExists(t, "/proc/"+strconv.Itoa(waiting))
		require.NoError(t, standby.Prepare())
		require.NotContains(t, children(t), waiting)
	})
}
