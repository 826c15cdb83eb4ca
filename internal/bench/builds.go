package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/executable"
)

// The two templates: one that needs no provider, one with ours.
const (
	plainTemplate = `resource "terraform_data" "a" {
  input = %q
}
`
	coderTemplate = `terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
}
resource "terraform_data" "a" {
  count = data.coder_workspace.me.start_count
  input = %q
}
`
)

// shim stands before the engine and writes down when each call begins and
// ends; bash reads the clock without starting a process.
const shim = `#!/bin/bash
echo "$EPOCHREALTIME begin $1" >>"$BENCH_STAMPS"
"$BENCH_ENGINE" "$@"
status=$?
echo "$EPOCHREALTIME end $1" >>"$BENCH_STAMPS"
exit $status
`

// call is one run of the engine.
type call struct {
	begin, end time.Time
	name       string
}

// builds holds what the engine measurements share.
type builds struct {
	*deployment
	dir    string
	engine string
	stamps string
}

func measureBuilds(ctx context.Context, binary, dir string, rounds int, out *report) error {
	engine, err := exec.LookPath("terraform")
	if err != nil {
		return errors.New("put terraform on PATH")
	}
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	b := &builds{deployment: d, dir: dir, engine: engine, stamps: filepath.Join(dir, "stamps")}
	wrapper := filepath.Join(dir, "terraform")
	if err := executable.Write(wrapper, strings.NewReader(shim), 0o700); err != nil {
		return err
	}
	if err := d.join(ctx, binary, dir, wrapper, "BENCH_STAMPS="+b.stamps, "BENCH_ENGINE="+engine); err != nil {
		return err
	}
	out.add("resident memory: daemon idle", fmt.Sprintf("%.0f MiB", memory(d.daemon.Process.Pid)), "30 MiB", "20 MiB")
	for _, template := range []struct{ name, source, first, later, stretchFirst, stretchLater string }{
		{"no provider", plainTemplate, "1.3", "0.9", "1.15", "0.75"},
		{"coder provider", coderTemplate, "1.1", "0.9", "1.05", "0.85"},
	} {
		m, err := b.measure(ctx, template.name, template.source, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", template.name, err)
		}
		if template.name == "no provider" {
			out.add("build request to the first engine process", ms(median(m.toEngine))+", p99 "+ms(percentile(m.toEngine, 99)), "20 ms, p99 60", "10 ms")
			out.add("build less its own engine time", ms(median(m.overhead)), "60 ms", "30 ms")
		}
		out.add("first build of a version ÷ bare init + apply, "+template.name, medianRatio(m.first), template.first, template.stretchFirst)
		out.add("later build ÷ bare init + apply, "+template.name, medianRatio(m.later), template.later, template.stretchLater)
		out.add("delete ÷ bare init + destroy, "+template.name, medianRatio(m.deleted), "1.2", "1.0")
	}
	return nil
}

// measured are the samples of one template.
type measured struct {
	toEngine, overhead    []time.Duration
	first, later, deleted []ratio
}

// cost is what something took: on the clock, and of the processors.
type cost struct{ wall, cpu time.Duration }

// ratio is our cost in terms of the bare engine's.
type ratio struct{ wall, cpu float64 }

func (c cost) over(bare cost) ratio {
	return ratio{c.wall.Seconds() / bare.wall.Seconds(), c.cpu.Seconds() / bare.cpu.Seconds()}
}

func medianRatio(ratios []ratio) string {
	var wall, cpu []float64
	for _, r := range ratios {
		wall, cpu = append(wall, r.wall), append(cpu, r.cpu)
	}
	return fmt.Sprintf("%.2f (CPU %.2f)", median(wall), median(cpu))
}

