package chaos

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"coder/client"
	"coder/internal/executable"
)

const (
	// startPatience is how long a server or a daemon may take to be there.
	startPatience = time.Minute
	// callPatience is how long a call may meet a server that is down.
	callPatience = 2 * time.Minute
)

// deployment is a server of the binary with a database of its own.
type deployment struct {
	opts   Options
	dir    string
	server *service
	// address of the server, which it has again after each restart.
	address string
	owner   *client.Client
	// serverFault is held for builds under a fault that takes the server down,
	// and shared by those under one that takes a daemon beyond the takeover
	// time: a server that starts has heard of every daemon just now.
	serverFault sync.RWMutex
	// mounted: its data has a file system of its own.
	mounted bool
}

// dataSize is room for the database of hundreds of runs, the server's reserve
// and more.
const dataSize = 192

func deploy(ctx context.Context, opts Options, dir string, mounts bool) (*deployment, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"logs", "data", "cache"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("make the throwaway deployment: %w", err)
		}
	}
	env := environment(clockVariable + "=" + filepath.Join(dir, "server.clock"))
	if opts.PostgresURL != "" {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // it never fails
		env = append(env, "CODER_PG_CONNECTION_URL="+opts.PostgresURL, "CODER_DEPLOYMENT_KEY="+hex.EncodeToString(key))
	}
	d := &deployment{opts: opts, dir: dir, address: address, server: &service{
		name: "server", binary: opts.Binary, env: env, log: filepath.Join(dir, "logs", "server.log"),
		args: []string{
			"server", "--http-address", address, "--data-dir", filepath.Join(dir, "data"), "--cache-dir", filepath.Join(dir, "cache"),
			"--provisioner-daemons", "0", "--takeover-after", opts.Horizon.String(), "--dangerous-disable-rate-limits",
		},
	}}
	if mounts && opts.PostgresURL == "" {
		if err := mountSmall(d.data(), dataSize); err != nil {
			return nil, err
		}
		d.mounted = true
	}
	if err := d.startServer(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := d.signIn(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *deployment) data() string { return filepath.Join(d.dir, "data") }

func (d *deployment) close() error {
	err := d.server.kill()
	if d.mounted {
		err = errors.Join(err, saveTree(d.data()), unmount(d.data()))
	}
	return err
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func (d *deployment) url() string { return "http://" + d.address }

// startServer returns when the server answers.
func (d *deployment) startServer(ctx context.Context) error {
	err := d.server.start(func(line string) bool { return strings.HasPrefix(line, "Started HTTP listener") })
	if err != nil {
		return err
	}
	return poll(ctx, startPatience, "the server to answer", func() (bool, error) {
		call, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url()+"/healthz", nil)
		if err != nil {
			return false, err
		}
		reply, err := http.DefaultClient.Do(call)
		if err != nil {
			return false, nil
		}
		_ = reply.Body.Close()
		return reply.StatusCode == http.StatusOK, nil
	})
}

func (d *deployment) signIn(ctx context.Context) error {
	anonymous, err := client.New(d.url(), client.Options{})
	if err != nil {
		return err
	}
	password := make([]byte, 16)
	_, _ = rand.Read(password) // it never fails
	who := client.CreateFirstUserRequest{Email: "chaos@example.com", Username: "chaos", Password: "A1-" + hex.EncodeToString(password)}
	if _, err := anonymous.CreateFirstUser(ctx, who); err != nil {
		return fmt.Errorf("make the first user of the throwaway deployment, whose database must be empty: %w", err)
	}
	session, err := anonymous.LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: who.Email, Password: who.Password})
	if err != nil {
		return err
	}
	d.owner, err = client.New(d.url(), client.Options{Token: session.SessionToken})
	return err
}

// call asks the server again as long as it is not there, or answers that it
// cannot: faults take it down at any moment.
func (d *deployment) call(ctx context.Context, what string, ask func(context.Context) error) error {
	var last error
	err := poll(ctx, callPatience, what, func() (bool, error) {
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		last = ask(one)
		if status := client.StatusCode(last); status != 0 && status < 500 {
			return false, fmt.Errorf("%s: %w", what, last)
		}
		return last == nil, nil
	})
	var slow *slowError
	if errors.As(err, &slow) && last != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return err
}

// lane is an organization with two hosts, so that another one can go on where
// one was hurt. One workspace at a time is built there.
type lane struct {
	*deployment
	// host is the one that a fault hurts.
	*host
	hosts   []*host
	number  int
	dir     string
	objects string
	// jump is how far the fault's clock jumps.
	jump     time.Duration
	org      client.Organization
	template client.Template
}

