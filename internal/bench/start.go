package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"coder/client"
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

// measureDaemon times a daemon's way to the moment in which it takes jobs, as
// the first one on a host and on a cache that an earlier one has filled.
func measureDaemon(ctx context.Context, binary, dir string, rounds int, out *report) error {
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	key, err := d.owner.CreateProvisionerKey(ctx, d.org.Name, client.CreateProvisionerKeyRequest{Name: "start"})
	if err != nil {
		return err
	}
	var times []time.Duration
	for range rounds + 1 {
		took, err := startDaemon(d.daemonCommand(ctx, binary, dir, key.Key))
		if err != nil {
			return err
		}
		times = append(times, took)
	}
	out.add("daemon start to ready, first on a host", ms(times[0]), "", "")
	out.add("daemon start to ready, again", ms(median(times[1:])), "80 ms", "")
	return nil
}

// startDaemon runs a daemon until it says that the server knows it.
func startDaemon(cmd *exec.Cmd) (time.Duration, error) {
	words, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	took := time.Duration(0)
	for scanner := bufio.NewScanner(words); scanner.Scan(); {
		if took == 0 && strings.Contains(scanner.Text(), "provisioner daemon registered") {
			took = time.Since(begun)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return 0, err
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("stop the daemon: %w", err)
	}
	if took == 0 {
		return 0, errors.New("the daemon did not say that it is registered")
	}
	return took, nil
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
