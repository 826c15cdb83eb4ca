package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"

	"coder/client"
	"coder/internal/atomicfile"
)

// Env is all that a command has of the world around it.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// IsTerminal says whether one of the three streams is a terminal.
	IsTerminal func(stream any) bool
	// Getenv reads the environment; empty is unset.
	Getenv func(string) string
	Now    func() time.Time
	// OpenBrowser shows a page to the person, or returns why it cannot.
	OpenBrowser func(url string) error

	global      globalOptions
	sources     map[string]string // where the value of each flag is from
	lines       *bufio.Reader
	warnedBuild bool
	warnings    map[string]bool
}

// OSEnv is the environment of this process.
func OSEnv() *Env {
	return &Env{
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		IsTerminal: func(stream any) bool {
			f, ok := stream.(*os.File)
			return ok && term.IsTerminal(int(f.Fd()))
		},
		Getenv:      os.Getenv,
		Now:         time.Now,
		OpenBrowser: openBrowser,
	}
}

// globalOptions are the flags that every command takes.
type globalOptions struct {
	url                     string
	token                   string
	configDir               string
	useKeyring              bool
	verbose                 bool
	noVersionWarning        bool
	noFeatureWarning        bool
	headers                 []string
	headerCommand           string
	forceTTY                bool
	noOpen                  bool
	debugHTTP               bool
	debugOptions            bool
	version                 bool
	disableDirect           bool
	disableNetworkTelemetry bool
}

// interactive says whether questions can be asked.
func (e *Env) interactive() bool { return e.global.forceTTY || e.IsTerminal(e.Stdin) }

func (e *Env) isTTY(stream any) bool { return e.global.forceTTY || e.IsTerminal(stream) }

// outf writes a result to standard output.
func (e *Env) outf(format string, args ...any) { _, _ = fmt.Fprintf(e.Stdout, format, args...) }

// errf writes what is not a result: notices, progress, questions.
func (e *Env) errf(format string, args ...any) { _, _ = fmt.Fprintf(e.Stderr, format, args...) }

// warnf writes a warning, each text once a run.
func (e *Env) warnf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if e.warnings[text] {
		return
	}
	if e.warnings == nil {
		e.warnings = map[string]bool{}
	}
	e.warnings[text] = true
	e.errf("%s %s\n", e.paint(e.Stderr, yellow, "WARN:"), printable(text))
}

// homeDir is one of the person's own directories: what an XDG variable says,
// else a place below the home directory.
func (e *Env) homeDir(variable, below string) (string, error) {
	if dir := e.Getenv(variable); filepath.IsAbs(dir) {
		return dir, nil
	}
	home := e.Getenv("HOME")
	if home == "" {
		return "", fmt.Errorf("neither %s nor HOME is set: set one of them, so that there is a place for files", variable)
	}
	return filepath.Join(home, below), nil
}

// configDir is where the URL and the session are kept.
func (e *Env) configDir() (string, error) {
	if e.global.configDir != "" {
		return e.global.configDir, nil
	}
	below := ".config"
	if runtime.GOOS == "darwin" {
		below = "Library/Application Support"
	}
	dir, err := e.homeDir("XDG_CONFIG_HOME", below)
	return filepath.Join(dir, "coderv2"), err
}

// Names of the files in the configuration directory.
const (
	urlFile     = "url"
	sessionFile = "session"
)

func (e *Env) readConfig(name string) (string, error) {
	dir, err := e.configDir()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the stored %s: %w", name, err)
	}
	return strings.TrimSpace(string(data)), nil
}

// writeConfig replaces a file of the configuration directory as a whole; only
// the person can read it.
func (e *Env) writeConfig(name, value string) error {
	dir, err := e.configDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("store the %s: %w", name, err)
	}
	return writeFile(filepath.Join(dir, name), []byte(value), 0o600)
}

func (e *Env) removeConfig(name string) error {
	dir, err := e.configDir()
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the stored %s: %w", name, err)
	}
	return nil
}

// writeFile writes a file that is the old or the new one, whole.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := atomicfile.Write(path, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// deploymentURL is where commands go: flag, environment, then what login stored.
func (e *Env) deploymentURL() (string, error) {
	if e.global.url != "" {
		return normalizeURL(e.global.url)
	}
	stored, err := e.readConfig(urlFile)
	if err != nil {
		return "", err
	}
	if stored == "" {
		return "", errors.New("you are not logged in: run `coder login <url of the deployment>`, or set CODER_URL")
	}
	return stored, nil
}

// sessionToken is the token for a deployment. A stored one is sent to no
// other deployment than the one that it was stored for.
func (e *Env) sessionToken(deployment string) (string, error) {
	if e.global.token != "" {
		return e.global.token, nil
	}
	stored, err := e.readConfig(urlFile)
	if err != nil || stored != deployment {
		return "", err
	}
	return e.readConfig(sessionFile)
}

// Client speaks to the deployment with the session of the person, if any.
func (e *Env) Client() (*client.Client, error) {
	deployment, err := e.deploymentURL()
	if err != nil {
		return nil, err
	}
	token, err := e.sessionToken(deployment)
	if err != nil {
		return nil, err
	}
	return e.clientFor(deployment, token, nil)
}

// clientFor speaks to a deployment with a token; extra headers come last.
func (e *Env) clientFor(deployment, token string, extra http.Header) (*client.Client, error) {
	header, err := e.requestHeader(deployment)
	if err != nil {
		return nil, err
	}
	for name, values := range extra {
		header[name] = values
	}
	opts := client.Options{Token: token, Header: header, OnResponse: e.seeResponse(deployment)} //nolint:bodyclose // it sees heads only
	if e.global.debugHTTP {
		opts.HTTPClient = &http.Client{Transport: &debugTransport{next: client.DefaultTransport(), w: e.Stderr}}
	}
	return client.New(deployment, opts)
}

// normalizeURL adds the scheme that people leave out, and takes off what a
// copied address has too much.
func normalizeURL(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	if !strings.Contains(raw, "://") {
		scheme := "https://"
		if strings.HasPrefix(raw, "localhost") || strings.HasPrefix(raw, "127.0.0.1") || strings.HasPrefix(raw, "[::1]") {
			scheme = "http://"
		}
		raw = scheme + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is not the URL of a deployment: it must look like https://coder.example.com", raw)
	}
	u.RawQuery, u.Fragment = "", ""
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u.String(), nil
}
