//go:build linux

package supervisor_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/executable"
	"coder/internal/supervisor"
)

const patience = 20 * time.Second

// attempt is a folder with a run of shell steps in it.
type attempt struct {
	folder string
	run    supervisor.Run
}

func newAttempt(t *testing.T, scripts ...string) *attempt {
	t.Helper()
	a := &attempt{folder: t.TempDir(), run: supervisor.Run{Linger: 5 * time.Second}}
	for _, script := range scripts {
		a.run.Steps = append(a.run.Steps, supervisor.Step{
			Name: "step", Argv: []string{"/bin/sh", "-c", script}, Dir: a.folder, Env: []string{"PATH=/usr/bin:/bin"},
			Stdout: filepath.Join(a.folder, "out"), Stderr: filepath.Join(a.folder, "err"),
		})
	}
	return a
}

func (a *attempt) start(t *testing.T) *supervisor.Process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	process, err := supervisor.Start(self, a.folder, a.run, supervisor.Clock())
	require.NoError(t, err)
	t.Cleanup(func() { _ = process.Kill() })
	return process
}

func wait(t *testing.T, process *supervisor.Process) *supervisor.Exit {
	t.Helper()
	stop := make(chan struct{})
	timer := time.AfterFunc(patience, func() { close(stop) })
	defer timer.Stop()
	ended, err := process.Wait(stop, 10*time.Millisecond)
	require.NoError(t, err)
	require.True(t, ended, "the attempt still lives")
	exit, err := process.Exit()
	require.NoError(t, err)
	require.NotNil(t, exit)
	return exit
}

// says waits until a file of the attempt holds the text.
func (a *attempt) says(t *testing.T, name, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, _ := os.ReadFile(filepath.Join(a.folder, name))
		return strings.Contains(string(content), text)
	}, patience, 5*time.Millisecond)
}

func (a *attempt) out(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(a.folder, "out"))
	require.NoError(t, err)
	return string(content)
}

func TestRun(t *testing.T) {
	t.Parallel()

	t.Run("steps follow one another until one fails", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, "echo one", "echo two; exit 3", "echo three")
		exit := wait(t, a.start(t))
		require.True(t, exit.Finished)
		require.Len(t, exit.Steps, 2)
		require.Equal(t, []int{0, 3}, []int{exit.Steps[0].Code, exit.Steps[1].Code})
		require.Equal(t, "one\ntwo\n", a.out(t))
	})

	t.Run("an engine that cannot be started is recorded", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, "")
		a.run.Steps[0].Argv = []string{"/nowhere/terraform"}
		exit := wait(t, a.start(t))
		require.Contains(t, exit.Steps[0].Error, "no such file")
		require.True(t, exit.Steps[0].Failed())
	})

	t.Run("the lock is held while anything of the attempt lives", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, "echo up; read line < gate")
		require.NoError(t, os.WriteFile(filepath.Join(a.folder, "ready"), nil, 0o600))
		a.run.Steps[0].Argv[2] = "mkfifo gate; echo up; read line < gate"
		process := a.start(t)
		a.says(t, "out", "up")
		free, err := supervisor.Free(a.folder)
		require.NoError(t, err)
		require.False(t, free)
		_, err = supervisor.Start("/bin/true", a.folder, a.run, 0)
		require.ErrorContains(t, err, "lives already")
		require.NoError(t, os.WriteFile(filepath.Join(a.folder, "gate"), []byte("go\n"), 0o600))
		require.Equal(t, 0, wait(t, process).Steps[0].Code)
	})

	t.Run("a process that the engine left behind is waited for, then killed", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, "setsid sh -c 'sleep 600' >/dev/null 2>&1 & echo left")
		a.run.Linger = 200 * time.Millisecond
		exit := wait(t, a.start(t))
		require.Equal(t, 0, exit.Steps[0].Code)
		require.Positive(t, exit.Stragglers)
	})
}

