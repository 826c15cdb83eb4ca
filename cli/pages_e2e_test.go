//go:build e2e

package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/browser"
)

// deploymentByHand is a server as an operator starts it, with no daemon of its own.
type deploymentByHand struct {
	t   *testing.T
	bin string
	dir string
	URL string
	// killServer ends the server at once.
	killServer func()
}

func startDeployment(t *testing.T) *deploymentByHand {
	t.Helper()
	d := &deploymentByHand{t: t, bin: filepath.Join(buildBinary(t), "coder"), dir: t.TempDir()}
	d.server("127.0.0.1:0")
	return d
}

// server starts the server on an address.
func (d *deploymentByHand) server(address string) {
	d.t.Helper()
	log, cmd := d.start(nil, "server", "--http-address", address, "--data-dir", filepath.Join(d.dir, "data"), "--provisioner-daemons", "0")
	d.URL = d.await(log, regexp.MustCompile(`View the Web UI: (\S+)`))
	d.killServer = func() { _ = cmd.Process.Kill() }
}

// start runs the binary until the test ends, and returns the name of its log.
func (d *deploymentByHand) start(env []string, args ...string) (string, *exec.Cmd) {
	d.t.Helper()
	log, err := os.CreateTemp(d.dir, "log")
	require.NoError(d.t, err)
	cmd := exec.Command(d.bin, args...)
	cmd.Env = append(append(os.Environ(), "CODER_CONFIG_DIR="+filepath.Join(d.dir, "config"), "CODER_CACHE_DIRECTORY="+filepath.Join(d.dir, "cache")), env...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(d.t, cmd.Start())
	d.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-done
		}
		if d.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			d.t.Logf("%s:\n%s", strings.Join(args, " "), text)
		}
		log.Close()
	})
	return log.Name(), cmd
}

// await reads a log until it has what is looked for.
func (d *deploymentByHand) await(log string, what *regexp.Regexp) string {
	d.t.Helper()
	found := ""
	require.Eventually(d.t, func() bool {
		text, _ := os.ReadFile(log)
		m := what.FindSubmatch(text)
		if m != nil {
			found = string(m[1])
		}
		return m != nil
	}, patience, 20*time.Millisecond, what)
	return found
}

// visitor is somebody with a browser, whose every step must go well.
type visitor struct {
	t *testing.T
	*browser.Browser
}

func (d *deploymentByHand) person() *visitor {
	d.t.Helper()
	b, err := browser.Start(context.WithoutCancel(d.t.Context()), d.URL)
	require.NoError(d.t, err, "Chromium must be on PATH; .ci/install.sh installs it")
	d.t.Cleanup(b.Close)
	return &visitor{d.t, b}
}

func (p *visitor) open(path string)         { p.t.Helper(); require.NoError(p.t, p.Open(path)) }
func (p *visitor) click(text string)        { p.t.Helper(); require.NoError(p.t, p.Click(text)) }
func (p *visitor) see(text string)          { p.t.Helper(); require.NoError(p.t, p.See(text)) }
func (p *visitor) fill(label, value string) { p.t.Helper(); require.NoError(p.t, p.Fill(label, value)) }

// calm fails when the browser had anything to complain of since the last time.
func (p *visitor) calm() {
	p.t.Helper()
	require.Empty(p.t, p.Troubles())
}

const pagesPassword = "Correct-Horse-Battery-9"

// setUp makes the first user.
func (p *visitor) setUp() {
	p.t.Helper()
	p.open("/")
	p.fill("Username", "ada")
	p.fill("Email", "ada@example.com")
	p.fill("Password", pagesPassword)
	p.click("Create the owner")
	p.see("You own this deployment")
}

// TestEndToEndPages goes through the guide with a browser only: set-up,
// organization, key, template, workspace and its end; a real daemon, started
// as the page says, runs the real engine.
func TestEndToEndPages(t *testing.T) {
	d := startDeployment(t)
	p := d.person()
	p.setUp()
	p.organization()
	p.calm()
	d.daemon(p)
	p.template()
	p.workspace()
	p.calm()
}

func (p *visitor) organization() {
	p.t.Helper()
	p.open("/organizations")
	p.click("New organization")
	p.fill("Name", "data-platform")
	p.click("Create organization")
	p.see("data-platform was created")
}

