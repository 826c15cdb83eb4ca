// Package child is the supervisor's own process. It is this same binary,
// started with Command as its first argument.
//
// Go initialises a package as soon as all that it imports is, and of those
// that are ready the one whose import path sorts first. A package that
// imports only os, syscall and time, and whose path begins with "coder",
// is therefore among the first, and can do its whole work from a
// package-level initialiser before the big packages of the binary cost their
// 30 ms. That is the one exception to the rule against code that runs by
// being imported. It is why this package has its own plain formats: fmt,
// strings, bufio, path/filepath and encoding/json all wait for unicode or
// reflect, and with them come the others.
package child

import (
	"errors"
	"os"
	"strconv"
	"time"
)

// Command is the first argument of a process that is a supervisor. What it
// supervises reaches it over the socket that is its standard input: one byte
// that carries the attempt's open lock and log, then the run.
const Command = "supervise-engine"

// LockFD is where the supervisor and every process of the engine hold the
// attempt's lock. It is high, so that nothing puts a file of its own there.
const LockFD = 19

// Files of an attempt's folder that both sides know.
const (
	RunFile     = "run" // is there once a run has begun
	ExitFile    = "exit.json"
	LeaseFile   = "lease"
	LockFile    = "engine.lock"
	ControlFile = "control"
	LogFile     = "supervisor.log"
	ReserveFile = "reserve" // holds room for states, see Reserve
)

// Words that the control pipe takes, a line each.
const (
	WordInterrupt = "interrupt"
	WordKill      = "kill"
	WordProceed   = "proceed"
	WordFull      = "full" // the disk takes no more
)

// Run is what a supervisor does: its steps one after the other, until one fails.
type Run struct {
	// Folder is the attempt's; Begin sets it.
	Folder string
	Steps  []Step
	// InterruptAfter and KillAfter are how long after the last acknowledged
	// renewal the engine is interrupted and killed; 0 is never.
	InterruptAfter time.Duration
	KillAfter      time.Duration
	// Horizon is when another attempt may take over; to have slept past it is
	// reported. 0 is never.
	Horizon time.Duration
	// Linger is how long processes that an engine left behind may live.
	Linger time.Duration
	// Provider, when its Argv is set, serves all steps.
	Provider Provider
}

// Provider is a Terraform provider that is started once and serves every
// engine call that has the same environment. Left to itself, an engine starts
// each provider two to five times a call.
type Provider struct {
	Argv []string
	// Addresses that the engines know it by.
	Addresses []string
	// Log is the file for what it prints.
	Log string
}

// Step is one engine call.
type Step struct {
	Name string
	Argv []string
	Dir  string
	Env  []string
	// Stdout and Stderr are files, which cannot break as pipes do.
	Stdout string
	Stderr string
	// Gate: wait for WordProceed before this step.
	Gate bool
	// State is the file that a step keeps its state in which must not be lost,
	// however full the disk becomes; empty for other steps.
	State string
}

// ReasonFence is what a supervisor reports that woke up when another attempt
// might have begun already.
const ReasonFence = "it ran past its fence"

// ReasonGone is the reason when the attempt's folder can be read no more.
const ReasonGone = "the provisioner's spool is gone"

// ReasonFull is the reason when the disk with the attempt's folder was full.
const ReasonFull = "the disk with the provisioner's spool is full"

// Encode writes a run as a list of names and values, each ended by a zero
// byte, which no argument can hold.
func (r Run) Encode() []byte {
	var text []byte
	add := func(name, value string) {
		text = append(append(append(append(text, name...), 0), value...), 0)
	}
	add("folder", r.Folder)
	add("interrupt", strconv.FormatInt(int64(r.InterruptAfter), 10))
	add("kill", strconv.FormatInt(int64(r.KillAfter), 10))
	add("horizon", strconv.FormatInt(int64(r.Horizon), 10))
	add("linger", strconv.FormatInt(int64(r.Linger), 10))
	add("provider-log", r.Provider.Log)
	for _, argument := range r.Provider.Argv {
		add("provider-arg", argument)
	}
	for _, address := range r.Provider.Addresses {
		add("provider-address", address)
	}
	for _, step := range r.Steps {
		add("step", step.Name)
		add("dir", step.Dir)
		add("stdout", step.Stdout)
		add("stderr", step.Stderr)
		add("gate", strconv.FormatBool(step.Gate))
		add("state", step.State)
		for _, argument := range step.Argv {
			add("arg", argument)
		}
		for _, variable := range step.Env {
			add("env", variable)
		}
	}
	add("end", "")
	return text
}

// decodeRun tells by ok whether the run came to its end: a daemon that died,
// or needs no engine, sends less.
func decodeRun(text []byte) (run Run, ok bool, err error) {
	for {
		name, rest, named := cutZero(text)
		value, rest, valued := cutZero(rest)
		if !named || !valued {
			return Run{}, false, nil
		}
		if name == "end" {
			return run, true, nil
		}
		text = rest
		if err := run.set(name, value); err != nil {
			return Run{}, false, err
		}
	}
}

func (r *Run) set(name, value string) error {
	durations := map[string]*time.Duration{
		"interrupt": &r.InterruptAfter, "kill": &r.KillAfter, "horizon": &r.Horizon, "linger": &r.Linger,
	}
	if duration, ok := durations[name]; ok {
		nanoseconds, err := strconv.ParseInt(value, 10, 64)
		*duration = time.Duration(nanoseconds)
		return err
	}
	switch name {
	case "folder":
		r.Folder = value
		return nil
	case "provider-log":
		r.Provider.Log = value
		return nil
	case "provider-arg":
		r.Provider.Argv = append(r.Provider.Argv, value)
		return nil
	case "provider-address":
		r.Provider.Addresses = append(r.Provider.Addresses, value)
		return nil
	case "step":
		r.Steps = append(r.Steps, Step{Name: value})
		return nil
	}
	if len(r.Steps) == 0 {
		return errors.New("the run has " + name + " before a step")
	}
	step := &r.Steps[len(r.Steps)-1]
	switch name {
	case "dir":
		step.Dir = value
	case "stdout":
		step.Stdout = value
	case "stderr":
		step.Stderr = value
	case "gate":
		step.Gate = value == "true"
	case "state":
		step.State = value
	case "arg":
		step.Argv = append(step.Argv, value)
	case "env":
		step.Env = append(step.Env, value)
	}
	return nil
}

func cutZero(text []byte) (string, []byte, bool) {
	for i, c := range text {
		if c == 0 {
			return string(text[:i]), text[i+1:], true
		}
	}
	return "", nil, false
}

// Replace writes a file whole or not at all; durable ones survive a power cut.
func Replace(path string, content []byte, durable bool) error {
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
	dir, err := os.Open(parent(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "/"
}
