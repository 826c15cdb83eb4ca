//go:build linux

package provisioner_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/enginetest"
	"coder/internal/executable"
	"coder/internal/supervisor"
)

// slowTemplate makes one thing at once, then one that takes until the file
// "go" is there, and says "begun" when it has begun.
func slowTemplate(dir string) string {
	return fmt.Sprintf(`
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
resource "terraform_data" "quick" {
  input = data.coder_workspace.me.name
}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {
    command = "touch %[1]s/begun; i=0; while [ ! -e %[1]s/go ] && [ $i -lt 1200 ]; do sleep 0.05; i=$((i+1)); done"
  }
}
`, dir)
}

// slowBuild submits a build of slowTemplate and waits until its slow part has
// begun and the quick part's state has reached the server.
func (p *controlPlane) slowBuild(dir string) *handout {
	p.t.Helper()
	h := p.submit(buildOf(p.template(map[string]string{"main.tf": slowTemplate(dir)}), client.TransitionStart))
	require.Eventually(p.t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "begun"))
		return err == nil
	}, patience, tick)
	p.untilTravels(h)
	return h
}

// untilTravels waits until the state has reached the server during the apply.
// OpenTofu writes none in the first 20 s.
func (p *controlPlane) untilTravels(h *handout) {
	p.t.Helper()
	if isTofu(p.t) {
		p.until(h, "the log travels", func(h *handout) bool { return strings.Contains(logOf(h), "terraform_data.slow: Creating...") })
		return
	}
	p.until(h, "the state travels", func(h *handout) bool { return h.uploads > 0 })
	require.Eventually(p.t, func() bool { return slices.Equal(p.open(h), []string{"terraform_data.slow"}) }, patience, tick,
		"an intent is fulfilled once the state is stored")
}

func isTofu(t *testing.T) bool { return strings.Contains(filepath.Base(enginetest.Path(t)), "tofu") }

// requireKnown: what the engine had begun when it was killed is in the newest
// state or named in doubt, all of it, and nothing twice.
func (p *controlPlane) requireKnown(h *handout) {
	p.t.Helper()
	doubtful := []string{}
	for _, doubt := range h.fail.InDoubt {
		doubtful = append(doubtful, doubt.Address)
		if doubt.Address == "terraform_data.quick" {
			require.NotEmpty(p.t, doubt.ID, "what was finished is named with its id")
		}
	}
	held := []string{}
	if state := p.newestState(h); len(state) > 0 {
		held = addresses(p.t, state)
	}
	require.ElementsMatch(p.t, []string{"terraform_data.quick", "terraform_data.slow"}, append(held, doubtful...))
}

// addresses of the managed resources in a state.
func addresses(t *testing.T, state []byte) []string {
	t.Helper()
	parsed := struct {
		Resources []struct {
			Mode, Type, Name string
		} `json:"resources"`
	}{}
	require.NoError(t, json.Unmarshal(state, &parsed))
	found := []string{}
	for _, resource := range parsed.Resources {
		if resource.Mode == "managed" {
			found = append(found, resource.Type+"."+resource.Name)
		}
	}
	return found
}

