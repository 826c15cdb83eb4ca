//go:build linux

package provisioner_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/provisioner"
)

// runs a daemon and one job, and returns what the server knows of it.
func runOne(t *testing.T, files map[string]string, change func(*client.AcquiredJob)) (*controlPlane, *handout) {
	t.Helper()
	p := newControlPlane(t)
	job := buildOf(p.template(files), client.TransitionStart)
	change(&job)
	p.startDaemon(p.options(t.TempDir()))
	h := p.submit(job)
	p.untilEnded(h)
	return p, h
}

func asImport(job *client.AcquiredJob) {
	job.Type, job.Fence = client.JobTemplateVersionImport, 0
	job.Metadata = client.JobMetadata{Transition: client.TransitionStart}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files      map[string]string
		want, code string
	}{
		"a variable without a value": {
			map[string]string{"main.tf": "variable \"region\" {}\nvariable \"zone\" {}\nvariable \"free\" {\n  default = 1\n}\n"},
			"a value for the variables region and zone", client.JobErrorRequiredVariables,
		},
		"a syntax error":      {map[string]string{"main.tf": "resource {\n"}, "main.tf:1", ""},
		"a backend":           {map[string]string{"main.tf": "terraform {\n  backend \"s3\" {}\n}\n"}, "main.tf:2: a template cannot have a backend", ""},
		"an unknown resource": {map[string]string{"main.tf": "resource \"terraform_data\" \"a\" {\n  input = terraform_data.b.id\n}\n"}, "main.tf:2: Reference to undeclared resource: A managed resource", ""},
		"a missing provider": {
			map[string]string{"main.tf": "terraform {\n  required_providers {\n    nope = { source = \"example.invalid/acme/nope\" }\n  }\n}\n"},
			"provider example.invalid/acme/nope: could not connect", "",
		},
		"no configuration": {map[string]string{"README.md": "hello"}, "no .tf file at its root", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := runOne(t, test.files, asImport)
			require.NotNil(t, h.fail)
			require.Contains(t, h.fail.Error, test.want)
			require.Equal(t, test.code, h.fail.Code)
			require.False(t, h.fail.Retryable, "the template is at fault")
			require.NotEmpty(t, p.text(h))
			if test.code == client.JobErrorRequiredVariables {
				require.Len(t, h.fail.Import.Variables, 3)
				require.Zero(t, h.engine)
			}
		})
	}
}

func TestVariablesReachTheEngine(t *testing.T) {
	t.Parallel()
	_, h := runOne(t, map[string]string{"main.tf": "variable \"who\" {}\nresource \"terraform_data\" \"a\" {\n  input = var.who\n}\n"}, func(job *client.AcquiredJob) {
		job.Variables = []client.JobVariable{{Name: "who", Value: "dev1", Sensitive: true}}
	})
	require.Nil(t, h.fail)
	require.Contains(t, string(h.states[h.newest]), `"dev1"`)
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	p, h := runOne(t, map[string]string{"main.tf": workspaceTemplate}, func(job *client.AcquiredJob) { job.Type = client.JobTemplateVersionDryRun })
	require.Nil(t, h.fail, p.text(h))
	require.Len(t, h.complete.DryRun.Resources, 2)
	require.Nil(t, h.complete.State)
}

func TestFailingApply(t *testing.T) {
	t.Parallel()
	p, h := runOne(t, map[string]string{"main.tf": `
resource "terraform_data" "made" {}
resource "terraform_data" "bad" {
  depends_on = [terraform_data.made]
  provisioner "local-exec" {
    command = "echo the disk is too small >&2; exit 3"
  }
}
`}, func(*client.AcquiredJob) {})
	require.Contains(t, h.fail.Error, "main.tf:")
	require.Contains(t, h.fail.Error, "local-exec provisioner error: Error running command")
	require.Contains(t, h.fail.Error, "Output: the disk is too small")
	require.False(t, h.fail.Retryable)
	require.Empty(t, h.fail.InDoubt)
	require.Equal(t, []string{"terraform_data.bad"}, h.fail.Tainted)
	require.Contains(t, p.text(h), "the disk is too small")
	require.Len(t, addressesOf(h), 2, "what the engine left is handed in")
}

