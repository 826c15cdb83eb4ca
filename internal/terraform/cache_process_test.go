package terraform_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/coderprovider"
	"coder/internal/terraform"
)

// layOutLoop is the first argument of a test binary that is a daemon which
// lays out jobs. Cache, engine, CLI configuration and a directory of its own follow.
const layOutLoop = "lay-out-loop"

// loopRounds is how many jobs such a daemon lays out.
const loopRounds = 12

// loopFiles are the templates that all daemons share.
func loopFiles(i int) map[string]string {
	return map[string]string{"main.tf": packedTemplate + strings.Repeat("\n", i%3), "run.sh": "echo something to copy"}
}

// layOutMain lays out jobs one after the other, as daemons do, and asks the
// engine whether each is whole.
func layOutMain(cache, engine, config, own string) error {
	ctx := context.Background()
	host := terraform.HostEnvironment(os.Environ(), nil)
	found, err := terraform.Inspect(ctx, engine, host)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	shop, err := terraform.NewWorkshop(ctx, terraform.WorkshopOptions{
		CacheDir: cache, Engine: found, Environment: host, Now: time.Now, Operator: terraform.OperatorConfig{Files: []string{config}},
		Provider: terraform.Provider{Binary: self, Version: coderprovider.Version},
	})
	if err != nil {
		return err
	}
	for i := range loopRounds {
		if err := layOutOne(ctx, shop, found, filepath.Join(own, strconv.Itoa(i)), loopFiles(i)); err != nil {
			return fmt.Errorf("job %d: %w", i, err)
		}
	}
	return nil
}

func layOutOne(ctx context.Context, shop *terraform.Workshop, engine terraform.Engine, folder string, files map[string]string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	content, hash := packed(files)
	work := filepath.Join(folder, "work")
	for again := false; ; again = true {
		var output bytes.Buffer
		prepared, err := shop.Prepare(ctx, terraform.Request{
			Hash: hash, Output: &output, Folder: folder,
			Fetch: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		})
		if err != nil {
			return fmt.Errorf("%w: %s", err, output.String())
		}
		err = prepared.Clone(work)
		if damage := (*terraform.DamageError)(nil); errors.As(err, &damage) && !again {
			if err := errors.Join(prepared.Retire(), prepared.Release(), os.RemoveAll(work)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		arguments := engine.ApplyArguments("", false)
		cmd := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
		cmd.Dir, cmd.Env = work, prepared.Environment
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return errors.Join(prepared.Release(), os.RemoveAll(folder))
	}
}

func startLoop(t *testing.T, cache, engine, config string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, layOutLoop, cache, engine, config, t.TempDir())
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	// With what a killed one leaves: its engine may die before it ends its providers.
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return cmd
}

// Several daemons lay out jobs, another one is killed again and again while it
// does, and all the while the cache is cleaned. No job may miss anything.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	b := newBench(t, withPackedProvider(t))
	cache, engine, config := b.options.CacheDir, b.options.Engine.Path, b.options.Operator.Files[0]
	ended := make(chan error, 2)
	for range cap(ended) {
		cmd := startLoop(t, cache, engine, config)
		go func() { ended <- cmd.Wait() }()
	}
	victim := startLoop(t, cache, engine, config)
	removed, left := 0, cap(ended)
	for i := 0; left > 0; i++ {
		select {
		case err := <-ended:
			require.NoError(t, err)
			left--
		case <-time.After(50 * time.Millisecond):
			removed += len(b.clean(0).Removed)
		}
		if i%15 == 14 {
			require.NoError(t, victim.Process.Kill())
			_ = victim.Wait() // it was killed
			victim = startLoop(t, cache, engine, config)
		}
	}
	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait() // it was killed
	require.Positive(t, removed, "the cleaner has met nothing")
	require.NotContains(t, b.states(terraform.KindProvider), terraform.StateDamaged)
	require.NotContains(t, b.states(terraform.KindDirectory), terraform.StateDamaged)
	require.Equal(t, []string{"ok"}, b.states(terraform.KindMirror))
}
