//go:build linux

package provisioner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
)

const overQuota = "The organization may spend 10 credits a day."

// pricedTemplate costs 7 a day. What it makes says "begun", and is made as
// soon as the file "go" is there.
func pricedTemplate(dir string) string {
	return slowTemplate(dir) + `
resource "coder_metadata" "price" {
  resource_id = terraform_data.slow.id
  daily_cost  = 7
}
`
}

// pricedBuild submits one that is decided on between plan and apply.
func (p *controlPlane) pricedBuild(dir string, change func(*handout)) *handout {
	p.t.Helper()
	job := buildOf(p.template(map[string]string{"main.tf": pricedTemplate(dir)}), client.TransitionStart)
	job.Split = true
	return p.submitWith(job, change)
}

func goOn(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
}

func refuseQuota(h *handout) {
	h.decision = client.PlanDecision{Message: overQuota}
}

// change does something to a hand-out, and wakes what waits for it.
func (p *controlPlane) change(h *handout, change func(*handout)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(h)
	p.notify()
}

func (p *controlPlane) untilAsked(h *handout, times int) {
	p.t.Helper()
	p.until(h, "the plan is asked about", func(h *handout) bool { return len(h.plans) >= times })
}

// requireRefused: the job has ended for the quota, and nothing was made.
func (p *controlPlane) requireRefused(h *handout, dir string) {
	p.t.Helper()
	require.NotNil(p.t, h.fail, p.text(h))
	require.Equal(p.t, client.JobErrorInsufficientQuota, h.fail.Code)
	require.Equal(p.t, overQuota, h.fail.Error)
	require.False(p.t, h.fail.Retryable)
	require.Empty(p.t, h.fail.InDoubt)
	require.True(p.t, h.fail.EngineDead)
	require.Equal(p.t, &client.Standing{Untouched: true}, h.fail.Standing)
	p.requireNothingMade(h, dir)
	requireLogOnce(p.t, p.text(h), "[Commit quota] "+overQuota)
}

func (p *controlPlane) requireNothingMade(h *handout, dir string) {
	p.t.Helper()
	require.NoFileExists(p.t, filepath.Join(dir, "begun"))
	require.NotContains(p.t, p.text(h), "Creating...")
	require.Empty(p.t, h.begun())
}

func (p *controlPlane) requireMade(h *handout) {
	p.t.Helper()
	require.Nil(p.t, h.fail, p.text(h))
	require.Equal(p.t, 1, h.engine)
	require.Equal(p.t, 7, h.complete.Build.DailyCost)
	for _, cost := range h.plans {
		require.Equal(p.t, 7, cost)
	}
	requireLogOnce(p.t, p.text(h), "[Planning Infrastructure] Plan: 3 to add", "[Commit quota] The plan is admitted.", "terraform_data.quick: Creating...", "Apply complete!")
}

func TestThePlanIsDecidedOn(t *testing.T) {
	t.Parallel()

	t.Run("granted", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		goOn(t, dir)
		p.startDaemon(p.options(t.TempDir()))
		h := p.pricedBuild(dir, nil)
		p.untilEnded(h)
		p.requireMade(h)
		require.Len(t, h.plans, 1)
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		p.startDaemon(p.options(t.TempDir()))
		h := p.pricedBuild(dir, refuseQuota)
		p.untilEnded(h)
		p.requireRefused(h, dir)
	})
	t.Run("and heard at last when answers are lost", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		goOn(t, dir)
		p.startDaemon(p.options(t.TempDir()))
		h := p.pricedBuild(dir, func(h *handout) { h.lost = 3 })
		p.untilEnded(h)
		p.requireMade(h)
		require.Len(t, h.plans, 4)
	})
	t.Run("and nothing is made before", func(t *testing.T) {
		t.Parallel()
		p, dir := newControlPlane(t), t.TempDir()
		p.startDaemon(p.options(t.TempDir()))
		h := p.pricedBuild(dir, func(h *handout) { h.undecided = true })
		p.untilAsked(h, 1)
		p.tell(h, func(r *client.RenewResponse) { r.Cancel = client.CancelGentle })
		p.untilEnded(h)
		require.True(t, h.fail.Canceled)
		require.Equal(t, &client.Standing{Untouched: true}, h.fail.Standing)
		p.requireNothingMade(h, dir)
	})
	t.Run("unless the server is away for too long", func(t *testing.T) {
		t.Parallel()
		p, dir, spool := newControlPlane(t), t.TempDir(), t.TempDir()
		p.startDaemon(p.options(spool))
		job := buildOf(p.template(map[string]string{"main.tf": pricedTemplate(dir)}), client.TransitionStart)
		job.Split = true
		job.Clocks = client.JobClocks{Lease: 1500, Renew: 500, InterruptAt: 3000, KillAt: 20000, Horizon: 25000}
		h := p.submitWith(job, func(h *handout) { h.undecided = true })
		p.untilAsked(h, 1)
		p.setDeaf(true)
		require.Eventually(t, func() bool { return len(processesIn(t, spool)) == 0 }, patience, tick, "the engine ends by itself")
		p.setDeaf(false)
		p.untilEnded(h)
		require.True(t, h.fail.Retryable)
		require.Equal(t, &client.Standing{Untouched: true}, h.fail.Standing)
		p.requireNothingMade(h, dir)
	})
}

