package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// killHolders kills every process that has the file open, except this one.
func killHolders(path string) error {
	pids, err := holders(path)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("kill process %d, which an engine without a supervisor left: %w", pid, err)
		}
	}
	return nil
}

// holders are the processes that have the file open, except this one.
func holders(path string) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil, err
	}
	pids := []int{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || strings.TrimSuffix(target, " (deleted)") != path {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// engineHolds tells whether one of the processes that have the file open is an
// engine, or a supervisor that starts one: they lead a process group. What an
// engine has started is in its group. A provider that a supervisor serves
// leads one too, and works for nobody once the engine has ended.
func engineHolds(path string) (bool, error) {
	pids, err := holders(path)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(pids, func(pid int) bool {
		group, err := syscall.Getpgid(pid)
		return err == nil && group == pid && !isProvider(pid)
	}), nil
}

func isProvider(pid int) bool {
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, _, _ := strings.Cut(string(words), "\x00")
	return err == nil && strings.HasPrefix(filepath.Base(name), "terraform-provider-")
}
