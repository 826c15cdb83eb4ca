//go:build !linux && !darwin

package supervisor

import (
	"errors"
	"os"
	"time"
)

// Supported says whether this system can run engines under a supervisor.
const Supported = false

var errUnsupported = errors.New("provisioners run on Linux and macOS only")

// Process is a supervisor; there are none on this system.
type Process struct{}

// Pending is a supervisor that waits; there are none on this system.
type Pending struct{}

// Standby keeps nothing ready.
type Standby struct{}

// NewStandby makes one that refuses.
func NewStandby(string) *Standby { return &Standby{} }

// Prepare refuses.
func (s *Standby) Prepare() error { return errUnsupported }

// Close has nothing to end.
func (s *Standby) Close() error { return nil }

// Launch refuses.
func (s *Standby) Launch(string) (*Pending, error) { return nil, errUnsupported }

// Begin refuses.
func (p *Pending) Begin(Run, time.Duration) (*Process, error) { return nil, errUnsupported }

// Abandon refuses.
func (p *Pending) Abandon() error { return errUnsupported }

// Start refuses.
func Start(string, string, Run, time.Duration) (*Process, error) { return nil, errUnsupported }

// Find finds none.
func Find(string) *Process { return &Process{} }

// Wait refuses.
func (p *Process) Wait(<-chan struct{}, time.Duration) (bool, error) { return false, errUnsupported }

// EngineLives refuses.
func (p *Process) EngineLives() (bool, error) { return false, errUnsupported }

// Interrupt refuses.
func (p *Process) Interrupt() error { return errUnsupported }

// Kill refuses.
func (p *Process) Kill() error { return errUnsupported }

// Alive is never so.
func (p *Process) Alive() bool { return false }

// Proceed refuses.
func (p *Process) Proceed() error { return errUnsupported }

// Exit refuses.
func (p *Process) Exit() (*Exit, error) { return nil, errUnsupported }

// Lease refuses.
func Lease(string, time.Duration) error { return errUnsupported }

// LeaseSent refuses.
func LeaseSent(string) (time.Duration, error) { return 0, errUnsupported }

// TryLock refuses.
func TryLock(string) (*os.File, error) { return nil, errUnsupported }

// FileLock refuses.
func FileLock(string) (*os.File, error) { return nil, errUnsupported }

// Free refuses.
func Free(string) (bool, error) { return false, errUnsupported }

// Clock reads the wall clock.
func Clock() time.Duration { return time.Duration(time.Now().UnixNano()) }

// Full refuses.
func (p *Process) Full() error { return errUnsupported }

// Reserve refuses.
func Reserve(string, int64) error { return errUnsupported }

// Room is of no use here.
func Room(int64) int64 { return 0 }

// IsFull knows of nothing.
func IsFull(error) bool { return false }
