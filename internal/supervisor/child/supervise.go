//go:build linux || darwin

package child

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Running the supervisor from here is what makes it start in a few
// milliseconds; see the package comment.
var _ = superviseIfAsked()

func superviseIfAsked() struct{} {
	if len(os.Args) == 2 && os.Args[1] == Command {
		os.Exit(supervise())
	}
	return struct{}{}
}

// state of one supervisor. One goroutine owns it; others send to it.
type state struct {
	folder string
	run    Run
	exit   exit
	words  chan string
	lock   *os.File

	engine      *os.Process
	provider    *served
	interrupted bool
	killed      bool
	proceed     bool
	// leased is when the last acknowledged renewal was sent, as far as it is
	// known; unleased is how often in a row that could not be read.
	leased   time.Duration
	unleased int
	// full: the disk took no more; roomUpTo is how far a step's output has room.
	full     bool
	roomUpTo int64
}

// supervise is the whole life of a supervisor; the result is its exit status.
func supervise() int {
	becomeSubreaper()
	// Whoever stops the daemon's whole group means the daemon: the engine's
	// one gentle signal comes from here or from nowhere.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	if err := receive(); err != nil {
		complain("receive an attempt", err)
		return 1
	}
	lock := os.NewFile(LockFD, LockFile)
	defer lock.Close()
	s := &state{lock: lock, words: make(chan string, 16)}
	if begun, err := s.open(); err != nil || !begun {
		if err != nil {
			complain("read what to run", err)
		}
		return 1
	}
	for _, step := range s.run.Steps {
		if !s.pass(step) || s.runStep(step) != 0 {
			break
		}
	}
	s.stopProvider()
	s.exit.finished = true
	if err := s.record(); err != nil {
		complain("record the end", err)
		return 1
	}
	return 0
}

// complain goes to a file in the attempt's folder.
func complain(what string, err error) {
	_, _ = os.Stderr.WriteString("supervise engine: " + what + ": " + err.Error() + "\n")
}

// receive waits for an attempt's lock and log, and takes their places. A
// daemon that ends before it has an attempt closes the socket.
func receive() error {
	rights := make([]byte, syscall.CmsgSpace(2*4))
	var size int
	var err error
	for {
		if _, size, _, _, err = syscall.Recvmsg(0, make([]byte, 1), rights, 0); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return err
	}
	files, err := unpack(rights[:size])
	if err != nil {
		return err
	}
	for _, place := range []struct{ from, to int }{{files[0], LockFD}, {files[1], 1}, {files[1], 2}} {
		if err := duplicate(place.from, place.to); err != nil {
			return err
		}
	}
	syscall.CloseOnExec(LockFD)
	return errors.Join(syscall.Close(files[0]), syscall.Close(files[1]))
}

func unpack(rights []byte) ([]int, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("the daemon is gone")
	}
	files, err := syscall.ParseUnixRights(&messages[0])
	if err == nil && len(files) != 2 {
		err = errors.New("the lock and the log were not sent")
	}
	return files, err
}

// open waits for the run, and tells whether there is one.
func (s *state) open() (begun bool, err error) {
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		return false, err
	}
	if s.run, begun, err = decodeRun(content); err != nil || !begun {
		return false, err
	}
	s.folder = s.run.Folder
	if err := os.Chdir(s.folder); err != nil {
		return false, err
	}
	// Open for both, so that it neither waits for a writer nor ever ends.
	pipe, err := os.OpenFile(s.folder+"/"+ControlFile, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	if s.leased, err = ReadLease(s.folder); err != nil {
		return false, err
	}
	go s.listen(pipe)
	return true, nil
}

// listen passes on the lines of the control pipe.
func (s *state) listen(pipe *os.File) {
	var word, buffer []byte
	buffer = make([]byte, 256)
	for {
		n, err := pipe.Read(buffer)
		for _, c := range buffer[:n] {
			if c != '\n' {
				word = append(word, c)
				continue
			}
			s.words <- string(word)
			word = nil
		}
		if err != nil {
			complain("read the control pipe", err)
			return
		}
	}
}

// pass waits at a step's gate, and tells whether the step may start.
func (s *state) pass(step Step) bool {
	ticker := time.NewTicker(s.tick())
	defer ticker.Stop()
	for step.Gate && !s.proceed && !s.interrupted && !s.killed {
		select {
		case word := <-s.words:
			s.obey(word)
		case <-ticker.C:
			s.checkLease()
		}
	}
	for len(s.words) > 0 {
		s.obey(<-s.words)
	}
	return !s.interrupted && !s.killed
}

// runStep returns the engine's exit status, -1 when it has none.
func (s *state) runStep(step Step) int {
	attach := s.serve(step)
	result := stepExit{name: step.Name, startedAt: time.Now(), code: -1}
	if s.interrupted || s.killed {
		attach = nil
	}
	err := s.keepRoom(step, os.O_CREATE)
	if IsFull(err) {
		s.runFull()
		err = errors.New("its output and its state would have no room: " + err.Error())
	}
	var ended <-chan syscall.WaitStatus
	if err == nil {
		ended, err = s.start(step, attach)
	}
	if err != nil {
		result.err = err.Error()
	} else {
		status := s.attend(step, ended)
		result.code = status.ExitStatus()
		if status.Signaled() {
			result.signal = status.Signal().String()
		}
		s.clear(status.Signaled())
		s.noteFence()
	}
	s.giveRoomBack(step)
	result.endedAt = time.Now()
	result.interrupted, result.killed = s.interrupted, s.killed
	s.exit.steps = append(s.exit.steps, result)
	if err = s.record(); IsFull(err) {
		s.runFull()
		err = s.record()
	}
	if err != nil {
		complain("record the end of "+step.Name, err)
	}
	return result.code
}

