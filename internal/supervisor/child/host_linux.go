package child

import (
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	clockBoottime        = 7
	prSetChildSubreaper  = 36
	prSetChildSubreaping = 1
)

// Clock reads a clock that starts with the host and runs while it sleeps.
func Clock() time.Duration {
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		return 0
	}
	return time.Duration(now.Nano())
}

// duplicate opens a file at another number, for later processes too.
func duplicate(from, to int) error { return syscall.Dup3(from, to, 0) }

// allocate gives a part of a file room on the disk; kept leaves its size.
func allocate(file *os.File, from, length int64, kept bool) error {
	const keepSize = 1
	mode := uint32(0)
	if kept {
		mode = keepSize
	}
	for {
		if err := syscall.Fallocate(int(file.Fd()), mode, from, length); err != syscall.EINTR {
			return err
		}
	}
}

// becomeSubreaper makes orphans of the engine children of this process.
func becomeSubreaper() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, prSetChildSubreaping, 0)
}

// killChildren kills the direct children except one, and says how many there
// were. Their own children come here next.
func killChildren(except int) int {
	killed := 0
	for _, pid := range children() {
		if pid != except && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// othersLive tells whether there is a child besides one.
func othersLive(except int) bool {
	for _, pid := range children() {
		if pid != except {
			return true
		}
	}
	return false
}

func children() []int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	found := []int{}
	for _, task := range tasks {
		content, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err == nil {
			found = append(found, numbers(content)...)
		}
	}
	return found
}

// numbers reads what stands between spaces.
func numbers(text []byte) []int {
	found, start := []int{}, 0
	for i, c := range append(text, ' ') {
		if c != ' ' && c != '\n' {
			continue
		}
		if number, err := strconv.Atoi(string(text[start:min(i, len(text))])); err == nil {
			found = append(found, number)
		}
		start = i + 1
	}
	return found
}