func addressesOf(h *handout) []string {
	found := []string{}
	for _, line := range strings.Split(string(h.states[h.newest]), "\n") {
		if strings.Contains(line, `"name":`) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestSplitBuildAndDelete(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	hash := p.template(map[string]string{"main.tf": "resource \"terraform_data\" \"a\" {\n  input = 1\n}\n"})
	spool := t.TempDir()
	p.startDaemon(p.options(spool))

	split := buildOf(hash, client.TransitionStart)
	split.Split = true
	built := p.submit(split)
	p.untilEnded(built)
	require.Nil(t, built.fail, p.text(built))
	require.Contains(t, p.text(built), "[Planning Infrastructure] Plan: 1 to add")
	require.Contains(t, p.text(built), "[Starting workspace] Apply complete!")

	removal := buildOf(hash, client.TransitionDelete)
	removal.State, removal.Fence = p.newestState(built), 2
	deleted := p.submit(removal)
	p.untilEnded(deleted)
	require.Nil(t, deleted.fail, p.text(deleted))
	require.True(t, deleted.complete.Build.Empty)
	require.NotNil(t, deleted.complete.State)
	require.Contains(t, p.text(deleted), "[Destroying workspace]")

	again := buildOf(hash, client.TransitionDelete)
	again.State, again.Fence = p.newestState(deleted), 3
	nothing := p.submit(again)
	p.untilEnded(nothing)
	require.True(t, nothing.complete.Build.Empty)
	require.Zero(t, nothing.engine, "deleting nothing takes no engine")
	require.Eventually(t, func() bool {
		left, err := filepath.Glob(filepath.Join(spool, "attempts", "*"))
		ended, err2 := filepath.Glob(filepath.Join(spool, "ended", "*", "job.json"))
		return err == nil && err2 == nil && len(left) == 0 && len(ended) == 3
	}, patience, tick, "ended attempts are put away")
}

func TestDrainFinishes(t *testing.T) {
	t.Parallel()
	p, dir := newControlPlane(t), t.TempDir()
	daemon, err := provisioner.New(p.options(t.TempDir()))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(t.Context()) }()
	h := p.submit(buildOf(p.template(map[string]string{"main.tf": slowTemplate(dir)}), client.TransitionStart))
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "begun"))
		return err == nil
	}, patience, tick)
	daemon.Drain()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the daemon does not end")
	}
	require.NotNil(t, h.complete)
}

func TestRefusedDaemonSaysWhy(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		p := newControlPlane(t)
		p.refuse = status
		daemon, err := provisioner.New(p.options(t.TempDir()))
		require.NoError(t, err)
		require.ErrorContains(t, daemon.Run(t.Context()), "this key was deleted")
	}
}

func TestEngineThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	opts := p.options(t.TempDir())
	opts.TerraformPath = filepath.Join(t.TempDir(), "terraform")
	daemon, err := provisioner.New(opts)
	require.NoError(t, err)
	require.ErrorContains(t, daemon.Run(t.Context()), "no such file")
}

func TestHostileOutput(t *testing.T) {
	t.Parallel()
	p, h := runOne(t, map[string]string{"main.tf": `
resource "terraform_data" "a" {
  provisioner "local-exec" {
    command = "printf '\\033[2J\\033[31mred\\007\\n'; head -c 10000000 /dev/zero | tr '\\0' x; echo; printf 'Grüße\\n'"
  }
}
`}, func(*client.AcquiredJob) {})
	require.Nil(t, h.fail, "%.2000s", p.text(h))
	text := p.text(h)
	require.NotContains(t, text, "\x1b")
	require.Contains(t, text, "red")
	require.Contains(t, text, "Grüße")
	require.Less(t, len(text), 1<<20)
}