func TestCancel(t *testing.T) {
	t.Parallel()

	t.Run("a gentle cancel interrupts once and hands in what there is", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		p.startDaemon(p.options(t.TempDir()))
		h := p.slowBuild(dir)
		p.tell(h, func(r *client.RenewResponse) { r.Cancel = client.CancelGentle })
		p.untilEnded(h)
		require.NotNil(t, h.fail)
		require.True(t, h.fail.Canceled)
		require.True(t, h.fail.EngineDead)
		require.Empty(t, h.fail.InDoubt)
		require.Equal(t, []string{"terraform_data.slow"}, h.fail.Tainted)
		require.Contains(t, addresses(t, p.newestState(h)), "terraform_data.quick")
	})

	t.Run("a hard cancel kills and names what is in doubt", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		p.startDaemon(p.options(t.TempDir()))
		h := p.slowBuild(dir)
		p.tell(h, func(r *client.RenewResponse) { r.Cancel = client.CancelHard })
		p.untilEnded(h)
		require.True(t, h.fail.Canceled)
		p.requireKnown(h)
		require.Contains(t, p.text(h), "terraform_data.slow was being made when the engine was killed")
	})

	t.Run("a job canceled before its engine starts none", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		h := p.submit(buildOf(p.template(map[string]string{"main.tf": slowTemplate(dir)}), client.TransitionStart))
		p.tell(h, func(r *client.RenewResponse) { r.Cancel = client.CancelGentle })
		p.startDaemon(p.options(t.TempDir()))
		p.untilEnded(h)
		require.True(t, h.fail.Canceled)
		require.Zero(t, h.engine)
		require.NoFileExists(t, filepath.Join(dir, "begun"))
	})

	t.Run("an attempt that is not current any more is killed", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		p.startDaemon(p.options(t.TempDir()))
		h := p.slowBuild(dir)
		p.tell(h, func(r *client.RenewResponse) { r.Current = false })
		p.untilEnded(h)
		require.Contains(t, h.fail.Error, "another attempt holds the job")
		p.requireKnown(h)
	})
}

func TestStop(t *testing.T) {
	t.Parallel()

	t.Run("a stopped daemon interrupts its engine and hands in", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		stop := p.startDaemon(p.options(t.TempDir()))
		h := p.slowBuild(dir)
		stop()
		require.NotNil(t, h.fail)
		require.True(t, h.fail.Retryable)
		require.False(t, h.fail.Canceled)
		require.Contains(t, h.fail.Error, "daemon was stopped")
	})

	t.Run("a revoked attempt is interrupted and handed in", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		p.startDaemon(p.options(t.TempDir()))
		h := p.slowBuild(dir)
		p.tell(h, func(r *client.RenewResponse) { r.Revoked = true })
		p.untilEnded(h)
		require.Contains(t, h.fail.Error, "revoked")
		require.NotEmpty(t, p.newestState(h))
	})
}

// process runs a daemon that can be killed, and returns how.
func (p *controlPlane) process(spool, cache string) *exec.Cmd {
	p.t.Helper()
	self, err := os.Executable()
	require.NoError(p.t, err)
	cmd := exec.Command(self, runDaemon, p.url, spool, cache)
	cmd.Env = append(os.Environ(), enginetest.Variable+"="+enginetest.Path(p.t))
	cmd.Stderr = p.t.Output()
	require.NoError(p.t, cmd.Start())
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
}