const hostsOfLane = 2

func (d *deployment) newLane(ctx context.Context, number int, mounts bool) (*lane, error) {
	dir := filepath.Join(d.dir, fmt.Sprintf("lane%d", number))
	l := &lane{deployment: d, number: number, dir: dir, objects: filepath.Join(dir, "world")}
	if err := os.MkdirAll(l.objects, 0o700); err != nil {
		return nil, err
	}
	config, err := d.provideObjects()
	if err != nil {
		return nil, err
	}
	if l.org, err = d.owner.CreateOrganization(ctx, client.CreateOrganizationRequest{Name: fmt.Sprintf("lane%d", number)}); err != nil {
		return nil, fmt.Errorf("make an organization: %w", err)
	}
	key, err := d.owner.CreateProvisionerKey(ctx, l.org.Name, client.CreateProvisionerKeyRequest{Name: "chaos"})
	if err != nil {
		return nil, fmt.Errorf("make a provisioner key: %w", err)
	}
	for i := range hostsOfLane {
		h, err := l.newHost(ctx, i, key.Key, config, mounts)
		if h != nil {
			l.hosts = append(l.hosts, h)
		}
		if err != nil {
			return nil, errors.Join(err, l.close(context.WithoutCancel(ctx)))
		}
	}
	return l, nil
}

// aimAt chooses the host that has the attempt, else one by the run's number.
func (l *lane) aimAt(run int) error {
	l.host = l.hosts[run%len(l.hosts)]
	for _, h := range l.hosts {
		attempts, err := h.attempts()
		if err != nil {
			return err
		}
		if len(attempts) > 0 {
			l.host = h
		}
	}
	return nil
}

// close ends everything of the lane.
func (l *lane) close(ctx context.Context) (err error) {
	for _, h := range l.hosts {
		err = errors.Join(err, h.close(ctx))
	}
	return err
}

// provideObjects lays out a mirror with the provider of chaos_object, which
// is this binary, and returns the engine's configuration that names it.
func (d *deployment) provideObjects() (string, error) {
	config := filepath.Join(d.dir, "engine.tfrc")
	if _, err := os.Stat(config); err == nil {
		return config, nil
	}
	folder := filepath.Join(d.dir, "mirror", objectSource, objectVersion, runtime.GOOS+"_"+runtime.GOARCH)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("lay out the provider of the objects: %w", err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s exp %s\n", shellQuote(d.opts.Binary), objectsCommand)
	path := filepath.Join(folder, "terraform-provider-chaos_v"+objectVersion)
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path    = %q\n    include = [\"chaos.invalid/*/*\"]\n  }\n  direct {\n    exclude = [\"chaos.invalid/*/*\"]\n  }\n}\n", filepath.Join(d.dir, "mirror"))
	err := errors.Join(executable.Write(path, strings.NewReader(script), 0o700), os.WriteFile(config, []byte(text), 0o600))
	if err != nil {
		return "", fmt.Errorf("lay out the provider of the objects: %w", err)
	}
	return config, nil
}

func shellQuote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// importTemplate brings the lane's template into its organization.
func (l *lane) importTemplate(ctx context.Context) error {
	source := template(l.objects)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err := w.WriteHeader(&tar.Header{Name: "main.tf", Mode: 0o600, Size: int64(len(source))})
	if err == nil {
		_, err = w.Write([]byte(source))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("pack the template: %w", err)
	}
	file, err := l.owner.Upload(ctx, "application/x-tar", &archive)
	if err != nil {
		return fmt.Errorf("upload the template: %w", err)
	}
	v, err := l.owner.CreateTemplateVersion(ctx, l.org.Name, client.CreateTemplateVersionRequest{StorageMethod: "file", FileID: &file.ID, Provisioner: "terraform"})
	if err != nil {
		return fmt.Errorf("import the template: %w", err)
	}
	err = poll(ctx, callPatience, "the template to be imported", func() (bool, error) {
		v, err = l.owner.TemplateVersion(ctx, v.ID)
		return v.Job.Ended(), err
	})
	if err != nil {
		return err
	}
	if v.Job.Status != client.JobSucceeded {
		return fmt.Errorf("import the template: %s", v.Job.Error)
	}
	l.template, err = l.owner.CreateTemplate(ctx, l.org.Name, client.CreateTemplateRequest{Name: "chaos", VersionID: v.ID})
	return err
}