// A job whose result the server will never take fails with the reason; the
// state of what it made is handed in.
func TestRefusedResult(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	p.refuseResult = "10001 resources are too many"
	p.startDaemon(p.options(t.TempDir()))
	h := p.submit(buildOf(p.template(map[string]string{"main.tf": "resource \"terraform_data\" \"a\" {}\n"}), client.TransitionStart))
	p.untilEnded(h)
	require.Nil(t, h.complete)
	require.Contains(t, h.fail.Error, "10001 resources are too many")
	require.True(t, h.fail.EngineDead)
	require.False(t, h.fail.Retryable)
	require.Equal(t, &client.Standing{}, h.fail.Standing)
	require.Len(t, addressesOf(h), 1)
}

// TestLoudEngine: a line of 10 MB is cut, and of a log over its limit the rest
// is dropped, and said to be; the job itself is as good as any.
func TestLoudEngine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prints string
		full   bool
	}{
		"a line of 10 MB":  {"head -c 10000000 /dev/zero | tr '\\0' x; echo", false},
		"a log of 70 MiB":  {"line=$(head -c 60000 /dev/zero | tr '\\0' x); for i in $(seq 1220); do echo $line; done", true},
		"an event too big": {`printf '{"@level":"info","@message":"'; head -c 10000000 /dev/zero | tr '\0' x; echo '"}'`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newControlPlane(t)
			opts := p.options(t.TempDir())
			opts.TerraformPath = engineScript(t, `[ "$1" = apply ] && { `+test.prints+`; }`)
			p.startDaemon(opts)
			h := p.submit(buildOf(p.template(map[string]string{"main.tf": "resource \"terraform_data\" \"a\" {}\n"}), client.TransitionStart))
			p.untilEnded(h)
			require.Nil(t, h.fail)
			require.Equal(t, test.full, h.full)
			require.LessOrEqual(t, h.next, int64(client.MaxJobLog))
			require.Len(t, addressesOf(h), 1)
			if !test.full {
				require.Less(t, h.next, int64(1<<20))
				require.Regexp(t, `xxx … \[line cut\]\n`, p.text(h))
				return
			}
			require.Greater(t, h.next, int64(client.MaxJobLog)-1<<20)
		})
	}
}

func TestProviderIsStartedOnce(t *testing.T) {
	t.Parallel()
	aliased := workspaceTemplate + "provider \"coder\" {\n  alias = \"other\"\n  url   = \"http://other.example.com\"\n}\n"
	for name, test := range map[string]struct{ template, want string }{
		"one process serves all of an engine's calls":             {workspaceTemplate, "served"},
		"where one cannot stand for all, engines start their own": {aliased, "own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, dir := newControlPlane(t), t.TempDir()
			opts := p.options(t.TempDir())
			opts.TerraformPath = engineScript(t, `[ "$1" = apply ] && echo "${TF_REATTACH_PROVIDERS:+served}" >> `+dir+`/calls`)
			p.startDaemon(opts)
			h := p.submit(buildOf(p.template(map[string]string{"main.tf": test.template}), client.TransitionStart))
			p.untilEnded(h)
			require.Nil(t, h.fail, p.text(h))
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			require.NoError(t, err)
			require.Equal(t, test.want == "served", strings.Contains(string(calls), "served"))
		})
	}
}

func TestEngineIsReplacedWhileTheDaemonRuns(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	opts := p.options(t.TempDir())
	opts.TerraformPath = engineScript(t, "")
	p.startDaemon(opts)
	hash := p.template(map[string]string{"main.tf": "resource \"terraform_data\" \"a\" {}\n"})
	first := p.submit(buildOf(hash, client.TransitionStart))
	p.untilEnded(first)
	require.NoError(t, os.Rename(engineScript(t, "# another build"), opts.TerraformPath))
	second := p.submit(buildOf(hash, client.TransitionStart))
	p.untilEnded(second)
	require.Nil(t, second.fail, p.text(second))
}