// measure takes pairs: a new version, its first build, two later ones and the
// delete, each next to the same engine calls by hand.
func (b *builds) measure(ctx context.Context, name, source string, rounds int) (*measured, error) {
	m := &measured{}
	for i := range rounds {
		text := fmt.Sprintf(source, fmt.Sprint(i))
		v, err := b.push(ctx, "", text)
		if err != nil {
			return nil, err
		}
		template, err := b.owner.CreateTemplate(ctx, b.org.Name, client.CreateTemplateRequest{Name: "bench-" + uuid.NewString()[:8], VersionID: v.ID})
		if err != nil {
			return nil, err
		}
		bareApply, bareDestroy, err := b.bare(ctx, text, fmt.Sprintf("%s-%d", name[:2], i))
		if err != nil {
			return nil, err
		}
		if err := b.life(ctx, m, template.ID, bareApply, bareDestroy); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (b *builds) life(ctx context.Context, m *measured, template uuid.UUID, bareApply, bareDestroy cost) error {
	var workspace client.Workspace
	took, err := b.build(ctx, m, func() (client.WorkspaceBuild, error) {
		var err error
		workspace, err = b.owner.CreateWorkspace(ctx, b.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template, Name: "w-" + uuid.NewString()[:8]})
		return workspace.LatestBuild, err
	})
	if err != nil {
		return err
	}
	m.first = append(m.first, took.over(bareApply))
	for _, transition := range []string{client.TransitionStop, client.TransitionStart, client.TransitionDelete} {
		took, err := b.build(ctx, m, func() (client.WorkspaceBuild, error) {
			return b.owner.CreateWorkspaceBuild(ctx, workspace.ID, client.CreateWorkspaceBuildRequest{Transition: transition})
		})
		if err != nil {
			return err
		}
		switch transition {
		case client.TransitionStart:
			m.later = append(m.later, took.over(bareApply))
		case client.TransitionDelete:
			m.deleted = append(m.deleted, took.over(bareDestroy))
		}
	}
	return nil
}

// reaping is how long a daemon may take to notice that an engine has ended,
// which is when the engine's processor time is its own.
const reaping = 50 * time.Millisecond

// processorTime is what server and daemon have spent, with all that they
// started and that has ended.
func (b *builds) processorTime() time.Duration {
	return processorTime(b.server.Process.Pid) + processorTime(b.daemon.Process.Pid)
}

// build asks for a build and takes its times: to the engine, in it, and all of it.
func (b *builds) build(ctx context.Context, m *measured, ask func() (client.WorkspaceBuild, error)) (cost, error) {
	before := b.processorTime()
	asked := time.Now()
	build, err := ask()
	if err != nil {
		return cost{}, err
	}
	for !build.Job.Ended() {
		time.Sleep(5 * time.Millisecond)
		if build, err = b.owner.WorkspaceBuild(ctx, build.ID); err != nil {
			return cost{}, err
		}
	}
	if build.Job.Status != client.JobSucceeded {
		return cost{}, fmt.Errorf("build: %s", build.Job.Error)
	}
	took := build.Job.CompletedAt.Sub(asked)
	time.Sleep(reaping)
	spent := cost{took, b.processorTime() - before}
	calls, err := b.callsSince(asked)
	if err != nil || len(calls) == 0 {
		return spent, err
	}
	var engine time.Duration
	for _, c := range calls {
		engine += c.end.Sub(c.begin)
	}
	m.toEngine = append(m.toEngine, calls[0].begin.Sub(asked))
	m.overhead = append(m.overhead, took-engine)
	return spent, nil
}

func (b *builds) callsSince(since time.Time) ([]call, error) {
	f, err := os.Open(b.stamps)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var calls []call
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) != 3 {
			continue
		}
		seconds, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return nil, err
		}
		at := time.UnixMicro(int64(seconds * 1e6))
		switch {
		case at.Before(since):
		case fields[1] == "begin":
			calls = append(calls, call{begin: at, name: fields[2]})
		case len(calls) > 0:
			calls[len(calls)-1].end = at
		}
	}
	return calls, nil
}

// bare makes the same engine calls by hand in a fresh folder, with the same
// provider mirror that the daemon uses.
func (b *builds) bare(ctx context.Context, source, name string) (apply, destroy cost, err error) {
	dir := filepath.Join(b.dir, "bare", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cost{}, cost{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(source), 0o600); err != nil {
		return cost{}, cost{}, err
	}
	config, err := b.mirrorConfig()
	if err != nil {
		return cost{}, cost{}, err
	}
	calls := func(args ...[]string) (cost, error) {
		var cpu time.Duration
		begun := time.Now()
		for _, a := range args {
			cmd := exec.CommandContext(ctx, b.engine, a...)
			cmd.Dir, cmd.Env = dir, append(clean(), "TF_CLI_CONFIG_FILE="+config)
			if out, err := cmd.CombinedOutput(); err != nil {
				return cost{}, fmt.Errorf("terraform %s: %w: %s", a[0], err, out)
			}
			cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		}
		return cost{time.Since(begun), cpu}, nil
	}
	init := []string{"init", "-input=false", "-no-color"}
	if apply, err = calls(init, []string{"apply", "-auto-approve", "-input=false", "-no-color"}); err != nil {
		return cost{}, cost{}, err
	}
	if err := os.RemoveAll(filepath.Join(dir, ".terraform")); err != nil {
		return cost{}, cost{}, err
	}
	destroy, err = calls(init, []string{"destroy", "-auto-approve", "-input=false", "-no-color"})
	return apply, destroy, err
}

// mirrorConfig points the bare side at the daemon's own provider mirror.
func (b *builds) mirrorConfig() (string, error) {
	path := filepath.Join(b.dir, "terraformrc")
	mirrors, err := filepath.Glob(filepath.Join(b.dir, "daemon", "mirror", "*"))
	if err != nil {
		return "", err
	}
	if len(mirrors) == 0 {
		return "", errors.New("the daemon has made no provider mirror")
	}
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirrors[0])
	return path, os.WriteFile(path, []byte(text), 0o600)
}
