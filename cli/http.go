package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"

	"coder/client"
)

// requestHeader is what --header and --header-command add to each request.
func (e *Env) requestHeader(deployment string) (http.Header, error) {
	header := http.Header{"User-Agent": {"coder-cli/" + Version()}}
	lines := e.global.headers
	if e.global.headerCommand != "" {
		out, err := headerCommand(e.global.headerCommand, deployment)
		if err != nil {
			return nil, err
		}
		lines = append(lines[:len(lines):len(lines)], out...)
	}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("the header %q has no name and value: write it as name=value", line)
		}
		header.Add(name, value)
	}
	return header, nil
}

func headerCommand(command, deployment string) ([]string, error) {
	cmd := exec.CommandContext(context.Background(), "sh", "-c", command)
	cmd.Env = append(os.Environ(), "CODER_URL="+deployment)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run the header command %q: %w", command, err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// seeResponse warns once a run of a server of another version, and of what
// the server itself warns of.
func (e *Env) seeResponse(deployment string) func(*http.Response) {
	var mu sync.Mutex
	return func(r *http.Response) {
		mu.Lock()
		defer mu.Unlock()
		theirs := r.Header.Get(client.HeaderBuildVersion)
		if theirs != "" && !e.warnedBuild && !e.global.noVersionWarning && !sameRelease(theirs, Version()) {
			e.warnedBuild = true
			e.warnf("version mismatch: this client is %s, the server at %s is %s; take the client of the server's release, or hide this with --no-version-warning",
				Version(), deployment, theirs)
		}
		if e.global.noFeatureWarning {
			return
		}
		for _, text := range r.Header.Values(client.HeaderEntitlementsWarning) {
			e.warnf("%s", text)
		}
	}
}

// debugTransport logs requests and replies with their bodies, without secrets.
type debugTransport struct {
	next http.RoundTripper
	mu   sync.Mutex
	w    io.Writer
}

var secretHeader = regexp.MustCompile(`(?im)^((?:coder-session-token|coder-provisioner-[a-z-]+|authorization|cookie|set-cookie): ).*$`)
var secretField = regexp.MustCompile(`"(password|old_password|session_token|key|secret)":\s*"[^"]*"`)

func (d *debugTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if dump, err := httputil.DumpRequestOut(r, r.ContentLength < 64<<10); err == nil {
		d.write(dump)
	}
	reply, err := d.next.RoundTrip(r)
	if err != nil {
		d.write(fmt.Appendf(nil, "%s %s: %v\n", r.Method, r.URL.Redacted(), err))
		return nil, err
	}
	text := reply.StatusCode != http.StatusSwitchingProtocols && strings.Contains(reply.Header.Get("Content-Type"), "json")
	if dump, err := httputil.DumpResponse(reply, text); err == nil {
		d.write(dump)
	}
	return reply, nil
}

func (d *debugTransport) write(dump []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dump = secretHeader.ReplaceAll(dump, []byte("${1}(hidden)"))
	dump = secretField.ReplaceAll(dump, []byte(`"$1":"(hidden)"`))
	_, _ = d.w.Write(append(bytes.TrimRight(dump, "\r\n"), '\n', '\n'))
}