func TestDaemonIsKilled(t *testing.T) {
	t.Parallel()

	t.Run("its successor adopts the running engine", func(t *testing.T) {
		t.Parallel()
		p, dir, spool, cache := newControlPlane(t), t.TempDir(), t.TempDir(), t.TempDir()
		first := p.process(spool, cache)
		h := p.slowBuild(dir)
		kill(t, first)
		p.process(spool, cache)
		before := p.renewed(h)
		p.until(h, "the successor renews", func(h *handout) bool { return h.renewals > before })
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
		p.untilEnded(h)
		require.Nil(t, h.fail, p.text(h))
		require.Equal(t, 1, h.engine)
		require.Len(t, h.complete.Build.Resources, 2)
		requireLogOnce(t, p.text(h), "terraform_data.quick: Creating...", "terraform_data.slow: Creating...", "Apply complete!")
	})

	t.Run("its successor hands in what ended meanwhile", func(t *testing.T) {
		t.Parallel()
		p, dir, spool, cache := newControlPlane(t), t.TempDir(), t.TempDir(), t.TempDir()
		first := p.process(spool, cache)
		h := p.slowBuild(dir)
		kill(t, first)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
		require.Eventually(t, func() bool {
			content, _ := os.ReadFile(filepath.Join(spool, "attempts", h.job.AttemptID.String(), "exit.json"))
			return strings.Contains(string(content), `"finished":true`)
		}, patience, tick, "the engine ends without any daemon")
		p.process(spool, cache)
		p.untilEnded(h)
		require.Nil(t, h.fail, p.text(h))
		require.ElementsMatch(t, []string{"terraform_data.quick", "terraform_data.slow"}, addresses(t, p.newestState(h)))
		requireLogOnce(t, p.text(h), "terraform_data.quick: Creating...", "Apply complete!")
	})

	t.Run("what its successor finds killed is in doubt", func(t *testing.T) {
		t.Parallel()
		p, dir, spool, cache := newControlPlane(t), t.TempDir(), t.TempDir(), t.TempDir()
		first := p.process(spool, cache)
		h := p.slowBuild(dir)
		kill(t, first)
		killAll(t, spool)
		p.process(spool, cache)
		p.untilEnded(h)
		require.True(t, h.fail.EngineDead)
		require.True(t, h.fail.Retryable)
		p.requireKnown(h)
	})

	t.Run("a canceled job stays canceled", func(t *testing.T) {
		t.Parallel()
		p, dir, spool, cache := newControlPlane(t), t.TempDir(), t.TempDir(), t.TempDir()
		first := p.process(spool, cache)
		h := p.slowBuild(dir)
		kill(t, first)
		p.tell(h, func(r *client.RenewResponse) { r.Cancel = client.CancelGentle })
		p.process(spool, cache)
		p.untilEnded(h)
		require.True(t, h.fail.Canceled)
	})
}

// requireLogOnce: gapless, and nothing twice.
func requireLogOnce(t *testing.T, log string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		require.Equal(t, 1, strings.Count(log, line), "%q in:\n%s", line, log)
	}
}

