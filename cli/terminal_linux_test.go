package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal is a command that runs on a pseudo-terminal of its own, as below a
// person's fingers.
type terminal struct {
	cmd    *exec.Cmd
	keys   *os.File
	closed chan struct{}

	mu     sync.Mutex
	screen bytes.Buffer
	seen   int
}

// terminalKey finds the terminal of a story.
type terminalKey struct{}

// onTerminal is the command `terminal program args...`: it starts a command
// on a new pseudo-terminal.
func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal program args...")
	}
	keys, screen := openTerminal(ts)
	t := &terminal{cmd: command(ts, args[1:]...), keys: keys, closed: make(chan struct{})}
	if args[0] != "coder" {
		path, err := exec.LookPath(args[0])
		ts.Check(err)
		t.cmd.Path, t.cmd.Args = path, args
	}
	t.cmd.Env = append(t.cmd.Env, "NO_COLOR=1", "TERM=xterm")
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = screen, screen, screen
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(t.cmd.Start())
	ts.Check(screen.Close())
	go t.read()
	ts.Defer(func() {
		_ = t.cmd.Process.Kill()
		<-t.closed
		_ = t.keys.Close()
	})
	*ts.Value(terminalKey{}).(**terminal) = t
}

// openTerminal makes a pseudo-terminal: the side of the person, and the side
// of the program.
func openTerminal(ts *testscript.TestScript) (person, program *os.File) {
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	ts.Check(unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	ts.Check(err)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	return person, program
}

// read collects the screen until nobody holds the terminal any more.
func (t *terminal) read() {
	defer close(t.closed)
	chunk := make([]byte, 4096)
	for {
		n, err := t.keys.Read(chunk)
		t.mu.Lock()
		t.screen.Write(chunk[:n])
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// shows tells whether the text stands behind what was seen before.
func (t *terminal) shows(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := strings.Index(t.screen.String()[t.seen:], text)
	if at >= 0 {
		t.seen += at + len(text)
	}
	return at >= 0
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.screen.String()
}

// theTerminal is the newest terminal of the story.
func theTerminal(ts *testscript.TestScript) *terminal {
	t := *ts.Value(terminalKey{}).(**terminal)
	if t == nil {
		ts.Fatalf("no terminal was opened")
	}
	return t
}

// sees is the command `sees text`: it waits until the text stands on the
// terminal, behind what was seen before.
func sees(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sees text")
	}
	t := theTerminal(ts)
	for deadline := time.Now().Add(patience); !t.shows(args[0]); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%q never came:\n%s", args[0], t.text())
		}
	}
}

// types is the command `types [line]`: it types the line and Enter; ^C alone
// is that key.
func types(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: types [line]")
	}
	line := strings.Join(args, " ") + "\n"
	if line == "^C\n" {
		line = "\x03"
	}
	_, err := theTerminal(ts).keys.WriteString(line)
	ts.Check(err)
}

// ends is the command `[!] ends`: it waits for the end of the command on the
// terminal, which must have the status 0 (or not, with !), and writes the
// whole screen to the file screen.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: [!] ends")
	}
	t := theTerminal(ts)
	select {
	case <-t.closed:
	case <-time.After(patience):
		ts.Fatalf("the command does not end:\n%s", t.text())
	}
	err := t.cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("screen"), []byte(t.text()), 0o600))
	if (err != nil) != neg {
		ts.Fatalf("the command ended with %v:\n%s", err, t.text())
	}
}

// linuxCommands are those that need Linux: pseudo-terminals, and limits and
// halts of what runs already.
func linuxCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"limit": limitServer, "freeze": freeze, "thaw": thaw, "terminal": onTerminal, "sees": sees, "types": types, "ends": ends,
	}
}

// linuxValues are what those commands keep.
func linuxValues(e *testscript.Env) { e.Values[terminalKey{}] = new(*terminal) }