// daemon makes a key on the page, and starts what the page says.
func (d *deploymentByHand) daemon(p *visitor) {
	d.t.Helper()
	p.open("/organizations/data-platform/keys")
	p.click("New key")
	p.fill("Name", "data-cluster-key")
	p.click("Create key")
	p.see("CODER_PROVISIONER_DAEMON_KEY")
	text, err := p.Text()
	require.NoError(d.t, err)
	env := []string{}
	for _, line := range regexp.MustCompile(`export (CODER_\w+=\S+)`).FindAllStringSubmatch(text, -1) {
		env = append(env, line[1])
	}
	require.Len(d.t, env, 2, "two export lines: %s", text)
	command := regexp.MustCompile(`coder (provisionerd start --org \S+)`).FindStringSubmatch(text)
	require.NotNil(d.t, command, text)
	d.start(env, strings.Fields(command[1])...)
	p.see("joined. Next: make a template")
	p.open("/organizations/data-platform/provisioners")
	p.see("idle")
}

// template begins with a starter, and looks on as it is imported.
func (p *visitor) template() {
	p.t.Helper()
	p.open("/templates")
	p.click("New template")
	p.see("From a directory, on the command line")
	require.NoError(p.t, p.Choose("Organization", "data-platform"))
	p.see("1 provisioner of it is here")
	require.NoError(p.t, p.Tick("Starter: Minimal"))
	p.fill("Name", "minimal")
	p.click("Import")
	p.see("Detecting ephemeral resources")
	p.see("The import has succeeded")
	p.click("Create template")
	p.see("The template minimal was made")
}

// workspace makes one, reads its log as it is written, stops and deletes it.
func (p *visitor) workspace() {
	p.t.Helper()
	p.open("/templates/data-platform/minimal/workspace")
	p.fill("Name", "dev1")
	p.mistypes()
	p.fill("Cores", "4")
	require.NoError(p.t, p.SeeGone("Choose between"))
	p.click("Create workspace")
	p.see("Apply complete!")
	p.see("running")
	p.see("Cores 4")
	require.NoError(p.t, p.SeeGone("is being made"))
	heard, err := p.Read("#announced")
	require.NoError(p.t, err)
	require.Equal(p.t, "dev1: running", heard, "read out when it has come")
	p.stagesTook()
	p.click("Stop")
	p.see("stopped")
	p.click("Start")
	p.see("running")
	p.click("Delete")
	p.fill("Type dev1 to confirm", "dev1")
	p.click("Delete the workspace")
	p.see("dev1 is gone")
	path, err := p.Path()
	require.NoError(p.t, err)
	require.Equal(p.t, "/workspaces", path)
}

// mistypes sees what is wrong beside the field while it is typed, where it is
// read out, and nothing moves.
func (p *visitor) mistypes() {
	p.t.Helper()
	const where = `JSON.stringify([...document.querySelectorAll("main button, main .field")].map((e) => e.getBoundingClientRect().top))`
	var before, after, blamed string
	require.NoError(p.t, p.Evaluate(where, &before))
	p.fill("Cores", "99")
	p.see("Choose between 1 and 16 cores, not 99.")
	require.NoError(p.t, p.Evaluate(where, &after))
	require.Equal(p.t, before, after, "the page jumped")
	require.NoError(p.t, p.Evaluate(`(() => {
		const at = document.activeElement, told = at.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id));
		return [at.name, at.getAttribute("aria-invalid"), told.find((e) => e.getAttribute("aria-live") === "polite").innerText].join("|");
	})()`, &blamed))
	require.Equal(p.t, "parameter.cores|true|Choose between 1 and 16 cores, not 99.", blamed)
}

// stagesTook reads that each stage of an ended log says how long it took.
func (p *visitor) stagesTook() {
	p.t.Helper()
	require.NoError(p.t, p.SeeGone("so far"))
	var took []string
	require.NoError(p.t, p.Evaluate(`[...document.querySelectorAll(".log .stage .took")].map((s) => s.innerText)`, &took))
	require.NotEmpty(p.t, took)
	for _, text := range took {
		require.Regexp(p.t, `^[0-9.]+ (s|min [0-9]+ s)$`, text)
	}
}