// processesIn lists the processes whose command line or directory is of a spool.
func processesIn(t *testing.T, spool string) map[int]string {
	t.Helper()
	found := map[int]string{}
	entries, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, entry := range entries {
		command, _ := os.ReadFile(filepath.Join(entry, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(entry, "cwd"))
		if strings.HasPrefix(cwd, spool) {
			var pid int
			_, err := fmt.Sscan(filepath.Base(entry), &pid)
			require.NoError(t, err)
			found[pid] = strings.ReplaceAll(string(command), "\x00", " ")
		}
	}
	return found
}

// killAll kills every process of the spool's attempts, as a crash of the host would.
func killAll(t *testing.T, spool string) {
	t.Helper()
	require.Eventually(t, func() bool {
		processes := processesIn(t, spool)
		for pid := range processes {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(processes) == 0
	}, patience, tick)
}

func TestEngineIsKilled(t *testing.T) {
	t.Parallel()
	p, dir, spool := newControlPlane(t), t.TempDir(), t.TempDir()
	p.startDaemon(p.options(spool))
	h := p.slowBuild(dir)
	for pid, command := range processesIn(t, spool) {
		if strings.Contains(command, " apply ") {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	p.untilEnded(h)
	require.True(t, h.fail.Retryable)
	require.Contains(t, h.fail.Error, "was killed on the provisioner's host")
	p.requireKnown(h)
}

// A provider that the supervisor served survives it, and holds the lock.
func TestSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	p, dir, spool := newControlPlane(t), t.TempDir(), t.TempDir()
	p.startDaemon(p.options(spool))
	h := p.slowBuild(dir)
	for pid, command := range processesIn(t, spool) {
		if strings.Contains(command, "supervise-engine") {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	p.untilEnded(h)
	require.True(t, h.fail.EngineDead)
	require.True(t, h.fail.Retryable)
	require.Empty(t, h.fail.InDoubt, "the engine came to its end")
	p.requireKnown(h)
	require.Empty(t, processesIn(t, spool))
}

func TestServerIsAway(t *testing.T) {
	t.Parallel()

	t.Run("an outage disturbs no apply", func(t *testing.T) {
		t.Parallel()
		p, dir, spool := newControlPlane(t), t.TempDir(), t.TempDir()
		p.startDaemon(p.options(spool))
		h := p.slowBuild(dir)
		p.setDeaf(true)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
		require.Eventually(t, func() bool { return len(processesIn(t, spool)) == 0 }, patience, tick)
		p.setDeaf(false)
		p.untilEnded(h)
		require.Nil(t, h.fail)
		require.Equal(t, 1, h.reports)
	})

	t.Run("a long silence interrupts the engine", func(t *testing.T) {
		t.Parallel()
		p, dir, spool := newControlPlane(t), t.TempDir(), t.TempDir()
		p.startDaemon(p.options(spool))
		job := buildOf(p.template(map[string]string{"main.tf": slowTemplate(dir)}), client.TransitionStart)
		job.Clocks = client.JobClocks{Lease: 1500, Renew: 500, InterruptAt: 3000, KillAt: 20000, Horizon: 25000}
		h := p.submit(job)
		p.untilTravels(h)
		p.setDeaf(true)
		require.Eventually(t, func() bool { return len(processesIn(t, spool)) == 0 }, patience, tick)
		p.setDeaf(false)
		p.untilEnded(h)
		require.Contains(t, h.fail.Error, "nothing was heard from the server")
		require.True(t, h.fail.Retryable)
	})
}

// An engine that goes on when others may touch the workspace is reported as
// one, however it ended and whoever noticed.
func TestPastTheFenceIsReported(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, clocks client.JobClocks) (p *controlPlane, h *handout, dir, spool string) {
		t.Helper()
		p, dir, spool = newControlPlane(t), t.TempDir(), t.TempDir()
		p.startDaemon(p.options(spool))
		job := buildOf(p.template(map[string]string{"main.tf": slowTemplate(dir)}), client.TransitionStart)
		job.Clocks = clocks
		h = p.submit(job)
		p.untilTravels(h)
		return p, h, dir, spool
	}
	ends := func(t *testing.T, dir string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	}

	t.Run("by an engine that ends well", func(t *testing.T) {
		t.Parallel()
		p, h, dir, _ := begin(t, client.JobClocks{Lease: 1500, Renew: 500, Horizon: 1})
		ends(t, dir)
		p.untilEnded(h)
		require.True(t, h.complete.PastFence)
	})

	t.Run("not by one that was renewed in time", func(t *testing.T) {
		t.Parallel()
		p, h, dir, _ := begin(t, client.JobClocks{Lease: 24000, Renew: 500, Horizon: 300_000})
		ends(t, dir)
		p.untilEnded(h)
		require.False(t, h.complete.PastFence)
	})

	t.Run("by one whose daemon first hears that the job is another's", func(t *testing.T) {
		t.Parallel()
		const horizon = 2 * time.Second
		p, h, _, spool := begin(t, client.JobClocks{Lease: 1500, Renew: 200, Horizon: horizon.Milliseconds()})
		p.setDeaf(true)
		require.Eventually(t, func() bool {
			sent, err := supervisor.LeaseSent(filepath.Join(spool, "attempts", h.job.AttemptID.String()))
			return err == nil && supervisor.Clock()-sent > horizon
		}, patience, tick)
		p.tell(h, func(r *client.RenewResponse) { r.Current = false })
		p.setDeaf(false)
		p.untilEnded(h)
		require.Contains(t, h.fail.Error, "another attempt holds the job")
		require.True(t, h.fail.PastFence)
	})

	t.Run("by one whose supervisor is dead and whose daemon wakes late", func(t *testing.T) {
		t.Parallel()
		p, h, _, spool := begin(t, client.JobClocks{Lease: 1500, Renew: 500, KillAt: 3000, Horizon: 3001})
		p.setDeaf(true)
		for pid, command := range processesIn(t, spool) {
			if strings.Contains(command, "supervise-engine") {
				require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			}
		}
		require.Eventually(t, func() bool { return len(processesIn(t, spool)) == 0 }, patience, tick)
		p.setDeaf(false)
		p.untilEnded(h)
		require.True(t, h.fail.PastFence)
	})
}

// A spool that is lost costs what the server has not acknowledged, which is
// named, and never the word that an engine is dead that lives.
func TestTheSpoolIsLost(t *testing.T) {
	t.Parallel()
	p, dir, spool := newControlPlane(t), t.TempDir(), t.TempDir()
	opts := p.options(spool)
	// An engine that does not heed its interrupt.
	opts.TerraformPath = engineScript(t, fmt.Sprintf(`if [ "$1" = apply ]; then
  trap '' INT
  %[1]s "$@"
  while [ ! -e %[2]s/end ]; do sleep 0.05; done
  exit 0
fi`, enginetest.Path(t), dir))
	stop := p.startDaemon(opts)
	h := p.slowBuild(dir)
	entries, err := os.ReadDir(spool)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the daemon goes on writing there
		for _, entry := range entries {
			err = errors.Join(err, os.RemoveAll(filepath.Join(spool, entry.Name())))
		}
		defer func() { err = nil }()
		return err == nil
	}, patience, tick)
	p.until(h, "the loss is told", func(h *handout) bool { return strings.Contains(logOf(h), "The provisioner's spool is gone") })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	p.until(h, "the rest of what the engine says arrives", func(h *handout) bool { return strings.Contains(logOf(h), "Apply complete!") })
	require.NotEmpty(t, processesIn(t, spool))
	require.False(t, p.ended(h), "its engine lives")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "end"), nil, 0o600))
	p.untilEnded(h)
	require.Empty(t, processesIn(t, spool))
	require.Contains(t, h.fail.Error, "the provisioner's spool is gone")
	require.True(t, h.fail.EngineDead)
	require.True(t, h.fail.Retryable)
	require.NotEmpty(t, h.fail.InDoubt)
	if !isTofu(t) {
		require.NotNil(t, h.fail.Standing)
		require.False(t, h.fail.Standing.Empty, "what the server has stands")
	}
	p.requireKnown(h)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.troubles, func(text string) bool { return strings.Contains(text, "is gone, or was replaced") })
	}, patience, tick, "it takes no job without a spool")
	stop()

	opts.TerraformPath = enginetest.Path(t)
	p.startDaemon(opts)
	next := p.submit(buildOf(p.template(map[string]string{"main.tf": slowTemplate(dir)}), client.TransitionStart))
	p.untilEnded(next)
	require.Nil(t, next.fail, "its successor has a new one")
}

