package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// measureStart times the server's way to its first 200, on an empty data
// directory and on a migrated one.
func measureStart(ctx context.Context, binary, dir string, rounds int, out *report) error {
	var empty, migrated []time.Duration
	for i := range rounds {
		data := filepath.Join(dir, fmt.Sprint(i))
		for _, times := range []*[]time.Duration{&empty, &migrated} {
			cmd, _, took, err := startServer(ctx, binary, data)
			if err != nil {
				return err
			}
			*times = append(*times, took)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return err
			}
			if err := cmd.Wait(); err != nil {
				return fmt.Errorf("stop the server: %w", err)
			}
		}
	}
	out.add("server start to first 200, migrated database", ms(median(migrated)), "60 ms", "40 ms")
	out.add("server start to first 200, empty directory", ms(median(empty)), "150 ms", "90 ms")
	return nil
}

// measureHelp times `coder --help` beside an empty Go program.
func measureHelp(ctx context.Context, binary, dir string, rounds int, out *report) error {
	bare := filepath.Join(dir, "bare")
	source := filepath.Join(dir, "bare.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		return err
	}
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", bare, source).CombinedOutput(); err != nil {
		return fmt.Errorf("build the empty program: %w: %s", err, text)
	}
	var help, nothing []time.Duration
	for range 3 * rounds {
		for _, run := range []struct {
			cmd   *exec.Cmd
			times *[]time.Duration
		}{{exec.CommandContext(ctx, binary, "--help"), &help}, {exec.CommandContext(ctx, bare), &nothing}} {
			begun := time.Now()
			if err := run.cmd.Run(); err != nil {
				return err
			}
			*run.times = append(*run.times, time.Since(begun))
		}
	}
	out.add("coder --help (an empty Go program: "+ms(median(nothing))+")", ms(median(help)), "45 ms", "25 ms")
	return nil
}