// TestEndToEndEveryPage adds somebody to an organization as their name is
// typed, and then looks at every kind of page, wide and on a phone: nothing
// sticks out, nothing is without a name, nothing jumps, no error is reported.
func TestEndToEndEveryPage(t *testing.T) {
	d := startDeployment(t)
	p := d.person()
	p.setUp()
	p.organization()
	d.daemon(p)
	p.template()
	p.workspaceForLooks(d)
	p.adds(d)
	p.calm()
	starts := []string{"/workspaces", "/@ada/dev1", "/organizations/data-platform/members", "/templates/data-platform/minimal"}
	p.everyPage("ada", 1280, false, starts, 56)
	p.everyPage("ada", 375, true, starts, 56)
	p.everyPersonsPages(d)
}

// everyPage looks at each kind of page, at least so many of them.
func (p *visitor) everyPage(who string, width int64, dark bool, starts []string, least int) {
	p.t.Helper()
	require.NoError(p.t, p.Look(width, dark))
	var pages []string
	require.NoError(p.t, p.Every(starts, func(path string) error {
		wrongs, err := p.Wrongs()
		for _, wrong := range append(wrongs, p.Troubles()...) {
			p.t.Errorf("%s, %d px, %s: %s", who, width, path, wrong)
		}
		pages = append(pages, path)
		return err
	}))
	require.GreaterOrEqual(p.t, len(pages), least, "%s: %v", who, pages)
}

// everyPersonsPages looks at every kind of page as those who may less, each at
// one width. A page that they are led to and refused is an error of the browser.
func (p *visitor) everyPersonsPages(d *deploymentByHand) {
	p.t.Helper()
	for i, who := range []struct {
		name, org string
		role      []string
		width     int64
		least     int
	}{
		{"admin", "data-platform", []string{"organizations", "members", "edit-roles", "admin", "organization-admin", "--org", "data-platform"}, 375, 40},
		{"auditor", "data-platform", []string{"users", "edit-roles", "auditor", "--roles", "auditor", "--yes"}, 1280, 15},
		{"member", "data-platform", nil, 375, 20},
		{"outsider", "coder", nil, 1280, 10},
	} {
		d.command("users", "create", "--username", who.name, "--email", who.name+"@example.com", "--password", pagesPassword, "--org", who.org)
		if who.role != nil {
			d.command(who.role...)
		}
		starts := []string{"/workspaces", "/templates", "/organizations"}
		if who.org == "data-platform" {
			d.command("create", who.name+"/dev"+strconv.Itoa(i), "--template", "minimal", "--org", "data-platform", "--use-parameter-defaults", "--yes")
			starts = append(starts, "/@"+who.name+"/dev"+strconv.Itoa(i))
		}
		require.NoError(p.t, p.Forget())
		p.open("/")
		p.fill("Email", who.name+"@example.com")
		p.fill("Password", pagesPassword)
		p.click("Sign in")
		p.see("New workspace")
		p.calm()
		p.everyPage(who.name, who.width, i%2 == 0, starts, who.least)
	}
}

// workspaceForLooks makes one that stays, and one whose name is long.
func (p *visitor) workspaceForLooks(d *deploymentByHand) {
	p.t.Helper()
	d.command("login", d.URL, "--email", "ada@example.com")
	for _, name := range []string{"dev1", "a-name-as-long-as-any-may-be-123"} {
		d.command("create", name, "--template", "minimal", "--org", "data-platform", "--use-parameter-defaults", "--yes")
	}
	d.command("groups", "create", "backend", "--org", "data-platform")
}

// adds finds somebody by a part of their name, without pressing anything.
func (p *visitor) adds(d *deploymentByHand) {
	p.t.Helper()
	d.command("users", "create", "--username", "grace-hopper", "--email", "grace@example.com", "--password", pagesPassword, "--org", "coder")
	p.open("/organizations/data-platform/members")
	p.click("Add a member")
	p.fill("Username or email of the new member", "hopp")
	require.NoError(p.t, p.SeeGone("Already in"))
	p.see("grace@example.com")
	require.NoError(p.t, p.Evaluate(`document.querySelector("[aria-label='Add grace-hopper']").click()`, nil))
	p.see("grace-hopper is a member now")
}

