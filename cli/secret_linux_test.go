package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/enginetest"
)

// secretTemplate has a secret in every place that Terraform offers, and waits
// while it is applied, or fails.
const secretTemplate = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
variable "cloud_secret" {
  type      = string
  sensitive = true
}
variable "with_default" {
  type      = string
  sensitive = true
  default   = "planted-default-7d1f0c55"
}
data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}
data "coder_parameter" "fail" {
  name    = "fail"
  default = "no"
  mutable = true
}
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
  env  = { CLOUD = nonsensitive(var.cloud_secret) }
}
resource "terraform_data" "kept" {
  input = sensitive(join("-", ["planted", "state", "3f6b21aa"]))
}
resource "terraform_data" "owner" {
  input = [data.coder_workspace_owner.me.session_token, data.coder_workspace_owner.me.ssh_private_key, var.with_default]
}
resource "coder_metadata" "kept" {
  resource_id = terraform_data.kept.id
  item {
    key       = "password"
    value     = nonsensitive(var.cloud_secret)
    sensitive = true
  }
}
resource "terraform_data" "wait" {
  count = data.coder_workspace.me.start_count
  provisioner "local-exec" {
    command     = "touch $HOME/began-$WORKSPACE; until [ -e $HOME/go ]; do sleep 0.1; done; [ $FAIL = no ] || { echo $CLOUD; exit 3; }"
    environment = { CLOUD = var.cloud_secret, FAIL = data.coder_parameter.fail.value, WORKSPACE = data.coder_workspace.me.name }
  }
}
output "kept" {
  value     = terraform_data.kept.output
  sensitive = true
}
`

// planted is a deployment of real processes with secrets in all places, and
// what they have said.
type planted struct {
	t       *testing.T
	root    string
	bin     string
	env     []string
	secrets map[string]string
	mu      sync.Mutex
	said    bytes.Buffer
}

func newPlanted(t *testing.T) *planted {
	p := &planted{t: t, root: t.TempDir(), bin: buildBinary(t), secrets: map[string]string{}}
	for _, dir := range []string{"home", "tmp", "data", "cache", "daemon", "template"} {
		require.NoError(t, os.Mkdir(p.at(dir), 0o700))
	}
	p.env = []string{
		"HOME=" + p.at("home"), "TMPDIR=" + p.at("tmp"), "TZ=UTC",
		"PATH=" + p.bin + ":" + filepath.Dir(enginetest.Path(t)) + ":" + os.Getenv("PATH"),
	}
	return p
}

func (p *planted) at(parts ...string) string {
	return filepath.Join(append([]string{p.root}, parts...)...)
}

// Write keeps what processes say.
func (p *planted) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *planted) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, "coder"), args...)
	cmd.Dir, cmd.Env, cmd.Stderr = p.root, slices.Concat(p.env, env), p
	return cmd
}

// run keeps all that the command says; secret keeps its standard output to itself.
func (p *planted) run(env []string, args ...string) {
	p.t.Helper()
	cmd := p.command(env, args...)
	cmd.Stdout = p
	require.NoError(p.t, cmd.Run(), "%s: %s", args, p.said.String())
}

func (p *planted) fails(env []string, args ...string) {
	p.t.Helper()
	cmd := p.command(env, args...)
	cmd.Stdout = p
	require.Error(p.t, cmd.Run(), "%s", args)
}

func (p *planted) secret(args ...string) string {
	p.t.Helper()
	out, err := p.command(nil, args...).Output()
	require.NoError(p.t, err, "%s: %s", args, p.said.String())
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndex(text, "\n")+1:]
}

// start runs a process until the test ends, or until stop.
func (p *planted) start(log string, env []string, args ...string) (out io.Reader, stop func()) {
	p.t.Helper()
	cmd := p.command(env, args...)
	file, err := os.Create(p.at(log))
	require.NoError(p.t, err)
	cmd.Stderr = file
	out, err = cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = file.Close()
	})
	p.t.Cleanup(func() {
		_ = os.WriteFile(p.at("home", "go"), nil, 0o600) // builds that wait end with it
		stop()
	})
	return out, stop
}

func (p *planted) serve(env []string) (url string, stop func()) {
	p.t.Helper()
	out, stop := p.start("server.log", env, "server", "--verbose", "--http-address", "127.0.0.1:0", "--data-dir", p.at("data"), "--cache-dir", p.at("cache"),
		"--provisioner-daemons", "1", "--log-filter", ".*", "--log-json", p.at("server.json"))
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		require.NoError(p.t, err)
		if m := regexp.MustCompile(`View the Web UI: (\S+)`).FindStringSubmatch(line); m != nil {
			go func() { _, _ = io.Copy(io.Discard, lines) }()
			return m[1], stop
		}
	}
}

func (p *planted) until(what string, done func() bool) {
	p.t.Helper()
	require.Eventually(p.t, done, patience, 50*time.Millisecond, "%s never came: %s", what, p.said.String())
}

// forms are the ways in which a secret may be written.
func forms(secret string) [][]byte {
	quoted, _ := json.Marshal(secret)
	all := [][]byte{[]byte(secret), bytes.Trim(quoted, `"`), []byte(hex.EncodeToString([]byte(secret))), []byte(strings.ToUpper(hex.EncodeToString([]byte(secret))))}
	for shift := range 3 { // base64 of a longer text shows a part of it in one of three ways
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, shift), secret...))
			all = append(all, []byte(text[4*min(shift, 1):len(text)-len(text)%4-4]))
		}
	}
	return all
}

