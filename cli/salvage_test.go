package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"coder/client"
)

// packObjects is the command `pack-objects dir config`: it puts the provider
// whose resources are files into a mirror, and writes a configuration of the
// engine that looks nowhere else.
func packObjects(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pack-objects dir config")
	}
	packScript(ts, args[0], args[1], "chaos.invalid/coder/chaos", fmt.Sprintf("exec '%s' exp chaos-objects\n", filepath.Join(firstOf(ts.Getenv("PATH")), "coder")))
}

// lateBuild is the command `late-build workspace dir arg...`: a provisioner
// takes a build of the workspace, loses it, and its engine works on all the
// same, on the template in dir and with these arguments to its apply. Then the
// state of that arrives at the server.
func lateBuild(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: late-build workspace dir arg...")
	}
	ctx, dir := context.Background(), ts.MkAbs(args[1])
	owner, err := client.New(ts.Getenv("URL"), client.Options{Token: ts.Getenv("CODER_SESSION_TOKEN")})
	ts.Check(err)
	w, err := owner.WorkspaceByOwnerAndName(ctx, client.Me, args[0])
	ts.Check(err)
	daemon, err := client.New(ts.Getenv("URL"), client.Options{Header: http.Header{client.HeaderDaemonKey: {ts.Getenv("CODER_PROVISIONER_DAEMON_KEY")}}})
	ts.Check(err)
	joined, err := daemon.RegisterDaemon(ctx, client.RegisterDaemonRequest{
		Name: "late", Version: "v0", APIVersion: "1.0", Provisioners: []string{client.ProvisionerTerraform}, HostID: "late",
	})
	ts.Check(err)
	_, err = owner.CreateWorkspaceBuild(ctx, w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	ts.Check(err)
	job, err := daemon.AcquireJob(ctx, joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	ts.Check(err)
	if job == nil {
		ts.Fatalf("no job was handed out")
	}
	attempt := daemon.Attempt(job.AttemptID, job.Secret)
	ts.Check(attempt.Confirm(ctx))
	ts.Check(attempt.StartEngine(ctx))
	_, err = attempt.Fail(ctx, client.FailJobRequest{Error: "the host fell silent", EngineDead: true})
	ts.Check(err)
	ts.Check(daemon.DeregisterDaemon(ctx, joined.ID))

	path := filepath.Join(dir, "terraform.tfstate")
	ts.Check(os.WriteFile(path, job.State, 0o600))
	runEngine(ts, dir, "init", "-input=false")
	runEngine(ts, dir, append([]string{"apply", "-input=false", "-auto-approve"}, args[2:]...)...)
	state, err := os.ReadFile(path)
	ts.Check(err)
	sum := sha256.Sum256(state)
	ts.Check(attempt.PutState(ctx, client.StateRef{N: 1, SHA256: hex.EncodeToString(sum[:])}, state))
}

func runEngine(ts *testscript.TestScript, dir string, args ...string) {
	for _, place := range filepath.SplitList(ts.Getenv("PATH")) {
		for _, name := range []string{"terraform", "tofu"} {
			engine := filepath.Join(place, name)
			if info, err := os.Stat(engine); err != nil || info.IsDir() {
				continue
			}
			cmd := exec.Command(engine, args...)
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TF_CLI_CONFIG_FILE=" + ts.Getenv("TF_CLI_CONFIG_FILE")}
			out, err := cmd.CombinedOutput()
			ts.Logf("%s %s\n%s", name, strings.Join(args, " "), out)
			ts.Check(err)
			return
		}
	}
	ts.Fatalf("no engine is on PATH")
}