// walkTemplate asks to choose, and takes its time.
const walkTemplate = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}

data "coder_parameter" "region" {
  name         = "region"
  display_name = "Region"
  default      = "eu"
  form_type    = "radio"
  option {
    name  = "Europe"
    value = "eu"
  }
  option {
    name  = "America"
    value = "us"
  }
}

resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "for i in 1 2 3 4 5 6; do echo still at it in ${data.coder_parameter.region.value} $i; sleep 0.5; done"
  }
}
`

// TestEndToEndPagesByKeyboard signs in, makes a workspace, follows its log,
// stops it and deletes it without a mouse. Each Tab shows where one is.
func TestEndToEndPagesByKeyboard(t *testing.T) {
	d := startDeployment(t)
	d.command("login", d.URL, "--first-user-username", "ada", "--first-user-email", "ada@example.com")
	d.start(nil, "provisionerd", "start", "--org", "coder")
	source := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(source, "main.tf"), []byte(walkTemplate), 0o600))
	d.command("templates", "push", "walk", "--directory", source, "--yes")
	p := d.person()
	p.open("/")
	p.at("Email", "ada@example.com")
	p.at("Password", pagesPassword, browser.Enter)
	p.see("Your first workspace")
	p.at("Skip to the content", browser.Enter, browser.Tab)
	require.Equal(t, "New workspace", p.focus(), "behind the bar")
	p.press(browser.Enter)
	p.see("Choose a template")
	p.at("Create a workspace of walk", browser.Enter)
	p.see("New workspace")
	p.at("Name", "dev1")
	p.at("Europe", browser.ArrowDown)
	require.Equal(t, "America", p.focus())
	p.at("Create workspace", browser.Space)
	p.see("still at it in us 1")
	p.at("Cancel")
	p.see("running")
	require.NoError(t, p.SeeGone("Cancel"))
	require.NotEmpty(t, p.focus(), "the button is gone, and the place is kept")
	p.at("Log")
	p.at("Stop", browser.Space)
	p.see("is being stopped")
	require.NoError(t, p.SeeGone("Cancel"))
	p.at("Delete", browser.Enter)
	p.at("Type dev1 to confirm", "dev1")
	p.at("Delete the workspace", browser.Enter)
	p.see("dev1 is gone")
	p.administers()
	p.calm()
}

// administers does without a mouse what administrators do: a user, a group and
// its members, a role, a key, permissions, sharing, a schedule, the audit log.
func (p *visitor) administers() {
	p.t.Helper()
	p.at("Deployment", browser.Enter, browser.Tab)
	require.Equal(p.t, "Organizations", p.focus())
	p.press(browser.Escape)
	require.Equal(p.t, "Deployment", p.focus(), "a menu gives the place back")
	p.press(browser.Enter)
	p.at("Your account", browser.Tab)
	var open int
	require.NoError(p.t, p.Evaluate(`document.querySelectorAll("details.menu[open]").length`, &open))
	require.Zero(p.t, open, "and closes when one goes on")

	p.open("/users/new")
	p.at("Username", "bob")
	p.at("Email", "bob@example.com")
	p.at("Generate a password", browser.Space)
	p.at("Create user", browser.Enter)
	p.see("The user bob was created")
	p.open("/organizations/coder/groups/new")
	p.at("Name", "backend", browser.Enter)
	p.see("The group backend was created")
	p.at("Username or email", "bo")
	p.see("bob@example.com")
	p.at("Add bob", browser.Space)
	p.see("Added to backend")
	p.at("Done", browser.Enter)
	p.at("Remove bob …", browser.Enter)
	require.Equal(p.t, "Remove bob from the group", p.focus(), "what was there is gone, and the place moves on")
	require.NoError(p.t, p.Evaluate(`(async () => {
		const asks = document.activeElement.closest("details");
		for (const open of [false, true]) {
			const toggled = new Promise((done) => asks.addEventListener("toggle", done, { once: true }));
			asks.open = open;
			await toggled;
		}
		asks.querySelector("button").click();
	})()`, nil))
	require.Equal(p.t, "Remove bob from the group", p.focus(), "a second click at once is no answer")
	p.press(browser.Escape)
	require.Equal(p.t, "Remove bob …", p.focus(), "and comes back")
	p.open("/organizations/coder/roles/new")
	p.at("Name", "reader")
	p.at("read Template", browser.Space)
	p.at("Rarely needed", browser.Enter)
	p.at("Create role", browser.Enter)
	p.see("The role reader was created")
	p.open("/organizations/coder/keys/new")
	p.at("Name", "a-key", browser.Enter)
	p.see("This is the only time that the key is shown")
	p.at("Copy", browser.Space)
	p.see("Copied")

	p.open("/templates/coder/walk/permissions")
	p.at("Name", "back")
	p.see("Add to use")
	p.at("Let backend use it", browser.Space)
	p.see("Make admin")
	p.open("/templates/new")
	p.at("Starter: Docker", browser.ArrowUp)
	require.Contains(p.t, p.focus(), "An archive of my own")
	p.press(browser.Tab)
	require.Contains(p.t, p.focus(), "Archive")
	p.at("Name", "mine", browser.Enter)
	require.Contains(p.t, p.focus(), "Archive", "a browser asks for what is missing")
	p.open("/templates/coder/walk/workspace")
	p.at("Name", "dev2", browser.Enter)
	p.see("running")
	p.open("/@ada/dev2/sharing")
	p.at("Member or group", "bob", browser.Escape)
	p.at("Share", browser.Enter)
	p.see("It is shared with bob")
	p.open("/@ada/dev2/schedule")
	p.at("Stop after", "8h", browser.Enter)
	p.see("was saved")
	p.open("/audit")
	p.at("Action", "c")
	p.at("Search", browser.Enter)
	p.at("Clear")
	p.open("/health")
	p.at("Look again", browser.Enter)
	p.see("Health")
}

// at goes to a control by Tab and presses keys there.
func (p *visitor) at(name string, keys ...string) {
	p.t.Helper()
	require.NoError(p.t, p.TabTo(name))
	if len(keys) > 0 {
		p.press(keys...)
	}
}

func (p *visitor) press(keys ...string) { p.t.Helper(); require.NoError(p.t, p.Press(keys...)) }

func (p *visitor) focus() string {
	p.t.Helper()
	name, err := p.Focus()
	require.NoError(p.t, err)
	return name
}

// slowTemplate writes a line every half second for a while.
const slowTemplate = `
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo still at it $i; sleep 0.5; done"
  }
}
`

// TestEndToEndPagesOutliveTheServer kills the server under an open log: the
// page says so, comes back by itself, and misses no line.
func TestEndToEndPagesOutliveTheServer(t *testing.T) {
	d := startDeployment(t)
	p := d.person()
	p.setUp()
	d.command("login", d.URL, "--email", "ada@example.com")
	d.start(nil, "provisionerd", "start", "--org", "coder")
	source := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(source, "main.tf"), []byte(slowTemplate), 0o600))
	d.command("templates", "push", "slow", "--directory", source, "--yes")
	p.open("/templates/coder/slow/workspace")
	p.fill("Name", "dev1")
	p.click("Create workspace")
	p.see("still at it 2")
	d.killServer()
	p.see("The server does not answer")
	d.server(strings.TrimPrefix(d.URL, "http://"))
	p.see("still at it 12")
	p.see("running")
	require.NoError(t, p.SeeGone("The server does not answer"))
	var lines []string
	require.NoError(t, p.Evaluate(`[...document.querySelectorAll(".log .line")].map((l) => l.innerText).filter((l) => l.includes("): still at it"))`, &lines))
	for i, line := range lines {
		require.Contains(t, line, fmt.Sprintf("still at it %d", i+1), lines)
	}
	require.Len(t, lines, 12)
}

// command runs a command to its end.
func (d *deploymentByHand) command(args ...string) {
	d.t.Helper()
	cmd := exec.Command(d.bin, args...)
	cmd.Env = append(os.Environ(), "CODER_CONFIG_DIR="+filepath.Join(d.dir, "config"), "CODER_LOGIN_PASSWORD="+pagesPassword, "CODER_FIRST_USER_PASSWORD="+pagesPassword)
	out, err := cmd.CombinedOutput()
	require.NoError(d.t, err, "%s", out)
}