// find names the secrets in some bytes, but for those allowed.
func (p *planted) find(data []byte, allowed ...string) (names []string) {
	for name, secret := range p.secrets {
		kind, _, _ := strings.Cut(name, " of ")
		if slices.Contains(allowed, kind) {
			continue
		}
		for _, form := range forms(secret) {
			if bytes.Contains(data, form) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// requireClean looks at the bytes of every file below a path, spools excepted.
func (p *planted) requireClean(path string) (files int) {
	p.t.Helper()
	err := filepath.WalkDir(p.at(path), func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == "spool" {
			return filepath.SkipDir
		}
		if err != nil || !d.Type().IsRegular() {
			return nil // gone in the meantime
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		files++
		allowed := []string{}
		if strings.Contains(name, "/prepared/") {
			allowed = append(allowed, "default") // it is in the template's source, which engines read there
		}
		if found := p.find(data, allowed...); len(found) > 0 {
			at := max(0, bytes.Index(data, []byte(p.secrets[found[0]])))
			require.Fail(p.t, "a secret is in clear", "%q in %s: %q", found, name, data[max(0, at-300):min(len(data), at+200)])
		}
		return nil
	})
	require.NoError(p.t, err)
	return files
}

// requirePrivate: a spool is for its owner only. It returns the regular files.
func (p *planted) requirePrivate(path string) (files []string) {
	p.t.Helper()
	require.NoError(p.t, filepath.WalkDir(p.at(path), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone in the meantime
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if d.Type().IsRegular() {
			files = append(files, name)
		}
		// What the engine writes is closed by the directory that nobody else enters.
		if top := filepath.Dir(name); d.IsDir() && (filepath.Base(top) == "attempts" || filepath.Base(top) == "ended" || top == p.at(path)) {
			require.Zero(p.t, info.Mode().Perm()&0o077, "%s is open to others: %s", name, info.Mode())
		}
		if slices.Contains([]string{"job.json", "variables.tfvars.json", "run.json"}, d.Name()) {
			require.Zero(p.t, info.Mode().Perm()&0o077, "%s is open to others: %s", name, info.Mode())
		}
		return nil
	}))
	return files
}

// process is one of /proc.
type process struct {
	pid       int
	exe       string
	arguments []byte
	environ   []string
}

// processes are those of this test: their binary, arguments or environment
// name its directory.
func (p *planted) processes() (found []process) {
	entries, err := os.ReadDir("/proc")
	require.NoError(p.t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		arguments, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if !strings.HasPrefix(exe, p.root) && !strings.HasPrefix(exe, p.bin) && !bytes.Contains(arguments, []byte(p.root)) && !bytes.Contains(environ, []byte(p.root)) {
			continue
		}
		found = append(found, process{pid, exe, arguments, strings.Split(strings.Trim(string(environ), "\x00"), "\x00")})
	}
	return found
}

// contract are the names of section 3.5 that the provider reads.
var contract = regexp.MustCompile(`^CODER_(AGENT_URL|WORKSPACE_(TRANSITION|NAME|ID|BUILD_ID|TEMPLATE_ID|TEMPLATE_NAME|TEMPLATE_VERSION|OWNER|OWNER_(ID|NAME|EMAIL|GROUPS|RBAC_ROLES|LOGIN_TYPE|SSH_PUBLIC_KEY|SSH_PRIVATE_KEY|SESSION_TOKEN|OIDC_ACCESS_TOKEN))|PARAMETER_[0-9a-f]{64}|PARAMETER_PREVIOUS_[0-9a-f]{64}|AGENT_SCRIPT_(windows|linux|darwin)_(amd64|arm64|armv7))$`)

// requireProcessesClean looks at arguments and environments while engines run.
func (p *planted) requireProcessesClean(host []string) {
	p.t.Helper()
	engines := 0
	for _, proc := range p.processes() {
		require.Empty(p.t, p.find(proc.arguments), "in the arguments of %s: %q", proc.exe, proc.arguments)
		// The server and the daemon hold what they were started with.
		if bytes.Contains(proc.arguments, []byte("\x00--cache-dir\x00")) || bytes.Contains(proc.arguments, []byte("\x00create\x00")) {
			continue
		}
		// A job gets the owner's key pair and session; local-exec of this template also the secret itself.
		allowed := []string{"ssh key", "owner session"}
		if !strings.HasPrefix(filepath.Base(proc.exe), "terraform") {
			allowed = append(allowed, "variable")
		}
		require.Empty(p.t, p.find([]byte(strings.Join(proc.environ, "\x00")), allowed...), "in the environment of %s %q", proc.exe, proc.arguments)
		if filepath.Base(proc.exe) != "terraform" {
			continue
		}
		engines++
		var others []string
		for _, entry := range proc.environ {
			name, _, _ := strings.Cut(entry, "=")
			if strings.HasPrefix(name, "CODER_") {
				require.Regexp(p.t, contract, name)
			} else if name != "TF_REATTACH_PROVIDERS" { // where coder/coder is served already
				others = append(others, name)
			}
		}
		require.ElementsMatch(p.t, append([]string{"CHECKPOINT_DISABLE", "TF_IN_AUTOMATION", "TF_CLI_CONFIG_FILE"}, host...), others)
	}
	require.GreaterOrEqual(p.t, engines, 2, "one of the server's own provisioner, one of the external one")
}

var agentToken = regexp.MustCompile(`"token": ?"([0-9a-f-]{36})"`)

// stateSecrets takes from a state what must not be found elsewhere.
func (p *planted) stateSecrets(workspace string) {
	p.t.Helper()
	out, err := p.command(nil, "state", "pull", workspace).Output()
	require.NoError(p.t, err, p.said.String())
	state := string(out)
	token := agentToken.FindStringSubmatch(state)
	require.NotNil(p.t, token, "the state has the agent's token")
	p.secrets["agent token of "+workspace] = token[1]
	session := regexp.MustCompile(`"session_token": ?"([^"]{20,})"`).FindStringSubmatch(state)
	require.NotNil(p.t, session, "the state has the owner's session")
	p.secrets["owner session of "+workspace] = session[1]
	key := regexp.MustCompile(`"ssh_private_key": ?"-----BEGIN[^\\]*\\n[^\\]+\\n[^\\]+\\n([^\\]{40,})\\n`).FindStringSubmatch(state)
	require.NotNil(p.t, key, "the state has the owner's SSH key")
	p.secrets["ssh key of "+workspace] = key[1]
	require.Contains(p.t, state, p.secrets["state"])
	require.Contains(p.t, state, p.secrets["variable"])
}

// attemptSecrets reads what running attempts authorize themselves with.
func (p *planted) attemptSecrets(spools ...string) {
	p.t.Helper()
	for _, spool := range spools {
		jobs, err := filepath.Glob(p.at(spool, "attempts", "*", "job.json"))
		require.NoError(p.t, err)
		require.NotEmpty(p.t, jobs, spool)
		for _, file := range jobs {
			data, err := os.ReadFile(file)
			require.NoError(p.t, err)
			var job client.AcquiredJob
			require.NoError(p.t, json.Unmarshal(data, &job))
			p.secrets["attempt of "+spool] = job.Secret
			require.NotEmpty(p.t, p.find(data, "attempt"), "the daemon has what it needs")
		}
	}
}

// TestPlantedSecrets puts secrets everywhere and looks at every byte that is
// kept or said: the database, its journal and its copies, logs, errors,
// caches, arguments and environments, while builds run, fail and end, and
// before and after keys are rotated. In clear they are in three places, for
// the owner of the process only: the spool of a running job, the state in the
// spool of an ended one, and the environment of the engine. The source of
// templates, with defaults of variables, is also where engines are prepared.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	p := newPlanted(t)
	one, two := strings.Repeat("0123456789abcdef", 4), strings.Repeat("fedcba98765432f0", 4)
	p.secrets = map[string]string{
		"deployment key of before": one, "deployment key of after": two, "canary": "planted-canary-51c9d0e7",
		"admin's password": "Planted-Admin-Pass-92ab11", "user's password": "Planted-User-Pass-77c3d0", "wrong password": "Planted-Wrong-Pass-0f33e1",
		"variable": "planted-variable-c04d8821", "default": "planted-default-7d1f0c55", "state": "planted-state-3f6b21aa",
	}
	url, stop := p.serve([]string{"CODER_DEPLOYMENT_KEY=" + one + "," + two, "CODER_CANARY=" + p.secrets["canary"], "CLOUD_CREDENTIAL=host"})
	p.run([]string{"CODER_FIRST_USER_PASSWORD=" + p.secrets["admin's password"]}, "login", url, "--first-user-username", "admin", "--first-user-email", "admin@example.com")
	p.secrets["session"] = p.secret("login", "token")
	p.fails([]string{"CODER_LOGIN_PASSWORD=" + p.secrets["wrong password"], "CODER_CONFIG_DIR=" + p.at("tmp", "nobody")}, "login", url, "--email", "admin@example.com", "--verbose")
	p.secrets["token"] = p.secret("tokens", "create", "--name", "ci", "--lifetime", "24h")
	api, err := client.New(url, client.Options{Token: p.secrets["token"]})
	require.NoError(t, err)
	org, err := api.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "data-platform"})
	require.NoError(t, err)
	_, err = api.CreateUser(t.Context(), client.CreateUserRequest{Email: "ann@example.com", Username: "ann", Password: p.secrets["user's password"], OrganizationIDs: []uuid.UUID{org.ID}})
	require.NoError(t, err)
	p.secrets["provisioner key"] = p.secret("provisioner", "keys", "create", "host", "--org", "data-platform")
	_, stopDaemon := p.start("daemon.log", []string{"CODER_PROVISIONER_DAEMON_KEY=" + p.secrets["provisioner key"], "CODER_CANARY=" + p.secrets["canary"], "CLOUD_CREDENTIAL=host"},
		"provisioner", "start", "--url", url, "--name", "host", "--verbose", "--cache-dir", p.at("daemon"))

	require.NoError(t, os.WriteFile(p.at("template", "main.tf"), []byte(secretTemplate), 0o600))
	require.NoError(t, os.WriteFile(p.at("values.yaml"), []byte("cloud_secret: "+p.secrets["variable"]+"\n"), 0o600))
	for _, name := range []string{"default", "data-platform"} {
		p.run(nil, "templates", "push", "secret", "--directory", "template", "--yes", "--ignore-lockfile", "--org", name, "--variables-file", p.at("values.yaml"), "--verbose")
	}
	p.run(nil, "create", "inner", "--template", "secret", "--org", "default", "--yes", "--no-wait")
	p.run(nil, "create", "outer", "--template", "secret", "--org", "data-platform", "--yes", "--no-wait")
	for _, name := range []string{"inner", "outer"} {
		p.until(name, func() bool {
			_, err := os.Stat(p.at("home", "began-"+name))
			return err == nil
		})
		p.until("state of "+name, func() bool {
			out, _ := p.command(nil, "state", "pull", name).Output()
			return bytes.Contains(out, []byte(`"session_token"`)) && agentToken.Match(out) && bytes.Contains(out, []byte(p.secrets["state"]))
		})
		p.stateSecrets(name)
	}
	p.attemptSecrets("data/spool", "home/.local/share/coder/provisioner")

	// While engines run.
	p.requireProcessesClean([]string{"HOME", "TMPDIR", "TZ", "PATH", "CLOUD_CREDENTIAL"})
	for _, dir := range []string{"data/spool", "home/.local/share/coder/provisioner", "cache/prepared", "daemon/prepared"} {
		require.NotEmpty(t, p.requirePrivate(dir))
	}
	for _, dir := range []string{"data", "cache", "daemon", "tmp"} {
		p.requireClean(dir)
	}
	rotateKeys(t, p)
	require.NoError(t, os.WriteFile(p.at("home", "go"), nil, 0o600))
	for _, name := range []string{"inner", "outer"} {
		p.until(name+" runs", func() bool {
			out, _ := p.command(nil, "list", "-c", "workspace,status").Output()
			return regexp.MustCompile(`admin/` + name + ` +Running`).Match(out)
		})
	}
	failDebugging(t, p, api)
	for _, name := range []string{"inner", "outer", "broken"} {
		p.run(nil, "logs", name)
		p.run(nil, "show", name, "--details")
	}
	p.run(nil, "audit", "list")
	p.run(nil, "provisioner", "jobs", "list", "--org", "data-platform", "-o", "json")
	copyDatabase(t, p.at("data", "coder.db"), p.at("data", "copy.db"))
	require.GreaterOrEqual(t, p.requireClean("data"), 4, "the database, its journal, its index and the copy")
	stopDaemon()
	stop()

	// Afterwards.
	for _, file := range []string{"server.log", "server.json", "daemon.log", "data", "cache", "daemon", "tmp"} {
		require.Positive(t, p.requireClean(file)+strings.Count(file, "tmp"), file)
	}
	require.Contains(t, readText(t, p.at("server.json")), `"DEBUG"`, "debug lines were logged")
	require.Empty(t, p.find(p.said.Bytes()), "commands have said it")
	for _, spool := range []string{"data/spool", "home/.local/share/coder/provisioner"} {
		for _, file := range p.requirePrivate(spool) {
			allowed := []string{}
			switch filepath.Base(file) {
			case "state.final", "state.good":
				allowed = []string{"state", "variable", "default", "agent token", "owner session", "ssh key"}
			case "job.json":
				allowed = []string{"attempt"}
			}
			require.Empty(t, p.find([]byte(readText(t, file)), allowed...), "in clear in %s", file)
		}
	}

	// With the new key alone all of it is still there.
	p.secretsStay(two)
}

