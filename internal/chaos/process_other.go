//go:build !linux

package chaos

import (
	"errors"
	"syscall"
)

// Supported says whether this system shows what an engine has started.
const Supported = false

const (
	killed  = syscall.SIGKILL
	paused  = syscall.SIGTERM
	resumed = syscall.SIGTERM
)

var errUnsupported = errors.New("processes are found in /proc, which only Linux has")

func runningBelow(string) ([]running, error) { return nil, errUnsupported }

func (r running) signal(syscall.Signal) error { return errUnsupported }

func mountSmall(string, int) error { return errUnsupported }

func unmount(string) error { return errUnsupported }
