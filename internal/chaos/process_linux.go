package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Supported says whether this system shows what an engine has started.
const Supported = true

const (
	killed  = syscall.SIGKILL
	paused  = syscall.SIGSTOP
	resumed = syscall.SIGCONT
)

// runningBelow finds the processes that work in a directory: supervisors,
// engines and providers, which outlive the daemon that started them.
func runningBelow(dir string) ([]running, error) {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil, err
	}
	found := []running{}
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(cwd, dir+"/") {
			continue // ended, another user's, or not ours
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil || zombie(pid) {
			continue
		}
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && len(args) > 0 {
			found = append(found, running{pid: pid, args: strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00"), dir: cwd})
		}
	}
	return found, nil
}

func zombie(pid int) bool {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(content), ") ")
	return strings.HasPrefix(rest, "Z")
}

// signal tells a process, if it still is the one that was found.
func (r running) signal(s syscall.Signal) error {
	process, err := os.FindProcess(r.pid)
	if err != nil {
		return err
	}
	defer process.Release() //nolint:errcheck // it holds nothing but a number
	// The handle is of whoever has the number now.
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", r.pid)); err != nil || cwd != r.dir {
		return nil
	}
	if err := process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to process %d: %w", s, r.pid, err)
	}
	return nil
}

// mountSmall puts a file system of so many MiB at a directory, which root may.
func mountSmall(dir string, size int) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("size=%dm,mode=0700", size)); err != nil {
		return fmt.Errorf("mount a small file system at %s: %w", dir, err)
	}
	return nil
}

func unmount(dir string) error {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}
