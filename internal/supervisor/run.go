// Package supervisor runs the engine of one attempt in a small process of its
// own, which outlives the daemon. It alone signals the engine, records how it
// ended, and holds the attempt's lock until nothing of the attempt lives.
//
// The process is this same binary, started with Command as its first
// argument. Go initialises a package as soon as everything it imports is, and
// of those that are ready the one whose import path sorts first. "coder/..."
// sorts before "github.com/...", so a package that imports a little of the
// standard library only can run here, from a package-level initialiser,
// before the big packages of the binary cost their 30 ms. That is the one
// exception to the rule against code that runs by being imported; nothing in
// this package may import anything but the standard library.
package supervisor

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Command is the first argument of a process that is a supervisor, the
// attempt's folder the second.
const Command = "supervise-engine"

// Files of an attempt's folder that both sides know.
const (
	runFile     = "run.json"
	exitFile    = "exit.json"
	leaseFile   = "lease"
	lockName    = "engine.lock"
	controlFile = "control"
	logFile     = "supervisor.log"
)

// Run is what a supervisor does: its steps one after the other, until one fails.
type Run struct {
	Steps []Step `json:"steps"`
	// InterruptAfter and KillAfter are how long after the last acknowledged
	// renewal the engine is interrupted and killed; 0 is never.
	InterruptAfter time.Duration `json:"interrupt_after"`
	KillAfter      time.Duration `json:"kill_after"`
	// Horizon is when another attempt may take over; to have slept past it is
	// reported. 0 is never.
	Horizon time.Duration `json:"horizon"`
	// Linger is how long processes that an engine left behind may live.
	Linger time.Duration `json:"linger"`
}

// Step is one engine call.
type Step struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	Dir  string   `json:"dir"`
	Env  []string `json:"env"`
	// Stdout and Stderr are files, which cannot break as pipes do.
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	// Gate: wait for Proceed before this step.
	Gate bool `json:"gate,omitempty"`
}

// Exit is what a supervisor has recorded so far.
type Exit struct {
	Steps []StepExit `json:"steps"`
	// Finished: nothing will be added.
	Finished bool `json:"finished"`
	// Reason says why the engine was interrupted or killed by the supervisor
	// itself; empty when nobody or the daemon did.
	Reason string `json:"reason,omitempty"`
	// Stragglers is how many processes the engine left behind that had to be killed.
	Stragglers int `json:"stragglers,omitempty"`
}

// StepExit is how one engine call ended.
type StepExit struct {
	Name      string    `json:"name"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	// Code is the exit status; -1 when a signal ended it or it did not start.
	Code int `json:"code"`
	// Signal that ended it, such as "killed".
	Signal string `json:"signal,omitempty"`
	// Error says why it could not be started.
	Error string `json:"error,omitempty"`
	// Interrupted and Killed by the supervisor.
	Interrupted bool `json:"interrupted,omitempty"`
	Killed      bool `json:"killed,omitempty"`
}

// Failed tells whether the step did not end well.
func (s StepExit) Failed() bool { return s.Code != 0 }

// ReasonFence is what a supervisor reports that woke up when another attempt
// might have begun already.
const ReasonFence = "ran past its fence"

// readExit returns what is recorded in a folder; nil when nothing is.
func readExit(folder string) (*Exit, error) {
	content, err := os.ReadFile(filepath.Join(folder, exitFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	exit := &Exit{}
	if err := json.Unmarshal(content, exit); err != nil {
		return nil, err
	}
	return exit, nil
}

// replace writes a file whole or not at all; durable ones survive a power cut.
func replace(path string, content []byte, durable bool) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil && durable {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil || !durable {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
