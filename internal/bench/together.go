package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"coder/client"
)

const together = 20

// measureTogether lets twenty workspaces start at once, by one daemon that
// takes twenty jobs, next to twenty applies by hand in directories that were
// initialized before. Both sides start from the state of a stopped workspace.
func measureTogether(ctx context.Context, binary, dir string, rounds int, out *report) error {
	engine, err := exec.LookPath("terraform")
	if err != nil {
		return errors.New("put terraform on PATH")
	}
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.join(ctx, binary, dir, engine, "CODER_PROVISIONER_CONCURRENCY="+strconv.Itoa(together)); err != nil {
		return err
	}
	b := &builds{deployment: d, dir: dir, engine: engine}
	v, err := b.push(ctx, "", fmt.Sprintf(coderTemplate, "together"))
	if err != nil {
		return err
	}
	template, err := b.owner.CreateTemplate(ctx, b.org.Name, client.CreateTemplateRequest{Name: "together", VersionID: v.ID})
	if err != nil {
		return err
	}
	ours, err := b.workspaces(ctx, template.ID)
	if err != nil {
		return err
	}
	bare, err := b.folders(ctx)
	if err != nil {
		return err
	}
	var ratios []ratio
	for range max(rounds/2, 1) {
		took, err := b.startAll(ctx, ours)
		if err != nil {
			return err
		}
		byHand, err := b.applyAll(ctx, bare, "start")
		if err != nil {
			return err
		}
		ratios = append(ratios, took.over(byHand))
		if err := b.buildAll(ctx, ours, client.TransitionStop); err != nil {
			return err
		}
		if _, err := b.applyAll(ctx, bare, "stop"); err != nil {
			return err
		}
	}
	out.add(fmt.Sprintf("%d later builds at once ÷ %d bare applies at once, coder provider", together, together), medianRatio(ratios), "1.10", "")
	return nil
}

// workspaces are stopped ones, built once.
func (b *builds) workspaces(ctx context.Context, template uuid.UUID) ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, together)
	group, making := errgroup.WithContext(ctx)
	for i := range ids {
		group.Go(func() error {
			w, err := b.owner.CreateWorkspace(making, b.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template, Name: fmt.Sprintf("t-%d", i)})
			if err != nil {
				return err
			}
			ids[i] = w.ID
			return b.await(making, w.LatestBuild)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return ids, b.buildAll(ctx, ids, client.TransitionStop)
}

// buildAll asks for a build of each workspace at once, and waits for them.
func (b *builds) buildAll(ctx context.Context, workspaces []uuid.UUID, transition string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, id := range workspaces {
		group.Go(func() error {
			build, err := b.owner.CreateWorkspaceBuild(ctx, id, client.CreateWorkspaceBuildRequest{Transition: transition})
			if err != nil {
				return err
			}
			return b.await(ctx, build)
		})
	}
	return group.Wait()
}

// await looks seldom: twenty who wait must not cost what is measured.
func (b *builds) await(ctx context.Context, build client.WorkspaceBuild) error {
	for !build.Job.Ended() {
		time.Sleep(100 * time.Millisecond)
		var err error
		if build, err = b.owner.WorkspaceBuild(ctx, build.ID); err != nil {
			return err
		}
	}
	if build.Job.Status != client.JobSucceeded {
		return fmt.Errorf("build: %s", build.Job.Error)
	}
	return nil
}

func (b *builds) startAll(ctx context.Context, workspaces []uuid.UUID) (cost, error) {
	before, begun := b.processorTime(), time.Now()
	if err := b.buildAll(ctx, workspaces, client.TransitionStart); err != nil {
		return cost{}, err
	}
	took := time.Since(begun)
	time.Sleep(reaping)
	return cost{took, b.processorTime() - before}, nil
}

// folders are initialized, and hold the state of a stopped workspace.
func (b *builds) folders(ctx context.Context) ([]string, error) {
	config, err := b.mirrorConfig()
	if err != nil {
		return nil, err
	}
	var folders []string
	for i := range together {
		dir := filepath.Join(b.dir, "bare", strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(fmt.Sprintf(coderTemplate, "together")), 0o600); err != nil {
			return nil, err
		}
		init := exec.CommandContext(ctx, b.engine, "init", "-input=false", "-no-color")
		init.Dir, init.Env = dir, append(clean(), "TF_CLI_CONFIG_FILE="+config)
		if text, err := init.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("terraform init: %w: %s", err, text)
		}
		folders = append(folders, dir)
	}
	_, err = b.applyAll(ctx, folders, "stop")
	return folders, err
}

// applyAll runs an apply in each folder at once.
func (b *builds) applyAll(ctx context.Context, folders []string, transition string) (cost, error) {
	begun := time.Now()
	cpu := make([]time.Duration, len(folders))
	group, ctx := errgroup.WithContext(ctx)
	for i, dir := range folders {
		group.Go(func() error {
			cmd := exec.CommandContext(ctx, b.engine, "apply", "-auto-approve", "-input=false", "-no-color")
			cmd.Dir, cmd.Env = dir, append(clean(), "CODER_WORKSPACE_TRANSITION="+transition)
			if text, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("terraform apply: %w: %s", err, text)
			}
			cpu[i] = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return cost{}, err
	}
	took, spent := time.Since(begun), time.Duration(0)
	for _, c := range cpu {
		spent += c
	}
	return cost{took, spent}, nil
}
