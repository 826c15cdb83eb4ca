package child

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Clock reads a clock that starts with the host and runs while it sleeps.
// The kernel keeps the wall time of the last wake in no clock that Go's
// syscall package reaches, so this is the boot time taken from the wall.
func Clock() time.Duration {
	booted, err := syscall.Sysctl("kern.boottime")
	if err != nil || len(booted) < int(unsafe.Sizeof(int64(0))) {
		return time.Duration(time.Now().UnixNano())
	}
	raw := []byte(booted)
	seconds := int64(0)
	for i := 7; i >= 0; i-- {
		seconds = seconds<<8 | int64(raw[i])
	}
	return time.Duration(time.Now().UnixNano()) - time.Duration(seconds)*time.Second
}

// duplicate opens a file at another number, for later processes too.
func duplicate(from, to int) error { return syscall.Dup2(from, to) }

// allocate is not offered by the system in this form.
func allocate(*os.File, int64, int64, bool) error { return syscall.EOPNOTSUPP }

// becomeSubreaper: the system has no such thing. The engine's process group
// is killed as a whole; what leaves the group is out of reach.
func becomeSubreaper() {}

func killChildren(int) int { return 0 }

func othersLive(int) bool { return false }