func rotateKeys(t *testing.T, p *planted) {
	t.Helper()
	p.run(nil, "server", "rotate-key", "--yes", "--verbose")
	p.fails(nil, "server", "rotate-key", "--yes", "--verbose")
	p.run(nil, "server", "rotate-key", "--org", "data-platform", "--yes")
	require.Regexp(t, `The organization data-platform has its key 2: [1-9]\d* states?, 2 variables`, p.said.String())
}

// failDebugging makes a build that fails with a secret on its lips, with
// Terraform's debug log.
func failDebugging(t *testing.T, p *planted, api *client.Client) {
	t.Helper()
	p.fails(nil, "create", "broken", "--template", "secret", "--org", "data-platform", "--parameter", "fail=yes", "--yes", "--verbose")
	workspaces, err := api.Workspaces(t.Context(), client.WorkspacesRequest{Query: "name:broken"})
	require.NoError(t, err)
	require.Len(t, workspaces.Workspaces, 1)
	_, err = api.CreateWorkspaceBuild(t.Context(), workspaces.Workspaces[0].ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart, LogLevel: "debug"})
	require.NoError(t, err)
	p.until("the failed build", func() bool {
		out, _ := p.command(nil, "list", "-c", "workspace,status").Output()
		return regexp.MustCompile(`admin/broken +Failed`).Match(out)
	})
}

