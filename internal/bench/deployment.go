package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"coder/client"
)

const password = "a-long-Password-4-benchmarks"

// deployment is a server of the binary with an organization and, when asked
// for, a remote daemon.
type deployment struct {
	url    string
	owner  *client.Client
	org    client.Organization
	server *exec.Cmd
	// idle is the server's memory when nobody has asked it for anything.
	idle    float64
	daemon  *exec.Cmd
	builder builder
}

// startServer returns when the server answers, with the time that took.
func startServer(ctx context.Context, binary, dir string) (*exec.Cmd, string, time.Duration, error) {
	begun := time.Now()
	cmd := exec.CommandContext(ctx, binary, "server", "--http-address", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--cache-dir", filepath.Join(dir, "cache"), "--provisioner-daemons", "0", "--dangerous-disable-rate-limits")
	cmd.Env = clean()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", 0, err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", 0, err
	}
	scanner, url := bufio.NewScanner(out), ""
	for url == "" && scanner.Scan() {
		url, _ = strings.CutPrefix(scanner.Text(), "Started HTTP listener at ")
		if !strings.HasPrefix(url, "http") {
			url = ""
		}
	}
	if url == "" {
		return nil, "", 0, errors.New("the server did not start")
	}
	for {
		reply, err := http.Get(url + "/healthz")
		if err == nil {
			reply.Body.Close()
			return cmd, url, time.Since(begun), nil
		}
		if time.Since(begun) > 30*time.Second {
			return nil, "", 0, err
		}
	}
}

// clean is the environment without what would steer the binary.
func clean() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CODER_") {
			env = append(env, e)
		}
	}
	return env
}

func deploy(ctx context.Context, binary, dir string) (*deployment, error) {
	cmd, url, _, err := startServer(ctx, binary, dir)
	if err != nil {
		return nil, err
	}
	d := &deployment{url: url, server: cmd, idle: memory(cmd.Process.Pid)}
	if err := d.signIn(ctx); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

func (d *deployment) signIn(ctx context.Context) error {
	anonymous, err := client.New(d.url, client.Options{})
	if err != nil {
		return err
	}
	if _, err := anonymous.CreateFirstUser(ctx, client.CreateFirstUserRequest{Email: "bench@example.com", Username: "bench", Password: password}); err != nil {
		return err
	}
	session, err := anonymous.LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: "bench@example.com", Password: password})
	if err != nil {
		return err
	}
	// The API's rate limits are lifted as an owner may lift them.
	d.owner, err = client.New(d.url, client.Options{Token: session.SessionToken, Header: http.Header{client.HeaderBypassRateLimit: {"true"}}})
	if err != nil {
		return err
	}
	d.org, err = d.owner.CreateOrganization(ctx, client.CreateOrganizationRequest{Name: "bench"})
	return err
}

// join starts a daemon with a key of the organization, beside the server as a
// remote one would be.
func (d *deployment) join(ctx context.Context, binary, dir, engine string, env ...string) error {
	key, err := d.owner.CreateProvisionerKey(ctx, d.org.Name, client.CreateProvisionerKeyRequest{Name: "bench"})
	if err != nil {
		return err
	}
	d.daemon = d.daemonCommand(ctx, binary, dir, key.Key, "--terraform-path", engine)
	d.daemon.Env = append(d.daemon.Env, env...)
	if err := d.daemon.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		daemons, err := d.owner.ProvisionerDaemons(ctx, d.org.Name, client.ProvisionerDaemonsRequest{})
		if err == nil && len(daemons) > 0 {
			return nil
		}
	}
	return errors.New("the daemon did not join")
}

// daemonCommand is a daemon of the binary, whose directories are kept for the
// next one.
func (d *deployment) daemonCommand(ctx context.Context, binary, dir, key string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, append([]string{"provisioner", "start", "--cache-dir", filepath.Join(dir, "daemon"), "--spool-dir", filepath.Join(dir, "spool")}, args...)...)
	cmd.Env = append(clean(), "CODER_URL="+d.url, "CODER_PROVISIONER_DAEMON_KEY="+key)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

func (d *deployment) stop() {
	for _, cmd := range []*exec.Cmd{d.daemon, d.server} {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			_ = cmd.Wait()                          // its status says nothing new
		}
	}
}

// push imports a template's source and waits for the end of it.
func (d *deployment) push(ctx context.Context, name, source string) (client.TemplateVersion, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "main.tf", Mode: 0o600, Size: int64(len(source))}), write(w, source), w.Close()); err != nil {
		return client.TemplateVersion{}, err
	}
	file, err := d.owner.Upload(ctx, "application/x-tar", &b)
	if err != nil {
		return client.TemplateVersion{}, err
	}
	v, err := d.owner.CreateTemplateVersion(ctx, d.org.Name, client.CreateTemplateVersionRequest{Name: name, StorageMethod: "file", FileID: &file.ID, Provisioner: "terraform"})
	if err != nil {
		return client.TemplateVersion{}, err
	}
	for !v.Job.Ended() {
		time.Sleep(20 * time.Millisecond)
		if v, err = d.owner.TemplateVersion(ctx, v.ID); err != nil {
			return v, err
		}
	}
	if v.Job.Status != client.JobSucceeded {
		return v, fmt.Errorf("import %s: %s", name, v.Job.Error)
	}
	return v, nil
}

func write(w *tar.Writer, text string) error {
	_, err := w.Write([]byte(text))
	return err
}

// memory is the resident memory of a process in MiB.
func memory(pid int) float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			return kib / 1024
		}
	}
	return 0
}

// clockTick is the unit in which Linux reports processor time.
const clockTick = 10 * time.Millisecond

// processorTime is that of a process and of its ended children.
func processorTime(pid int) time.Duration {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name of the program may hold spaces; it ends with the last bracket.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	var ticks int
	for _, field := range fields[11:15] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

// daemonHeader is the credential of a daemon.
func daemonHeader(key string) http.Header { return http.Header{client.HeaderDaemonKey: {key}} }
