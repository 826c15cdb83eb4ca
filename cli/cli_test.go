package cli_test

import (
	"bytes"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/cli"
	"coder/server/servertest"
)

var update = flag.Bool("update", false, "write golden files")

// person is somebody at a keyboard, or a script: a home directory, variables,
// and what is typed.
type person struct {
	t        *testing.T
	home     string
	vars     map[string]string
	terminal bool
	now      time.Time
}

func newPerson(t *testing.T) *person {
	t.Helper()
	// Servers of tests have a version of their own.
	return &person{t: t, home: t.TempDir(), vars: map[string]string{"CODER_NO_VERSION_WARNING": "true"}, now: time.Now()}
}

// ownerOf is a person who is signed in to the server as its owner.
func ownerOf(t *testing.T, srv *servertest.Server) *person {
	t.Helper()
	p := newPerson(t)
	p.vars["CODER_URL"], p.vars["CODER_SESSION_TOKEN"] = srv.URL, srv.Token
	return p
}

// result is what came of a command.
type result struct {
	t              *testing.T
	code           int
	stdout, stderr string
}

func (p *person) run(args ...string) result { return p.types("", args...) }

// types runs a command with something on standard input.
func (p *person) types(stdin string, args ...string) result {
	p.t.Helper()
	var stdout, stderr buffer
	env := &cli.Env{
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		IsTerminal: func(any) bool { return p.terminal },
		Getenv: func(name string) string {
			if name == "HOME" {
				return p.home
			}
			if name == "NO_COLOR" {
				return "1"
			}
			return p.vars[name]
		},
		Now:         func() time.Time { return p.now },
		OpenBrowser: func(string) error { return os.ErrNotExist },
	}
	code := cli.Main(args, env)
	return result{p.t, code, stdout.String(), stderr.String()}
}

// buffer may be written by a server's goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (r result) succeeds() result {
	r.t.Helper()
	require.Zero(r.t, r.code, "stdout: %s\nstderr: %s", r.stdout, r.stderr)
	return r
}

// fails also holds errors to their two parts.
func (r result) fails(says ...string) result {
	r.t.Helper()
	require.Equal(r.t, 1, r.code, "stdout: %s\nstderr: %s", r.stdout, r.stderr)
	require.Contains(r.t, r.stderr, `Encountered an error running "coder`)
	require.Contains(r.t, r.stderr, "\nerror: ")
	for _, text := range says {
		require.Contains(r.t, r.stderr, text)
	}
	return r
}

// TestHelp holds the help of every command in a file of its own.
func TestHelp(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, path := range cli.CommandPaths() {
		name := strings.Join(append([]string{"coder"}, path...), "_") + ".golden"
		known[name] = true
		t.Run(strings.Join(append([]string{"coder"}, path...), " "), func(t *testing.T) {
			t.Parallel()
			got := newPerson(t).run(append(path[:len(path):len(path)], "--help")...).succeeds()
			require.Empty(t, got.stderr)
			file := filepath.Join("testdata", "help", name)
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, []byte(got.stdout), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err, "run the test with -update")
			require.Equal(t, string(want), got.stdout)
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "help"))
	require.NoError(t, err)
	for _, f := range files {
		if !known[f.Name()] && *update {
			require.NoError(t, os.Remove(filepath.Join("testdata", "help", f.Name())))
			continue
		}
		require.True(t, known[f.Name()], "%s belongs to no command: run the test with -update", f.Name())
	}
}

