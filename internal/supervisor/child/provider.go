//go:build linux || darwin

package child

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// providerPatience is how long a provider may take to say where it listens.
// After that the engine starts its own.
const providerPatience = 20 * time.Second

// cookie is what makes a provider believe that an engine started it; it is
// part of the plugin protocol.
const cookie = "TF_PLUGIN_MAGIC_COOKIE=d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"

// served is the provider that is running.
type served struct {
	process *os.Process
	// env of the steps that it serves.
	env    []string
	socket string
	attach string
}

// serve makes sure that the provider runs in a step's environment, and
// returns the variable that tells the engine so. Where it does not start, the
// engine is told nothing and starts its own.
func (s *state) serve(step Step) []string {
	if len(s.run.Provider.Argv) == 0 {
		return nil
	}
	if s.provider != nil && slices.Equal(s.provider.env, step.Env) {
		return []string{s.provider.attach}
	}
	s.stopProvider()
	if err := s.startProvider(step); err != nil {
		complain("start the provider", err)
		s.stopProvider()
		return nil
	}
	return []string{s.provider.attach}
}

func (s *state) startProvider(step Step) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	err = s.launchProvider(step, write)
	if err = errors.Join(err, write.Close()); err != nil {
		return errors.Join(err, read.Close())
	}
	lines := make(chan string, 1)
	go firstLine(read, lines)
	timer := time.NewTimer(providerPatience)
	defer timer.Stop()
	for {
		select {
		case line := <-lines:
			return s.attach(line)
		case <-timer.C:
			return errors.New("it did not say where it listens")
		case word := <-s.words:
			if s.obey(word); s.killed {
				return errors.New("it was killed")
			}
		}
	}
}

func (s *state) launchProvider(step Step, out *os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	log, err := os.OpenFile(s.run.Provider.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	files := make([]*os.File, LockFD+1)
	files[0], files[1], files[2], files[LockFD] = null, out, log, s.lock
	process, err := os.StartProcess(s.run.Provider.Argv[0], s.run.Provider.Argv, &os.ProcAttr{
		Dir: step.Dir, Env: append(slices.Clone(step.Env), cookie, "PLUGIN_PROTOCOL_VERSIONS=5"),
		Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return err
	}
	s.provider = &served{process: process, env: step.Env}
	return nil
}

// firstLine sends the first line, and reads on, because a provider must not
// stand still for want of a reader.
func firstLine(read *os.File, lines chan<- string) {
	defer read.Close()
	var line []byte
	sent := false
	buffer := make([]byte, 1024)
	for {
		n, err := read.Read(buffer)
		for _, c := range buffer[:n] {
			if c == '\n' && !sent {
				lines <- string(line)
				sent = true
			}
			if !sent {
				line = append(line, c)
			}
		}
		if err != nil {
			if !sent {
				lines <- ""
			}
			return
		}
	}
}

// attach reads the handshake, "1|5|unix|/path|grpc|…".
func (s *state) attach(line string) error {
	fields := fieldsOf(line)
	if len(fields) < 5 || fields[1] != "5" || fields[2] != "unix" || fields[4] != "grpc" {
		return errors.New("its handshake is not understood: " + line)
	}
	s.provider.socket = fields[3]
	text := []byte("TF_REATTACH_PROVIDERS={")
	for i, address := range s.run.Provider.Addresses {
		if i > 0 {
			text = append(text, ',')
		}
		text = quote(text, address)
		text = append(text, `:{"Protocol":"grpc","ProtocolVersion":5,"Test":true,"Pid":`...)
		text = strconv.AppendInt(text, int64(s.provider.process.Pid), 10)
		text = append(text, `,"Addr":{"Network":"unix","String":`...)
		text = quote(text, s.provider.socket)
		text = append(text, "}}"...)
	}
	s.provider.attach = string(append(text, '}'))
	return nil
}

func fieldsOf(line string) []string {
	fields, start := []string{}, 0
	for i := range len(line) + 1 {
		if i == len(line) || line[i] == '|' {
			fields = append(fields, line[start:i])
			start = i + 1
		}
	}
	return fields
}

// stopProvider ends the provider and removes what it leaves.
func (s *state) stopProvider() {
	if s.provider == nil {
		return
	}
	pid, socket := s.provider.process.Pid, s.provider.socket
	s.provider = nil
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	waitFor(pid)
	if socket != "" {
		_ = os.Remove(socket)
	}
}

// providerPid is 0 when none runs.
func (s *state) providerPid() int {
	if s.provider == nil {
		return 0
	}
	return s.provider.process.Pid
}
