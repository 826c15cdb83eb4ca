package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"coder/internal/enginetest"
	"coder/server/servertest"
)

// patience is how long a story waits for something to become so.
const patience = 3 * time.Minute

// TestStories runs the stories of testdata/stories: the real binary against a
// real server, as a person or a script uses it.
func TestStories(t *testing.T) {
	t.Parallel()
	// Servers and provisioners of stories find the engine as anywhere else.
	engines := filepath.Dir(enginetest.Path(t))
	runStories(t, "testdata/stories", buildBinary(t)+string(os.PathListSeparator)+engines, map[string]string{"TF_CLI_CONFIG_FILE": ""})
}

// runStories runs the stories of a directory with the binary in bin, which
// comes first on PATH, each in a home of its own.
func runStories(t *testing.T, dir, bin string, env map[string]string) {
	commands := map[string]func(*testscript.TestScript, bool, []string){
		"server":      serverCommand(t),
		"halt":        haltServer,
		"lose":        loseServer,
		"website":     website,
		"certificate": certificate,
		"tarball":     tarball,
		"sql":         runSQL,
		"scrape":      scrape,
		"eventually":  eventually,
		"keep":        keep,
		"terminate":   terminate,
		"run":         runPlain,
		"json":        runJSON,
		"refused":     runRefused,
		"covered":     covered,

		"pack-provider": packProvider,
		"flip-byte":     flipByte,
		"cut-rotation":  cutRotation,

		"old-provisioner": oldProvisioner,
		"pack-objects":    packObjects,
		"late-build":      lateBuild,
	}
	upgrade, err := filepath.Abs(filepath.Join("testdata", "upgrade"))
	require.NoError(t, err)
	maps.Copy(commands, linuxCommands())
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("PASSWORD", servertest.Password)
			e.Setenv("UPGRADE", upgrade)
			e.Setenv("TZ", "UTC")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			for name, value := range env {
				e.Setenv(name, value)
			}
			e.Values[serversKey{}] = &servers{}
			e.Values[coverageKey{}] = &coverage{}
			linuxValues(e)
			return os.MkdirAll(home, 0o755)
		},
		Cmds: commands,
	})
}

// buildBinary builds the binary once for all stories, with the race detector
// where the test itself has it.
func buildBinary(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"build", "-o", filepath.Join(dir, "coder")}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "..")...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

// serversKey finds the servers of a story.
type serversKey struct{}

// servers are those of one story, the newest last.
type servers struct{ running []*serverProcess }

type serverProcess struct {
	cmd     *exec.Cmd
	log     *os.File
	drained chan struct{}
	stdout  bytes.Buffer
	ended   bool
}

// newest is the server that was started last.
func newest(ts *testscript.TestScript) *serverProcess {
	all := ts.Value(serversKey{}).(*servers).running
	if len(all) == 0 {
		ts.Fatalf("no server was started")
	}
	return all[len(all)-1]
}

// end sends a signal and waits for the end.
func (p *serverProcess) end(signal os.Signal) error {
	p.ended = true
	_ = p.cmd.Process.Signal(signal)
	<-p.drained
	return errors.Join(p.cmd.Wait(), p.log.Close())
}

// serverCommand is the command `server [flags]`: it starts a server on a free
// port, sets URL and ADDRESS, and, unless -fresh is the first word, signs the first user
// in. The server is stopped at the end of the story, and must end well.
func serverCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("server cannot be negated")
		}
		startServer(t, ts, args)
	}
}

func startServer(t *testing.T, ts *testscript.TestScript, args []string) {
	fresh := len(args) > 0 && args[0] == "-fresh"
	if fresh {
		args = args[1:]
	}
	cmd := command(ts, append([]string{"server", "--http-address", "127.0.0.1:0"}, args...)...)
	log, err := os.OpenFile(ts.MkAbs("server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &serverProcess{cmd: cmd, log: log, drained: make(chan struct{})}
	lines := bufio.NewReader(io.TeeReader(out, &p.stdout))
	url := ""
	for url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			ts.Fatalf("the server ended: %v\n%s", cmd.Wait(), ts.ReadFile("server.log"))
		}
		if m := regexp.MustCompile(`View the Web UI: (\S+)`).FindStringSubmatch(line); m != nil {
			url = m[1]
		}
	}
	go func() {
		defer close(p.drained)
		_, _ = io.Copy(io.Discard, lines)
	}()
	all := ts.Value(serversKey{}).(*servers)
	all.running = append(all.running, p)
	ts.Defer(func() {
		if p.ended {
			return
		}
		if err := p.end(syscall.SIGTERM); err != nil {
			t.Errorf("%s: the server did not end well: %v\n%s", ts.Name(), err, ts.ReadFile("server.log"))
		}
	})
	ts.Setenv("URL", url)
	ts.Setenv("ADDRESS", strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://"))
	coverageOf(ts).add(args)
	if fresh {
		return
	}
	ts.Check(ts.Exec("coder", "login", url, "--first-user-username", "admin", "--first-user-email", "admin@example.com",
		"--first-user-password", servertest.Password))
}

// command is the binary with the story's environment.
func command(ts *testscript.TestScript, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(firstOf(ts.Getenv("PATH")), "coder"), args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "TZ", "CODER_URL", "CODER_SESSION_TOKEN", "CODER_ORGANIZATION", "CODER_CONFIG_DIR", "CODER_DEPLOYMENT_KEY", "SSL_CERT_FILE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

func firstOf(path string) string {
	first, _, _ := strings.Cut(path, string(os.PathListSeparator))
	return first
}

// eventually is the command `eventually regexp coder args...`: it repeats the
// command until its standard output matches.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[1] != "coder" {
		ts.Fatalf("usage: eventually regexp coder args...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		out, err := command(ts, args[2:]...).CombinedOutput()
		if want.Match(out) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%q never came (%v); last: %s", args[0], err, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// keep is the command `keep NAME [regexp]`: it sets NAME to the last line of
// the standard output of the command before, or to what the group matches.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: keep NAME [regexp]")
	}
	out := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) == 1 {
		ts.Setenv(args[0], out[strings.LastIndex(out, "\n")+1:])
		return
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(out)
	if m == nil {
		ts.Fatalf("%q is not in %s", args[1], out)
	}
	ts.Setenv(args[0], m[len(m)-1])
}

// terminate is the command `terminate word`: it sends SIGTERM to the command
// in the background that has the word among its arguments.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: terminate word")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if slices.Contains(cmd.Args, args[0]) {
			ts.Check(cmd.Process.Signal(syscall.SIGTERM))
			coverageOf(ts).add(cmd.Args[slices.IndexFunc(cmd.Args, func(arg string) bool { return filepath.Base(arg) == "coder" })+1:])
			return
		}
	}
	ts.Fatalf("no command in the background has the argument %q", args[0])
}
