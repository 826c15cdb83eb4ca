package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/server/ui"
)

// pageValues are what stands for the parameters of pages, where everything exists.
func pageValues(t *testing.T, s *scene) map[string]string {
	t.Helper()
	version, err := s.Client.TemplateVersion(t.Context(), s.template.ActiveVersionID)
	require.NoError(t, err)
	w, err := s.Client.WorkspaceByOwnerAndName(t.Context(), "dev1", "runs")
	require.NoError(t, err)
	return map[string]string{
		"organization": s.org.Name, "template": s.template.Name, "version": version.Name, "workspace": w.Name, "owner": "dev1", "user": "dev1",
		"group": "builders", "role": "watcher", "key": "worker", "daemon": s.worker.id.String(), "job": w.LatestBuild.Job.ID.String(), "number": "1", "action": "stop",
	}
}

// missingValues stand for nothing, and have the same form.
func missingValues(there map[string]string) map[string]string {
	out := map[string]string{"number": there["number"], "action": there["action"]}
	for name, value := range there {
		if out[name] != "" {
			continue
		}
		out[name] = "x" + uuid.NewString()[:8]
		if _, err := uuid.Parse(value); err == nil {
			out[name] = uuid.NewString()
		}
	}
	return out
}

func with(values map[string]string, name, value string) map[string]string {
	out := map[string]string{}
	for n, v := range values {
		out[n] = v
	}
	out[name] = value
	return out
}

// visited is a page as a person gets it, without what was asked for.
func visited(t *testing.T, s *servertest.Server, token, method, path string, values map[string]string) (status int, text string) {
	t.Helper()
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	require.NotContains(t, path, "{", "nothing is known to stand for a parameter: add it to pageValues")
	form := url.Values{"name": {"anything"}, "confirm": {values["template"]}, "user": {values["user"]}}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+strings.Replace(path, "/workspaces/@/", "/@", 1), strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: token})
	r := servertest.Do(t, req)
	text = r.Body + "\n" + r.Header.Get("Location")
	for name, value := range values {
		if len(value) > 3 && name != "action" {
			text = strings.ReplaceAll(text, value, "SAID")
		}
	}
	return r.Status, text
}

// Every page and form, as people of another organization: what is there looks
// like what is not.
func TestPagesOfAnotherOrganizationLookLikeNone(t *testing.T) {
	t.Parallel()
	s := populated(t)
	home := s.Organization(t, "outside")
	there := pageValues(t, s)
	tried := 0
	for _, role := range []string{"", client.RoleOrgAdmin} {
		var held []string
		if role != "" {
			held = []string{role}
		}
		attacker := s.Person(t, home, held...)
		for _, pattern := range ui.Patterns() {
			method, path, _ := strings.Cut(pattern, " ")
			if !strings.Contains(path, "{") || strings.Contains(path, "{$}") {
				continue
			}
			ways := []map[string]string{there}
			if strings.Contains(path, "{organization}/") && strings.Count(path, "{") > 1 {
				ways = append(ways, with(there, "organization", home.Name))
			}
			for _, values := range ways {
				nowhere := missingValues(values)
				if values["organization"] == home.Name {
					nowhere["organization"] = home.Name
				}
				// An administrator may read every user, who are no secret then.
				if role != "" && (strings.Contains(path, "{user}") || strings.HasPrefix(path, "/users")) {
					nowhere["user"] = values["user"]
				}
				status, text := visited(t, s.Server, attacker.Token, method, path, values)
				wantStatus, wantText := visited(t, s.Server, attacker.Token, method, path, nowhere)
				require.Equal(t, wantStatus, status, "%s as %q with %v", pattern, role, values)
				require.Equal(t, passing.ReplaceAllString(wantText, "$1"), passing.ReplaceAllString(text, "$1"), "%s as %q with %v", pattern, role, values)
				tried++
			}
		}
	}
	require.Greater(t, tried, 150)
}

// muxed are the registrations on a mux of the server; each has a reason.
// handle and handleRaw put an operation into the table, the document and the
// mux at once, so what is in one is in all; page does the same for pages.
var muxed = map[string]string{
	"router.go handle":     "an operation of the table",
	"router.go handleRaw":  "a stream or download of the table",
	"routes.go rootRoutes": "health, latency, agents' programs, and the answer where there is no route",
	"run.go sideServers":   "profiles, at an address of their own",
	"ui/routes.go page":    "a page",
	"ui/ui.go Register":    "the pages and what they are made of",
}

// Nothing is served past the table.
func TestEveryRouteIsInTheTable(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, pattern := range []string{"*.go", "ui/*.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") {
				for _, fn := range registering(t, name) {
					found[filepath.ToSlash(name)+" "+fn] = true
				}
			}
		}
	}
	for where := range found {
		require.NotEmpty(t, muxed[where], "%s puts something on a mux that is in neither table: use handle, handleRaw or page", where)
	}
	for where := range muxed {
		require.True(t, found[where], "%s registers nothing any more", where)
	}
}

// registering are the functions of a file that put something on a mux.
func registering(t *testing.T, name string) (functions []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	require.NoError(t, err)
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Handle" || sel.Sel.Name == "HandleFunc") {
				functions = append(functions, fn.Name.Name)
			}
			return true
		})
	}
	return functions
}