// start runs the engine in a process group of its own, with the lock at the
// same number as here.
func (s *state) start(step Step, attach []string) (<-chan syscall.WaitStatus, error) {
	files := make([]*os.File, LockFD+1)
	files[LockFD] = s.lock
	var err error
	if files[0], err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	defer files[0].Close()
	for fd, name := range []string{1: step.Stdout, 2: step.Stderr} {
		if fd == 0 {
			continue
		}
		if files[fd], err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return nil, err
		}
		defer files[fd].Close()
	}
	process, err := os.StartProcess(step.Argv[0], step.Argv, &os.ProcAttr{
		Dir: step.Dir, Env: append(slices.Clone(step.Env), attach...), Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, err
	}
	s.engine = process
	ended := make(chan syscall.WaitStatus, 1)
	go func() { ended <- waitFor(process.Pid) }()
	return ended, nil
}

// attend obeys and watches the lease until the engine has ended.
func (s *state) attend(step Step, ended <-chan syscall.WaitStatus) syscall.WaitStatus {
	defer func() { s.engine = nil }()
	ticker := time.NewTicker(min(s.tick(), roomTick))
	defer ticker.Stop()
	for {
		select {
		case status := <-ended:
			return status
		case word := <-s.words:
			s.obey(word)
		case <-ticker.C:
			s.checkLease()
			s.watchRoom(step)
		}
	}
}

func (s *state) obey(word string) {
	switch word {
	case WordInterrupt:
		s.interrupt()
	case WordKill:
		s.kill()
	case WordProceed:
		s.proceed = true
	case WordFull:
		s.runFull()
	}
}

// interrupt signals the engine's own process once: a second signal would cut
// off what it is creating.
func (s *state) interrupt() {
	if s.interrupted || s.killed {
		return
	}
	s.interrupted = true
	if s.engine != nil {
		_ = s.engine.Signal(syscall.SIGINT)
	}
}

func (s *state) kill() {
	s.killed = true
	if s.engine != nil {
		_ = syscall.Kill(-s.engine.Pid, syscall.SIGKILL)
	}
	killChildren(0)
}

// checkLease ends an engine whose daemon hears nothing from the server. After
// a suspend more than one deadline may be over: the latest one counts.
func (s *state) checkLease() {
	silent := Clock() - s.readLease()
	over := func(limit time.Duration) bool { return limit > 0 && silent >= limit }
	switch {
	case over(s.run.KillAfter):
		if s.killed {
			return
		}
		s.exit.reason = silence(silent)
		if over(s.run.Horizon) {
			s.exit.reason = ReasonFence
		}
		s.kill()
	case over(s.run.InterruptAfter) && !s.interrupted:
		s.exit.reason = silence(silent)
		s.interrupt()
	}
}

// noteFence says that a step has run on past the horizon, whoever ended it:
// it may have ended, or been killed by its daemon, before the lease was looked at.
func (s *state) noteFence() {
	if s.run.Horizon > 0 && Clock()-s.readLease() >= s.run.Horizon {
		s.exit.reason = ReasonFence
	}
}

// readLease returns the newest lease that could be read. A folder that can be
// read no more takes no renewals, nor states: the engine is interrupted.
func (s *state) readLease() time.Duration {
	sent, err := ReadLease(s.folder)
	if err == nil {
		s.leased, s.unleased = sent, 0
		return s.leased
	}
	s.unleased++
	if s.unleased == 2 || s.unleased == 1 && errors.Is(err, os.ErrNotExist) {
		complain("read the lease", err)
		if s.exit.reason == "" && !s.interrupted && !s.killed {
			s.exit.reason = ReasonGone
		}
		s.interrupt()
	}
	return s.leased
}

// tick is short against every deadline, and no longer than a second, because
// the timer does not run while the host sleeps.
func (s *state) tick() time.Duration {
	tick := time.Second
	for _, limit := range []time.Duration{s.run.InterruptAfter, s.run.KillAfter} {
		if limit > 0 {
			tick = min(tick, limit/8)
		}
	}
	return max(tick, 5*time.Millisecond)
}

// clear waits for what the engine left behind, and kills it when the engine
// was killed, whose work nobody records any more, or when it lingers: the
// lock must not outlive the step.
func (s *state) clear(engineKilled bool) {
	deadline := Clock() + s.run.Linger
	for wait := time.Millisecond; s.reapChildren(); wait = min(2*wait, 50*time.Millisecond) {
		if engineKilled || s.killed || Clock() >= deadline {
			killed := killChildren(s.providerPid())
			if !engineKilled && !s.killed {
				s.exit.stragglers = max(s.exit.stragglers, killed)
			}
		}
		select {
		case word := <-s.words:
			s.obey(word)
		case <-time.After(wait):
		}
	}
}

func (s *state) record() error {
	return Replace(s.folder+"/"+ExitFile, s.exit.encode(), true)
}

func silence(how time.Duration) string {
	return "nothing was heard from the server for " + how.Round(time.Second).String()
}

// ReadLease reads when the last acknowledged renewal was sent.
func ReadLease(folder string) (time.Duration, error) {
	content, err := os.ReadFile(folder + "/" + LeaseFile)
	if err != nil {
		return 0, err
	}
	nanoseconds, err := strconv.ParseInt(string(content), 10, 64)
	return time.Duration(nanoseconds), err
}

// waitFor reaps one child, whatever else the process has for children.
func waitFor(pid int) syscall.WaitStatus {
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return status
		}
	}
}

// reapChildren tells whether any child is left besides the provider.
func (s *state) reapChildren() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case pid > 0 && pid == s.providerPid():
			s.provider = nil
		case err == syscall.EINTR || pid > 0:
		case err != nil:
			return false
		default:
			return othersLive(s.providerPid())
		}
	}
}