// The daemon is killed at each point between plan and apply, and its
// successor on the host goes on.
func TestDaemonIsKilledAtTheGate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(*handout)
		// before the kill, and between it and the successor.
		before, between func(*controlPlane, *handout)
		refused         bool
	}{
		"before the server has decided": {
			func(h *handout) { h.undecided = true }, func(p *controlPlane, h *handout) { p.untilAsked(h, 1) },
			func(p *controlPlane, h *handout) { p.change(h, func(h *handout) { h.undecided = false }) }, false,
		},
		"before the server refuses": {
			func(h *handout) { h.undecided = true; refuseQuota(h) }, func(p *controlPlane, h *handout) { p.untilAsked(h, 1) },
			func(p *controlPlane, h *handout) { p.change(h, func(h *handout) { h.undecided = false }) }, true,
		},
		"after a grant that did not arrive": {
			func(h *handout) { h.lost = 1 << 30 }, func(p *controlPlane, h *handout) { p.untilAsked(h, 2) },
			func(p *controlPlane, h *handout) { p.change(h, func(h *handout) { h.lost = 0 }) }, false,
		},
		"after a refusal that did not arrive": {
			func(h *handout) { h.lost = 1 << 30; refuseQuota(h) }, func(p *controlPlane, h *handout) { p.untilAsked(h, 2) },
			func(p *controlPlane, h *handout) { p.change(h, func(h *handout) { h.lost = 0 }) }, true,
		},
		"after the grant": {
			nil, func(p *controlPlane, h *handout) {
				p.until(h, "the grant is in the log", func(h *handout) bool { return strings.Contains(logOf(h), "admitted") })
			}, func(*controlPlane, *handout) {}, false,
		},
		"while the apply goes on": {
			nil, func(p *controlPlane, h *handout) {
				p.until(h, "the apply has begun", func(h *handout) bool { return strings.Contains(logOf(h), "terraform_data.slow: Creating...") })
			}, func(p *controlPlane, h *handout) { p.change(h, refuseQuota) }, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, dir, spool, cache := newControlPlane(t), t.TempDir(), t.TempDir(), t.TempDir()
			first := p.process(spool, cache)
			h := p.pricedBuild(dir, c.prepare)
			c.before(p, h)
			kill(t, first)
			c.between(p, h)
			if !c.refused {
				goOn(t, dir)
			}
			p.process(spool, cache)
			p.untilEnded(h)
			if c.refused {
				p.requireRefused(h, dir)
				return
			}
			p.requireMade(h)
		})
	}

	t.Run("with its engine", func(t *testing.T) {
		t.Parallel()
		p, dir, spool, cache := newControlPlane(t), t.TempDir(), t.TempDir(), t.TempDir()
		first := p.process(spool, cache)
		h := p.pricedBuild(dir, func(h *handout) { h.undecided = true })
		p.untilAsked(h, 1)
		kill(t, first)
		killAll(t, spool)
		p.process(spool, cache)
		p.untilEnded(h)
		require.True(t, h.fail.Retryable, "nothing was begun, so it may be tried again")
		require.Equal(t, &client.Standing{Untouched: true}, h.fail.Standing)
		p.requireNothingMade(h, dir)
	})
}

// What a build has left when its apply went wrong half-way costs what its
// state says, and by the plan where the state does not say it.
func TestWhatAFailedBuildHasLeft(t *testing.T) {
	t.Parallel()
	const priced = `
resource "terraform_data" "made" {}
resource "coder_metadata" "made" {
  resource_id = terraform_data.made.id
  daily_cost  = 2
}
resource "terraform_data" "bad" {
  depends_on = [coder_metadata.made]
  provisioner "local-exec" {
    command = "exit 3"
  }
}
resource "coder_metadata" "bad" {
  resource_id = terraform_data.bad.id
  daily_cost  = 5
}
resource "terraform_data" "never" {
  depends_on = [terraform_data.bad]
}
resource "coder_metadata" "never" {
  resource_id = terraform_data.never.id
  daily_cost  = 100
}
`
	header := fmt.Sprintf("terraform {\n  required_providers {\n    coder = { source = %q }\n  }\n}\n", "coder/coder")
	files := map[string]string{"main.tf": header + priced}
	by, imported := runOne(t, files, asImport)
	require.NotNil(t, imported.complete, by.text(imported))
	require.Equal(t, []any{107, 107, true}, []any{imported.complete.Import.StartCost, imported.complete.Import.StopCost, imported.complete.Import.Priced})
	p, h := runOne(t, files, func(job *client.AcquiredJob) { job.Split, job.Graph = true, imported.complete.Import.Graph })
	require.NotNil(t, h.fail, p.text(h))
	require.Equal(t, []int{107}, h.plans)
	require.Equal(t, &client.Standing{DailyCost: 7}, h.fail.Standing)
}

func TestAVersionIsPricedByItsTemplate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		metadata string
		priced   bool
	}{
		"no cost":                         {`icon = "/x.svg"`, false},
		"a cost of nothing":               {`daily_cost = 0`, false},
		"a cost with other values":        {`daily_cost = data.coder_parameter.size.value == "1" ? 0 : 9`, true},
		"nothing of it with these values": {"count = 0\n  daily_cost = 3", true},
		"a cost below nothing":            {`daily_cost = -4`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := runOne(t, map[string]string{"main.tf": fmt.Sprintf(`
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_parameter" "size" {
  name    = "size"
  default = "1"
}
resource "terraform_data" "box" {}
resource "coder_metadata" "box" {
  resource_id = terraform_data.box.id
  %s
}
`, c.metadata)}, asImport)
			require.Nil(t, h.fail, p.text(h))
			require.Equal(t, c.priced, h.complete.Import.Priced)
			require.Zero(t, h.complete.Import.StartCost)
		})
	}
}