// TestReferences holds docs/reference to what the binary itself writes.
func TestReferences(t *testing.T) {
	t.Parallel()
	kept, written := filepath.Join("..", "docs", "reference"), t.TempDir()
	if *update {
		written = kept
	}
	newPerson(t).run("exp", "docs", "--dir", written).succeeds()
	for _, name := range []string{"api.md", "cli.md"} {
		want, err := os.ReadFile(filepath.Join(kept, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(written, name))
		require.NoError(t, err)
		require.True(t, string(want) == string(got), "docs/reference/%s is out of date: run `make gen`", name)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		says []string
	}{
		{"an unknown command", []string{"frobnicate"}, []string{`unrecognized subcommand "frobnicate"`}},
		{"a mistyped command", []string{"users", "lst"}, []string{`unrecognized subcommand "lst"`, `did you mean "list"`}},
		{"a command between two", []string{"templates", "pusj"}, []string{`did you mean "pull" or "push"?`}},
		{"a mistyped command with flags", []string{"crate", "box", "--template", "x"}, []string{`unrecognized subcommand "crate"; did you mean "create" or`}},
		{"help for a command that is none", []string{"help", "users", "lst"}, []string{`unrecognized subcommand "lst"; did you mean "list"?`}},
		{"a command of Coder that is not here", []string{"ssh", "box", "-A"}, []string{"coder ssh is not part of this release", "coder show"}},
		{"a licence that nobody needs", []string{"licenses", "add", "-f", "x"}, []string{"nothing here needs a licence"}},
		{"too many words", []string{"whoami", "a"}, []string{"wanted 0 args but got 1"}},
		{"too few words", []string{"users", "show"}, []string{"wanted 1 args but got 0"}},
		{"an unknown flag", []string{"list", "--nope"}, []string{"coder list: unknown flag: --nope\n"}},
		{"a mistyped flag", []string{"list", "--serach", "x"}, []string{"unknown flag: --serach; did you mean --search?"}},
		{"half a flag", []string{"create", "--param", "a=b"}, []string{"unknown flag: --param; did you mean --parameter or --parameter-default?"}},
		{"a mistyped flag for all commands", []string{"--ulr", "x", "whoami"}, []string{"unknown flag: --ulr; did you mean --url?"}},
		{"a hidden flag is not proposed", []string{"provisioner", "start", "--pks", "x"}, []string{"unknown flag: --pks\n"}},
		{"an unknown column", []string{"list", "-c", "color"}, []string{`there is no column "color"`, "workspace, organization id"}},
		{"an unknown format", []string{"list", "-o", "yaml"}, []string{`"yaml" is none of table, json`}},
		{"nobody is logged in", []string{"list"}, []string{"you are not logged in", "coder login"}},
		{"a URL that is none", []string{"list", "--url", "ftp://x"}, []string{"is not the URL of a deployment"}},
		{"a header without a value", []string{"list", "--url", "http://127.0.0.1:1", "--header", "x"}, []string{"name=value"}},
		{"a reserved name", []string{"organizations", "create", "default"}, []string{"is reserved"}},
		{"a name with a blank", []string{"organizations", "create", "a b"}, []string{`has the character ' ' in it`, "1 to 32 letters"}},
		{"a tag without a value", []string{"provisioner", "keys", "create", "k", "--tag", "x"}, []string{"name=value"}},
		{"a reserved key name", []string{"provisioner", "keys", "create", "Built-In"}, []string{"is reserved"}},
		{"key and tag", []string{"provisioner", "start", "--key", "k", "--tag", "a=b"}, []string{"leave out --tag"}},
		{"key and PSK", []string{"provisioner", "start", "--key", "k", "--psk", "p"}, []string{"leave out the PSK"}},
		{"a daemon's bad name", []string{"provisionerd", "start", "--key", "k", "--name", "a b"}, []string{"--name"}},
		{"nothing to edit", []string{"organizations", "edit"}, []string{"nothing to change"}},
		{"a duration that is none", []string{"create", "x", "--stop-after", "soon"}, []string{"--stop-after"}},
		{"no server there", []string{"list", "--url", "http://127.0.0.1:1"}, []string{"no reply from http://127.0.0.1:1", "Check that the server runs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := newPerson(t).run(tt.args...).fails(tt.says...)
			require.Empty(t, got.stdout)
		})
	}
}

func TestGroupsShowTheirHelp(t *testing.T) {
	t.Parallel()
	got := newPerson(t).run("users").succeeds()
	require.Contains(t, got.stdout, "Available Commands")
}

func TestHelpAsAWord(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	require.Equal(t, p.run("--help").succeeds().stdout, p.run("help").succeeds().stdout)
	require.Equal(t, p.run("templates", "push", "--help").succeeds().stdout, p.run("help", "template", "push").succeeds().stdout)
}

// TestAbsentCommands holds that nothing that is there is said not to be.
func TestAbsentCommands(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, path := range cli.CommandPaths() {
		there[strings.Join(append([]string{"coder"}, path...), " ")] = true
	}
	for _, path := range cli.AbsentCommands() {
		require.False(t, there[path], path)
		newPerson(t).run(strings.Fields(path)[1:]...).fails(path + " is not part of this release: ")
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	t.Run("the first user is made by flags", func(t *testing.T) {
		t.Parallel()
		srv, p := servertest.New(t, servertest.WithoutUsers()), newPerson(t)
		got := p.run("login", srv.URL, "--first-user-username", "ann", "--first-user-email", "ann@example.com",
			"--first-user-password", servertest.Password, "--first-user-trial=false").succeeds()
		require.Equal(t, "Welcome to Coder, ann! You're authenticated.\n", got.stdout)
		require.Contains(t, got.stderr, "coder templates init")
		for _, name := range []string{"url", "session"} {
			info, err := os.Stat(filepath.Join(p.home, ".config", "coderv2", name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		}
		token := p.run("login", "token").succeeds().stdout
		require.Regexp(t, `^\w{10}-\w{22}\n$`, token)
		require.Contains(t, p.run("whoami").succeeds().stdout, "authenticated as ann")

		// A stored token stays with the deployment that it belongs to.
		other := servertest.New(t)
		p.run("whoami", "--url", other.URL).fails("You are not signed in")

		p.run("logout", "--yes").succeeds()
		p.run("whoami").fails("you are not logged in")
		p.vars["CODER_URL"], p.vars["CODER_SESSION_TOKEN"] = srv.URL, strings.TrimSpace(token)
		p.run("whoami").fails("You are not signed in")
	})
	t.Run("the first user is asked", func(t *testing.T) {
		t.Parallel()
		srv, p := servertest.New(t, servertest.WithoutUsers()), newPerson(t)
		p.terminal = true
		got := p.types("a b\nann\n\nno address\nann@example.com\nweak\n"+servertest.Password+"\n"+servertest.Password+"\n", "login", srv.URL).succeeds()
		require.Contains(t, got.stdout, "ann")
		require.Contains(t, got.stderr, `"a b"`)
		require.Contains(t, got.stderr, `"no address" is not an email address`)
	})
	t.Run("nobody is there to be asked", func(t *testing.T) {
		t.Parallel()
		srv := servertest.New(t, servertest.WithoutUsers())
		newPerson(t).run("login", srv.URL).fails("no users yet", "--first-user-username")
	})
	t.Run("with a password of the environment", func(t *testing.T) {
		t.Parallel()
		srv, p := servertest.New(t), newPerson(t)
		p.vars["CODER_LOGIN_PASSWORD"] = servertest.Password
		got := p.run("login", srv.URL, "--email", srv.Owner.Email).succeeds()
		require.Contains(t, got.stdout, "Welcome to Coder, "+srv.Owner.Username)
		p.vars["CODER_LOGIN_PASSWORD"] = "wrong"
		p.run("login", srv.URL, "--email", srv.Owner.Email).fails()
		// The session of before is still there.
		delete(p.vars, "CODER_LOGIN_PASSWORD")
		p.run("whoami").succeeds()
	})
	t.Run("with a token, which a logout leaves alone", func(t *testing.T) {
		t.Parallel()
		srv, p := servertest.New(t), newPerson(t)
		p.run("login", srv.URL, "--token", srv.Token).succeeds()
		require.NotEqual(t, srv.Token+"\n", p.run("login", "token").succeeds().stdout)
		p.run("logout", "-y").succeeds()
		ownerOf(t, srv).run("whoami").succeeds()
	})
	t.Run("with a token from the page", func(t *testing.T) {
		t.Parallel()
		srv, p := servertest.New(t), newPerson(t)
		p.terminal = true
		got := p.types("nonsense\n"+srv.Token+"\n", "login", srv.URL).succeeds()
		require.Contains(t, got.stderr, srv.URL+"/cli-auth")
		require.Contains(t, got.stderr, "does not know this token")
	})
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	p := ownerOf(t, srv)

	require.Regexp(t, `^Organization data-platform \([0-9a-f-]{36}\) created\.\n$`, p.run("organizations", "create", "data-platform", "-y").succeeds().stdout)
	p.run("org", "create", "data-platform").fails("data-platform")
	list := p.run("orgs", "ls").succeeds().stdout
	require.Regexp(t, `(?m)^ID +NAME +DISPLAY NAME +DEFAULT  $`, list)
	require.Regexp(t, `(?m)^[0-9a-f-]{36} +data-platform +data-platform +false +$`, list)
	require.Equal(t, "NAME           DEFAULT  \ncoder          true     \ndata-platform  false    \n",
		p.run("organizations", "list", "-c", "Default,name").succeeds().stdout)

	// The creator is a member of two organizations now.
	p.run("provisioner", "keys", "list").fails("several organizations", "coder, data-platform")
	p.run("provisioner", "keys", "list", "--org", "nowhere").fails(`no organization "nowhere"`, "coder, data-platform")
	got := p.run("provisioner", "keys", "list", "--org", "data-platform").succeeds()
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "No provisioner keys found.")
	require.Equal(t, "[]\n", p.run("provisioner", "keys", "list", "--org", "data-platform", "-o", "json").succeeds().stdout)
	p.vars["CODER_ORGANIZATION"] = "data-platform"
	got = p.run("provisioner", "keys", "create", "Data-Cluster-Key", "--tag", "env=prod").succeeds()
	require.Regexp(t, `^Successfully created provisioner key data-cluster-key! Save this authentication token, it will not be shown again\.\n\n[\w-]{43}\n$`, got.stdout)
	require.Empty(t, got.stderr)
	require.Contains(t, p.run("provisioner", "keys", "list").succeeds().stdout, "env=prod")
	p.run("provisioner", "keys", "create", "data-cluster-key").fails("data-cluster-key")
	p.types("no\n", "provisioner", "keys", "delete", "data-cluster-key")
	require.Contains(t, p.run("provisioner", "keys", "list").succeeds().stdout, "data-cluster-key")
	require.Equal(t, "Successfully deleted provisioner key data-cluster-key!\n", p.run("provisioner", "keys", "rm", "data-cluster-key", "-y").succeeds().stdout)

	require.Contains(t, p.run("organizations", "edit", "--display-name", "Data Platform").succeeds().stdout, "updated.")
	require.Contains(t, p.run("organizations", "show").succeeds().stdout, "Organization: data-platform (")
	p.run("organizations", "delete", "data-platform").fails("nobody is there to answer", "--yes")
	p.run("organizations", "delete", "coder", "--yes").fails("default organization")
	require.Regexp(t, `^Deleted organization data-platform at `, p.run("organizations", "rm", "data-platform", "--yes").succeeds().stdout)
}

func TestUsersAndMembers(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	p := ownerOf(t, srv)
	p.run("organizations", "create", "data-platform").succeeds()

	got := p.run("users", "create", "--username", "dev1", "--email", "dev1@example.com", "--org", "coder").succeeds()
	require.Empty(t, got.stdout, "the words for the person go to standard error")
	require.Regexp(t, `Password: \w{20}`, got.stderr)
	p.run("users", "create", "--username", "dev1", "--email", "dev1@example.com", "--org", "coder").fails("dev1")
	p.run("users", "create", "--org", "coder").fails("--username")
	require.Contains(t, p.run("users", "list").succeeds().stdout, "dev1@example.com")
	require.Contains(t, p.run("users", "show", "dev1", "-c", "organizations").succeeds().stdout, "[coder]")
	p.run("users", "show", "nobody").fails(`there is no user "nobody"`, "coder users list")

	require.Equal(t, "Organization member added to \"data-platform\"\n", p.run("organizations", "members", "add", "dev1", "--org", "data-platform").succeeds().stdout)
	p.run("organizations", "members", "add", "dev1", "--org", "data-platform").fails("dev1")
	require.Equal(t, "Member roles updated to [organization-admin]\n",
		p.run("organizations", "members", "edit-roles", "dev1", "organization-admin", "-O", "data-platform").succeeds().stdout)
	require.Regexp(t, `(?m)^dev1 +\[Organization Admin\] +$`, p.run("organizations", "members", "list", "-O", "data-platform").succeeds().stdout)
	p.run("organizations", "members", "edit-roles", "dev1", "no-such-role", "-O", "data-platform").fails("no-such-role")
	require.Equal(t, "Organization member removed from \"data-platform\"\n", p.run("organizations", "members", "rm", "dev1", "--org", "data-platform").succeeds().stdout)

	require.Contains(t, p.run("users", "suspend", "dev1").succeeds().stdout, "The user dev1 is suspended.")
	require.Contains(t, p.run("users", "activate", "dev1").succeeds().stdout, "The user dev1 is ")
	require.Equal(t, "Successfully deleted user dev1!\n", p.run("users", "delete", "dev1").succeeds().stdout)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	p := ownerOf(t, servertest.New(t))
	got := p.run("tokens", "list").succeeds()
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "No tokens found")
	require.Equal(t, "[]\n", p.run("tokens", "list", "-o", "json").succeeds().stdout)
	p.run("tokens", "create", "--lifetime", "tomorrow").fails("is not a duration")
	p.run("tokens", "create", "--lifetime", "99y").fails("longer than the longest")
	token := p.run("tokens", "create", "--name", "ci", "--lifetime", "1d").succeeds().stdout
	require.Regexp(t, `^\w{10}-\w{22}\n$`, token)
	p.run("tokens", "create", "--name", "ci").fails()
	require.Contains(t, p.run("tokens", "list").succeeds().stdout, "ci")
	require.Contains(t, p.run("tokens", "view", "ci").succeeds().stdout, token[:10])
	script := newPerson(t)
	script.vars["CODER_URL"], script.vars["CODER_SESSION_TOKEN"] = p.vars["CODER_URL"], strings.TrimSpace(token)
	script.run("whoami").succeeds()
	require.Equal(t, "Token has been expired.\n", p.run("tokens", "remove", strings.TrimSpace(token)).succeeds().stdout)
	script.run("whoami").fails("You are not signed in", "coder login")
	p.run("tokens", "rm", "nothing").fails(`no token with the name or id "nothing"`)
}

// TestConfiguration holds flag over variable over file over default.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	file := filepath.Join(p.home, "server.yaml")
	require.NoError(t, os.WriteFile(file, []byte("networking:\n  accessURL: https://file.example.com\n  http:\n    httpAddress: 127.0.0.1:1\n    sessionDuration: 3h\nprovisioning:\n  daemons: 5\nnonsense: true\n"), 0o600))
	p.vars["CODER_HTTP_ADDRESS"], p.vars["CODER_PROVISIONER_DAEMONS"] = "127.0.0.1:2", "6"
	got := p.run("server", "--config", file, "--provisioner-daemons", "7", "--write-config").succeeds()
	for _, line := range []string{"accessURL: https://file.example.com", "httpAddress: 127.0.0.1:2", "sessionDuration: 3h0m0s", "daemons: 7"} {
		require.Contains(t, got.stdout, line)
	}
	require.NotContains(t, got.stdout, "postgres", "secrets have no key")
	require.Contains(t, got.stderr, `"nonsense"`)

	// What was written is read back.
	again := filepath.Join(p.home, "again.yaml")
	require.NoError(t, os.WriteFile(again, []byte(got.stdout), 0o600))
	p.vars = map[string]string{}
	require.Equal(t, got.stdout, p.run("server", "-c", again, "--write-config").succeeds().stdout)

	require.Regexp(t, `(?m)^provisioner-daemons +flag +$`, p.run("server", "--provisioner-daemons", "0", "--debug-options").succeeds().stdout)
	p.vars["CODER_PROVISIONER_DAEMONS"] = "many"
	p.run("server").fails("$CODER_PROVISIONER_DAEMONS", "many")
	delete(p.vars, "CODER_PROVISIONER_DAEMONS")
	p.run("server", "-c", filepath.Join(p.home, "none.yaml")).fails("none.yaml")
}

func TestServerFlagsWithoutEffect(t *testing.T) {
	t.Parallel()
	args := []string{"server", "--provisioner-daemons", "-1"}
	for _, name := range cli.InertServerFlags() {
		args = append(args, "--"+name+"=1")
	}
	// Flags of every kind take a number, except durations.
	for i, arg := range args {
		for _, span := range []string{"interval", "jitter", "lifetime", "refresh", "threshold-database"} {
			if strings.HasSuffix(arg, span+"=1") {
				args[i] = strings.TrimSuffix(arg, "1") + "1s"
			}
		}
	}
	got := newPerson(t).run(args...).fails("--provisioner-daemons -1 is negative")
	require.Equal(t, 1, strings.Count(got.stderr, "--wildcard-access-url "), got.stderr)
	require.Equal(t, 1, strings.Count(newPerson(t).run("server", "--provisioner-daemons", "-1", "--telemetry=false").stderr, "error:"))
}

// TestOlderNames holds that they work, and that the newer one is named in the
// form that was used.
func TestOlderNames(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()
	p := newPerson(t)
	p.run("server", "--address", address).fails("--address is deprecated: use --http-address", address)
	p.run("users", "create", "--disable-login").fails("--disable-login is deprecated: use --login-type none")
	p.vars["CODER_ADDRESS"], p.vars["CODER_BUILD_OPTION"] = address, "a=b"
	p.run("server").fails("CODER_ADDRESS is deprecated: use CODER_HTTP_ADDRESS", address)
	p.run("create", "box", "--build-options").fails("CODER_BUILD_OPTION is deprecated: use CODER_EPHEMERAL_PARAMETER",
		"--build-options is deprecated: use --prompt-ephemeral-parameters")
	require.NotContains(t, p.run("create", "box", "--ephemeral-parameter", "a=b").stderr, "--ephemeral-parameter is deprecated")
}

func TestCreateAdminUser(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	got := p.run("server", "create-admin-user", "--data-dir", filepath.Join(p.home, "data"), "--username", "root2", "--email", "root2@example.com", "--password", servertest.Password).succeeds()
	require.Contains(t, got.stdout, "root2@example.com")
	p.run("server", "create-admin-user", "--data-dir", filepath.Join(p.home, "data"), "--username", "root2", "--email", "root2@example.com", "--password", servertest.Password).fails("root2")
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, p.run("completion", "--shell", shell, "--print").succeeds().stdout, "coder")
	}
	p.vars["SHELL"] = "/bin/bash"
	require.Contains(t, p.run("completion").succeeds().stdout, ".local/share/bash-completion/completions/coder")
	p.vars["SHELL"] = "/bin/csh"
	p.run("completion").fails("--shell")
}

