//go:build linux

package provisioner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/disktest"
	"coder/internal/supervisor"
	"coder/internal/supervisor/child"
)

// TestTheSpoolIsFull: whatever the disk with the spool takes, what was made is
// in the state, and the engine makes no more than it had begun.
func TestTheSpoolIsFull(t *testing.T) {
	t.Parallel()
	// What is made last has a state that finds no room where the one before it lay.
	const template = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
resource "terraform_data" "quick" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  input      = join("", [for i in range(1000): "a value that is long enough to need another page of the file system"])
  provisioner "local-exec" {
    command = "touch %[1]s/begun; i=0; while [ ! -e %[1]s/go ] && [ $i -lt 1200 ]; do sleep 0.05; i=$((i+1)); done"
  }
}
resource "terraform_data" "never" {
  depends_on = [terraform_data.slow]
}
`
	begin := func(t *testing.T) (p *controlPlane, h *handout, dir, spool string) {
		p, dir, spool = newControlPlane(t), t.TempDir(), disktest.Mount(t, 24)
		p.startDaemon(p.options(spool))
		h = p.submit(buildOf(p.template(map[string]string{"main.tf": fmt.Sprintf(template, dir)}), client.TransitionStart))
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Join(dir, "begun"))
			return err == nil
		}, patience, tick)
		return p, h, dir, spool
	}
	untilFreed := func(t *testing.T, spool string) {
		require.Eventually(t, func() bool {
			kept, err := filepath.Glob(filepath.Join(spool, "attempts", "*", "reserve"))
			return err == nil && len(kept) == 0
		}, patience, tick, "the reserve is given back")
	}
	goOn := func(t *testing.T, dir string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	}
	requireKept := func(t *testing.T, p *controlPlane, h *handout) {
		p.untilEnded(h)
		require.NotNil(t, h.fail, p.text(h))
		require.Contains(t, h.fail.Error, "disk with the provisioner's spool is full")
		require.Contains(t, h.fail.Error, "make room on its host")
		require.True(t, h.fail.Retryable)
		require.Empty(t, h.fail.InDoubt)
		require.ElementsMatch(t, []string{"terraform_data.quick", "terraform_data.slow"}, addresses(t, p.newestState(h)))
	}

	t.Run("the reserve takes what is left to be written", func(t *testing.T) {
		t.Parallel()
		p, h, dir, spool := begin(t)
		disktest.Fill(t, spool)
		untilFreed(t, spool)
		goOn(t, dir)
		requireKept(t, p, h)
	})

	t.Run("somebody takes the reserve too, and the engine prints its state", func(t *testing.T) {
		t.Parallel()
		p, h, dir, spool := begin(t)
		disktest.Fill(t, spool)
		untilFreed(t, spool)
		disktest.Fill(t, spool)
		goOn(t, dir)
		require.Eventually(t, func() bool {
			if p.ended(h) {
				return true // sooner than anybody could look
			}
			outs, err := filepath.Glob(filepath.Join(spool, "attempts", "*", "apply.out"))
			if err != nil || len(outs) != 1 {
				return false
			}
			disktest.Fill(t, spool) // whatever becomes free meanwhile
			lock, err := supervisor.FileLock(filepath.Join(filepath.Dir(outs[0]), child.LockFile))
			if err != nil || lock == nil {
				return false // the engine lives
			}
			return lock.Close() == nil
		}, patience, tick, "the engine comes to its end")
		if said, err := os.ReadFile(filepath.Join(spool, "attempts", h.job.AttemptID.String(), "apply.out")); err == nil {
			t.Logf("the engine has printed its state: %t", strings.Contains(string(said), "Emergency state dump"))
		}
		disktest.Free(t, spool)
		requireKept(t, p, h)
	})

	t.Run("a daemon without room takes no job, and says so", func(t *testing.T) {
		t.Parallel()
		p, spool := newControlPlane(t), disktest.Mount(t, 24)
		disktest.Take(t, spool, 20<<20)
		p.startDaemon(p.options(spool))
		require.Eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return slices.ContainsFunc(p.troubles, func(text string) bool { return text != "" })
		}, patience, tick)
		h := p.submit(buildOf(p.template(map[string]string{"main.tf": workspaceTemplate}), client.TransitionStart))
		disktest.Free(t, spool)
		p.untilEnded(h)
		require.NotNil(t, h.complete, p.text(h))
	})
}
