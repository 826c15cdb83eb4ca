// Screenshots makes the pictures of the docs: a throwaway deployment of the
// real binary, filled by its own commands, seen through a real Chromium.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"coder/internal/browser"
)

const password = "Correct-Horse-Battery-9"

// picture is one page as the docs show it.
type picture struct {
	name, path string
	width      int64
	dark       bool
}

var pictures = []picture{
	{"workspaces", "/workspaces?q=", 1100, false},
	{"workspace", "/@ada/api-server", 1100, false},
	{"new-workspace", "/templates/data-platform/minimal/workspace", 1100, false},
	{"templates", "/templates", 1100, false},
	{"provisioners", "/organizations/data-platform/provisioners", 1100, false},
	{"members", "/organizations/data-platform/members", 1100, true},
	{"workspace-narrow", "/@ada/api-server", 375, true},
}

func main() {
	binary := flag.String("binary", "./coder", "the binary to look at")
	out := flag.String("out", "docs/pictures", "the directory of the pictures")
	every := flag.Bool("every", false, "take one picture of every kind of page, wide and narrow, light and dark, and name what is wrong with it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *binary, *out, *every); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary, out string, every bool) error {
	dir, err := os.MkdirTemp("", "coder-pictures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	s := &stage{ctx: ctx, binary: binary, dir: dir}
	defer s.stop()
	if err := s.start(); err != nil {
		return err
	}
	s.fill()
	if every {
		s.crowd()
	}
	if s.err != nil {
		return s.err
	}
	if every {
		return s.shootEvery(out)
	}
	return s.shoot(out)
}

// stage is a deployment to look at. The first error ends what follows.
type stage struct {
	ctx              context.Context
	binary, dir, url string
	processes        []*exec.Cmd
	err              error
}

func (s *stage) environment(more ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CODER_") {
			env = append(env, e)
		}
	}
	return append(append(env, "CODER_CONFIG_DIR="+filepath.Join(s.dir, "config"), "CODER_FIRST_USER_PASSWORD="+password, "CODER_LOGIN_PASSWORD="+password), more...)
}

func (s *stage) start() error {
	cmd := exec.CommandContext(s.ctx, s.binary, "server", "--http-address", "127.0.0.1:0", "--data-dir", filepath.Join(s.dir, "data"), "--provisioner-daemons", "0")
	cmd.Env = s.environment()
	log, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.processes = append(s.processes, cmd)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "View the Web UI: "); ok {
			s.url = url
			go func() {
				for lines.Scan() { // keep the pipe empty
				}
			}()
			return nil
		}
	}
	return errors.New("the server did not start")
}

func (s *stage) stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		_ = s.processes[i].Process.Signal(syscall.SIGTERM) // it may have ended
		_ = s.processes[i].Wait()                          // its status says nothing new
	}
}

// coder runs a command and returns the last line of its output.
func (s *stage) coder(args ...string) string {
	if s.err != nil {
		return ""
	}
	cmd := exec.CommandContext(s.ctx, s.binary, args...)
	cmd.Env = s.environment()
	text, err := cmd.Output()
	if err != nil {
		s.err = fmt.Errorf("coder %s: %w: %s", strings.Join(args, " "), err, text)
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// fill makes a small company.
func (s *stage) fill() {
	s.coder("login", s.url, "--first-user-email", "ada@example.com", "--first-user-username", "ada", "--first-user-full-name", "Ada Lovelace")
	for _, org := range []string{"data-platform", "mobile"} {
		s.coder("organizations", "create", org)
	}
	for _, name := range []string{"grace", "katherine", "dorothy"} {
		s.coder("users", "create", "--username", name, "--email", name+"@example.com", "--password", password, "--org", "data-platform")
	}
	s.coder("organizations", "members", "edit-roles", "grace", "organization-admin", "--org", "data-platform")
	key := s.coder("provisioner", "keys", "create", "data-cluster-key", "--org", "data-platform")
	for _, name := range []string{"cluster-a", "cluster-b"} {
		s.daemon(name, key)
	}
	source := filepath.Join(s.dir, "minimal")
	s.coder("templates", "init", "--id", "minimal", source)
	s.coder("templates", "push", "minimal", "--org", "data-platform", "--directory", source, "--yes")
	for _, name := range []string{"api-server", "notebook", "pipeline"} {
		s.coder("create", name, "--template", "minimal", "--org", "data-platform", "--use-parameter-defaults", "--yes")
	}
	s.coder("stop", "pipeline", "--yes")
}

func (s *stage) daemon(name, key string) {
	if s.err != nil {
		return
	}
	cmd := exec.CommandContext(s.ctx, s.binary, "provisionerd", "start", "--name", name, "--cache-dir", filepath.Join(s.dir, "cache"))
	cmd.Env = s.environment("CODER_URL="+s.url, "CODER_PROVISIONER_DAEMON_KEY="+key)
	if s.err = cmd.Start(); s.err == nil {
		s.processes = append(s.processes, cmd)
	}
}

// signedIn is a browser of the owner.
func (s *stage) signedIn() (*browser.Browser, error) {
	b, err := browser.Start(s.ctx, s.url)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(b.Open("/login"), b.Fill("Email", "ada@example.com"), b.Fill("Password", password), b.Click("Sign in"), b.See("Workspaces")); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (s *stage) shoot(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	b, err := s.signedIn()
	if err != nil {
		return err
	}
	defer b.Close()
	for _, p := range pictures {
		if err := errors.Join(b.Look(p.width, p.dark), b.Open(p.path)); err != nil {
			return err
		}
		png, err := b.Picture()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, p.name+".png"), png, 0o644); err != nil {
			return err
		}
		fmt.Println(p.name, len(png)>>10, "KiB")
	}
	return nil
}