func TestTemplatesInit(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	dir := filepath.Join(p.home, "docker")
	require.Contains(t, p.run("templates", "init", "--id", "docker", dir).succeeds().stdout, "coder templates push")
	require.FileExists(t, filepath.Join(dir, "main.tf"))
	p.run("templates", "init", "--id", "docker", dir).fails("is not empty")
	p.run("templates", "init").fails("nobody is there to answer", "--id")
	p.terminal = true
	other := filepath.Join(p.home, "other")
	p.types("99\nminimal\n", "templates", "init", other).succeeds()
	require.FileExists(t, filepath.Join(other, "main.tf"))
}

// TestAServerOfAnotherVersion: the command works, and says once that the two differ.
func TestAServerOfAnotherVersion(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	p := ownerOf(t, srv)
	p.vars["CODER_NO_VERSION_WARNING"] = ""
	got := p.run("users", "list").succeeds()
	require.Equal(t, 1, strings.Count(got.stderr, "version mismatch: this client is "), got.stderr)
	require.Contains(t, got.stderr, "the server at "+srv.URL+" is "+servertest.Version)
	require.Contains(t, got.stderr, "take the client of the server's release, or hide this with --no-version-warning")
	require.NotContains(t, got.stdout, "mismatch")
	require.NotContains(t, p.run("users", "list", "--no-version-warning").succeeds().stderr, "mismatch")
}