// engineScript makes an engine that is the real one, except where the script
// says otherwise before it.
func engineScript(t *testing.T, before string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "terraform")
	script := "#!/bin/sh\n" + before + "\nexec " + enginetest.Path(t) + " \"$@\"\n"
	require.NoError(t, executable.Write(path, strings.NewReader(script), 0o700))
	return path
}

// A spool that is lost before the daemon has seen a line of the apply: what
// that makes is known by what it has printed, or by its plan.
func TestTheSpoolIsLostAsTheEngineStarts(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]struct {
		split bool
		what  string
	}{"in one run": {false, "*"}, "behind the gate": {true, "*"}, "in part": {false, "*/job.json"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, dir, spool := newControlPlane(t), t.TempDir(), t.TempDir()
			opts := p.options(spool)
			// The apply works on a copy, so that its states are lost, and heeds no interrupt.
			opts.TerraformPath = engineScript(t, fmt.Sprintf(`if [ "$1" = apply ]; then
  trap '' INT
  cp -r . %[2]s/copy
  until rm -rf %[3]s/attempts/%[4]s; do :; done
  cd %[2]s/copy && %[1]s "$@"
  exit 0
fi`, enginetest.Path(t), dir, spool, lost.what))
			p.startDaemon(opts)
			job := buildOf(p.template(map[string]string{"main.tf": fmt.Sprintf(`
resource "terraform_data" "quick" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {
    command = "i=0; while [ ! -e %s/go ] && [ $i -lt 1200 ]; do sleep 0.05; i=$((i+1)); done"
  }
}`, dir)}), client.TransitionStart)
			job.Split = lost.split
			h := p.submit(job)
			h.decision = client.PlanDecision{Granted: true}
			p.until(h, "the loss is told", func(h *handout) bool { return strings.Contains(logOf(h), "The provisioner's spool is gone") })
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
			p.untilEnded(h)
			require.NotNil(t, h.fail)
			doubtful := []string{}
			for _, doubt := range h.fail.InDoubt {
				doubtful = append(doubtful, doubt.Address)
			}
			require.ElementsMatch(t, []string{"terraform_data.quick", "terraform_data.slow"}, doubtful)
		})
	}
}

