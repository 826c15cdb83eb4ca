package agentscript_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/agentscript"
	"coder/internal/executable"
)

func TestEveryPlatformHasAScriptThatFetchesItsBinary(t *testing.T) {
	t.Parallel()
	for _, p := range agentscript.Platforms() {
		script := agentscript.Script(p.OS, p.Arch)
		require.Contains(t, script, agentscript.AccessURL+"bin/"+p.Binary())
		require.Contains(t, script, agentscript.AuthType)
		require.NotContains(t, script, "@")
	}
	require.Empty(t, agentscript.Script("plan9", "amd64"))
	require.Empty(t, agentscript.Script("darwin", "armv7"))
}

// A machine whose first download fails runs the agent after the second, with
// the variables that the agent reads. sleep is replaced, so nobody waits.
func TestTheScriptRunsTheAgentOfTheDeployment(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: install it")
	}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bin/coder-linux-amd64" || asked.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("#!/bin/sh\necho \"$@ $CODER_AGENT_AUTH $CODER_AGENT_URL\"\n"))
	}))
	defer server.Close()
	dir := t.TempDir()
	require.NoError(t, executable.Write(filepath.Join(dir, "sleep"), strings.NewReader("#!/bin/sh\n"), 0o755))

	script := strings.NewReplacer(agentscript.AccessURL, server.URL+"/", agentscript.AuthType, "token").Replace(agentscript.Script("linux", "amd64"))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "trying again in 30 seconds")
	require.Contains(t, string(out), "agent token "+server.URL+"/\n")
}

func TestAMachineWithoutADownloaderSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tool := range []string{"mktemp", "chmod"} {
		path, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(dir, tool)))
	}
	// The first sleep ends the script; nothing after it is of interest here.
	require.NoError(t, executable.Write(filepath.Join(dir, "sleep"), strings.NewReader("#!/bin/sh\nkill -TERM $PPID\n"), 0o755))
	sh, err := exec.LookPath("sh")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(sh, filepath.Join(dir, "sh")))
	cmd := exec.CommandContext(t.Context(), sh, "-c", agentscript.Script("linux", "arm64"))
	cmd.Env = []string{"PATH=" + dir, "TMPDIR=" + dir, "ACCESS_URL=http://127.0.0.1:1/", "AUTH_TYPE=token"}
	out, _ := cmd.CombinedOutput()
	require.Contains(t, string(out), "None of curl, wget and busybox is installed")
}