func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", from)
	require.NoError(t, err)
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	require.NoError(t, err)
}

func readText(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}

// secretsStay starts the server with a key alone and reads the states.
func (p *planted) secretsStay(key string) {
	p.t.Helper()
	url, stop := p.serve([]string{"CODER_DEPLOYMENT_KEY=" + key})
	defer stop()
	for _, name := range []string{"inner", "outer"} {
		cmd := p.command([]string{"CODER_URL=" + url, "CODER_SESSION_TOKEN=" + p.secrets["token"]}, "state", "pull", name)
		out, err := cmd.Output()
		require.NoError(p.t, err, p.said.String())
		require.Contains(p.t, string(out), p.secrets["state"])
	}
}

// The search itself must find a secret, however it is written.
func TestPlantedSecretsAreFound(t *testing.T) {
	t.Parallel()
	p := &planted{secrets: map[string]string{"token of a": "ab1-\"Geheim\"-äöü-/+?-0123456789"}}
	secret := p.secrets["token of a"]
	quoted, err := json.Marshal(map[string]string{"x": secret})
	require.NoError(t, err)
	for name, data := range map[string]string{
		"plain": "x" + secret + "y", "JSON": string(quoted), "hex": "00" + hex.EncodeToString([]byte(secret)) + "ff",
	} {
		require.Equal(t, []string{"token of a"}, p.find([]byte(data)), name)
	}
	for before := range 5 {
		text := strings.Repeat("b", before) + secret + "after"
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			require.Equal(t, []string{"token of a"}, p.find([]byte(encoding.EncodeToString([]byte(text)))), "base64 after %d bytes", before)
		}
	}
	require.Empty(t, p.find([]byte("nothing of it")))
	require.Empty(t, p.find([]byte(secret), "token"))
}