func TestTornState(t *testing.T) {
	t.Parallel()
	p, dir := newControlPlane(t), t.TempDir()
	opts := p.options(t.TempDir())
	opts.TerraformPath = engineScript(t, fmt.Sprintf(`if [ "$1" = apply ]; then
  %[1]s "$@"
  head -c 100 terraform.tfstate > torn; cp terraform.tfstate whole; cat torn > terraform.tfstate
  while [ ! -e %[2]s/die ]; do sleep 0.05; done
  : > terraform.tfstate
  kill -9 $$
fi`, enginetest.Path(t), dir))
	p.startDaemon(opts)
	h := p.submit(buildOf(p.template(map[string]string{"main.tf": slowTemplate(dir)}), client.TransitionStart))
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "begun"))
		return err == nil
	}, patience, tick)
	p.untilTravels(h)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	p.until(h, "the whole state arrives, or was overtaken", func(h *handout) bool { return strings.Contains(logOf(h), "Apply complete!") })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "die"), nil, 0o600))
	p.untilEnded(h)
	require.NotNil(t, h.fail)
	p.requireKnown(h)
	if !isTofu(t) {
		require.Contains(t, addresses(t, p.newestState(h)), "terraform_data.quick", "an empty or torn state never replaces a good one")
	}
}

// What is made before its predecessor is removed is not forgotten with that.
func TestReplacementIsNamed(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	opts := p.options(t.TempDir())
	// The second apply works on a copy, so that its states are lost.
	opts.TerraformPath = engineScript(t, fmt.Sprintf(`if [ "$1" = apply ] && [ -e terraform.tfstate ]; then
  cp -r . %[2]s && cd %[2]s && %[1]s "$@"
  kill -9 $$
fi`, enginetest.Path(t), filepath.Join(t.TempDir(), "copy")))
	p.startDaemon(opts)
	build := func(version string) client.AcquiredJob {
		return buildOf(p.template(map[string]string{"main.tf": fmt.Sprintf(`resource "terraform_data" "swap" {
  triggers_replace = %q
  lifecycle { create_before_destroy = true }
}`, version)}), client.TransitionStart)
	}
	first := p.submit(build("one"))
	p.untilEnded(first)
	require.Nil(t, first.fail, p.text(first))
	job := build("two")
	job.State, job.Fence = p.newestState(first), 2
	second := p.submit(job)
	p.untilEnded(second)
	require.Contains(t, p.text(second), "Destruction complete")
	require.Len(t, second.fail.InDoubt, 1)
	require.Equal(t, "terraform_data.swap", second.fail.InDoubt[0].Address)
	require.NotEmpty(t, second.fail.InDoubt[0].ID)
}

func logOf(h *handout) string {
	var text strings.Builder
	for _, entry := range h.entries {
		text.WriteString(entry.Output + "\n")
	}
	return text.String()
}