func TestSignals(t *testing.T) {
	t.Parallel()
	trap := `trap 'echo interrupted' INT; echo up; i=0; while [ $i -lt 600 ]; do sleep 0.05; i=$((i+1)); [ -e done ] && exit 0; done`

	t.Run("an interrupt comes once, however often it is asked", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, trap, "echo never")
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, process.Interrupt())
		require.NoError(t, process.Interrupt())
		a.says(t, "out", "interrupted")
		require.NoError(t, os.WriteFile(filepath.Join(a.folder, "done"), nil, 0o600))
		exit := wait(t, process)
		require.Len(t, exit.Steps, 1, "no step starts after an interrupt")
		require.True(t, exit.Steps[0].Interrupted)
		require.Equal(t, "up\ninterrupted\n", a.out(t))
	})

	t.Run("a kill reaches what left the engine's group", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, "setsid sleep 600 & echo $! > orphan; echo up; sleep 600")
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, process.Kill())
		exit := wait(t, process)
		require.Equal(t, "killed", exit.Steps[0].Signal)
		require.True(t, exit.Steps[0].Killed)
		pid, err := os.ReadFile(filepath.Join(a.folder, "orphan"))
		require.NoError(t, err)
		require.NoDirExists(t, "/proc/"+strings.TrimSpace(string(pid)))
	})

	t.Run("a gate opens with proceed", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, "echo plan", "echo apply")
		a.run.Steps[1].Gate = true
		process := a.start(t)
		a.says(t, "exit.json", `"code":0`)
		require.Equal(t, "plan\n", a.out(t))
		require.NoError(t, process.Proceed())
		require.Len(t, wait(t, process).Steps, 2)
		require.Equal(t, "plan\napply\n", a.out(t))
	})
}

func TestLease(t *testing.T) {
	t.Parallel()

	t.Run("silence interrupts first", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, `trap 'echo interrupted; exit 1' INT; echo up; while :; do sleep 0.05; done`)
		a.run.InterruptAfter, a.run.KillAfter, a.run.Horizon = 20*time.Second, time.Minute, 2*time.Minute
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, supervisor.Lease(a.folder, supervisor.Clock()-20*time.Second))
		exit := wait(t, process)
		require.True(t, exit.Steps[0].Interrupted)
		require.False(t, exit.Steps[0].Killed)
		require.Contains(t, exit.Reason, "nothing was heard from the server")
	})

	t.Run("then kills", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, `trap '' INT; echo up; while :; do sleep 0.05; done`)
		a.run.InterruptAfter, a.run.KillAfter, a.run.Horizon = 20*time.Second, 21*time.Second, 2*time.Minute
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, supervisor.Lease(a.folder, supervisor.Clock()-20*time.Second))
		exit := wait(t, process)
		require.Equal(t, "killed", exit.Steps[0].Signal)
		require.True(t, exit.Steps[0].Killed)
	})

	t.Run("a supervisor that wakes too late kills at once and says so", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, `echo up; sleep 600`)
		a.run.InterruptAfter, a.run.KillAfter, a.run.Horizon = 20*time.Second, 40*time.Second, time.Minute
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, supervisor.Lease(a.folder, supervisor.Clock()-2*time.Minute))
		exit := wait(t, process)
		require.Equal(t, supervisor.ReasonFence, exit.Reason)
		require.True(t, exit.Steps[0].Killed)
		require.False(t, exit.Steps[0].Interrupted)
	})

	t.Run("an engine that ended by itself past its horizon is told of too", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, `echo up; while [ ! -e go ]; do sleep 0.01; done`)
		a.run.Horizon = time.Minute
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, supervisor.Lease(a.folder, supervisor.Clock()-2*time.Minute))
		require.NoError(t, os.WriteFile(filepath.Join(a.folder, "go"), nil, 0o600))
		exit := wait(t, process)
		require.Equal(t, 0, exit.Steps[0].Code)
		require.Equal(t, supervisor.ReasonFence, exit.Reason)
	})

	t.Run("a folder that is gone takes no renewals: the engine is interrupted", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, `trap 'echo interrupted > "$OUTSIDE"; exit 1' INT; echo up; while :; do sleep 0.05; done`)
		outside := filepath.Join(t.TempDir(), "outside")
		a.run.Steps[0].Env = append(a.run.Steps[0].Env, "OUTSIDE="+outside)
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, os.RemoveAll(a.folder))
		stop := make(chan struct{})
		defer time.AfterFunc(patience, func() { close(stop) }).Stop()
		dead, err := process.Wait(stop, time.Millisecond)
		require.NoError(t, err)
		require.True(t, dead)
		require.FileExists(t, outside)
	})

	t.Run("a renewal in time keeps the engine", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, `i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done`)
		a.run.InterruptAfter, a.run.KillAfter = 400*time.Millisecond, 800*time.Millisecond
		process := a.start(t)
		require.Eventually(t, func() bool {
			require.NoError(t, supervisor.Lease(a.folder, supervisor.Clock()))
			free, err := supervisor.Free(a.folder)
			require.NoError(t, err)
			return free
		}, patience, 50*time.Millisecond)
		exit := wait(t, process)
		require.Equal(t, 0, exit.Steps[0].Code)
		require.Empty(t, exit.Reason)
	})
}

func TestSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	a := newAttempt(t, "echo $PPID > supervisor; echo up; sleep 600")
	process := a.start(t)
	a.says(t, "out", "up")
	content, err := os.ReadFile(filepath.Join(a.folder, "supervisor"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(t, func() bool { return !process.Alive() }, patience, time.Millisecond)
	free, err := supervisor.Free(a.folder)
	require.NoError(t, err)
	require.False(t, free, "the engine holds the lock without its supervisor")
	require.NoError(t, process.Kill())
	require.Eventually(t, func() bool {
		free, err := supervisor.Free(a.folder)
		return err == nil && free
	}, patience, time.Millisecond)
}

func TestProvider(t *testing.T) {
	t.Parallel()
	const step = `printf '%s\n' "${TF_REATTACH_PROVIDERS-none}"`
	provider := func(t *testing.T, a *attempt, script string) {
		path := filepath.Join(a.folder, "provider")
		require.NoError(t, executable.Write(path, strings.NewReader("#!/bin/sh\n"+script), 0o700))
		a.run.Provider = supervisor.Provider{Argv: []string{path}, Addresses: []string{"example.com/a/b"}, Log: filepath.Join(a.folder, "log")}
	}

	t.Run("one serves the steps of an environment and ends with them", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, step, step, step)
		a.run.Steps[2].Env = append(a.run.Steps[2].Env, "OTHER=1")
		provider(t, a, `echo $$ >> `+a.folder+`/pids; echo "1|5|unix|`+a.folder+`/socket|grpc|"; exec sleep 600`)
		exit := wait(t, a.start(t))
		require.Len(t, exit.Steps, 3)
		require.Zero(t, exit.Stragglers)
		lines := strings.Split(strings.TrimSpace(a.out(t)), "\n")
		require.Equal(t, lines[0], lines[1])
		require.NotEqual(t, lines[0], lines[2])
		require.Contains(t, lines[0], `{"example.com/a/b":{"Protocol":"grpc","ProtocolVersion":5,"Test":true,"Pid":`)
		pids, err := os.ReadFile(filepath.Join(a.folder, "pids"))
		require.NoError(t, err)
		for pid := range strings.FieldsSeq(string(pids)) {
			require.NoDirExists(t, "/proc/"+pid)
		}
	})

	t.Run("where it does not start, engines start their own", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, step)
		provider(t, a, "echo no handshake; exit 1")
		require.Equal(t, 0, wait(t, a.start(t)).Steps[0].Code)
		require.Equal(t, "none\n", a.out(t))
	})

	t.Run("a kill reaches it", func(t *testing.T) {
		t.Parallel()
		a := newAttempt(t, "echo up; sleep 600")
		provider(t, a, `echo "1|5|unix|`+a.folder+`/socket|grpc|"; exec sleep 600`)
		process := a.start(t)
		a.says(t, "out", "up")
		require.NoError(t, process.Kill())
		require.True(t, wait(t, process).Steps[0].Killed)
	})
}
