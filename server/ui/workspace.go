package ui

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) workspaceRoutes(on *table) {
	on.page(get, "/workspaces", u.workspaces)
	on.page(post, "/workspaces", u.actOnWorkspaces)
	on.page(get, "/workspaces/@/{owner}/{workspace}", u.workspace)
	on.page(post, "/workspaces/@/{owner}/{workspace}/{action}", u.actOnWorkspace)
	on.page(get, "/workspaces/@/{owner}/{workspace}/builds", u.workspaceBuilds)
	on.page(get, "/workspaces/@/{owner}/{workspace}/builds/{number}", u.workspaceBuild)
}

// workspacePath is the address of a page of a workspace.
func workspacePath(owner, name string, parts ...string) string {
	path := "/@" + url.PathEscape(owner) + "/" + url.PathEscape(name)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// listed is how many rows a page of a list has.
const listed = 25

type workspacesPage struct {
	page
	Workspaces []client.Workspace
	// Organizations are to narrow by; a single one is not offered.
	Organizations []client.Organization
	Query         string
	Organization  string
	Pager         pager
	// First is for whoever has no workspace yet: nothing was looked for.
	First bool
	// Busy: something is being built, so the list looks again by itself.
	Busy bool
	// Problem is what is wrong with the search.
	Problem string
}

func (u *UI) workspaces(ctx context.Context, v *visit) (reply, error) {
	p, err := v.page(ctx, "Workspaces")
	if err != nil {
		return nil, err
	}
	data := &workspacesPage{page: p, Query: strings.TrimSpace(v.query("q")), Organization: v.query("organization")}
	if !v.r.URL.Query().Has("q") {
		data.Query = "owner:me"
	}
	if data.Organizations, err = v.api.UserOrganizations(ctx, client.Me); err != nil {
		return nil, err
	}
	offset := v.offset()
	q := data.Query
	if data.Organization != "" {
		q += " organization:" + data.Organization
	}
	found, err := v.api.Workspaces(ctx, client.WorkspacesRequest{Query: q, Page: client.Page{Limit: listed, Offset: offset}})
	if client.StatusCode(err) == http.StatusBadRequest {
		data.Problem = refusalText(err)
		return showAs(http.StatusBadRequest, "workspaces.html", data), nil
	}
	if err != nil {
		return nil, err
	}
	data.Workspaces = found.Workspaces
	data.Pager = v.pager(offset, len(found.Workspaces), found.Count)
	data.First = found.Count == 0 && data.Query == "owner:me" && data.Organization == ""
	data.Busy = slices.ContainsFunc(found.Workspaces, func(w client.Workspace) bool { return !w.LatestBuild.Job.Ended() })
	return show("workspaces.html", data), nil
}

// Path is the address of a workspace's page.
func (workspacesPage) Path(w client.Workspace) string { return workspacePath(w.OwnerName, w.Name) }

// transitions are what may be done to many workspaces at a time.
var transitions = map[string]string{"start": "started", "stop": "stopped", "delete": "deleted"}

// actOnWorkspaces starts, stops or deletes what was ticked, and says what did
// not work and why.
func (u *UI) actOnWorkspaces(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	action := values.Get("action")
	outcome, known := transitions[action]
	if !known {
		return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "Choose start, stop or delete."}
	}
	done, failed := 0, []string{}
	for _, text := range values["id"] {
		id, err := uuid.Parse(text)
		if err == nil {
			_, err = v.api.CreateWorkspaceBuild(ctx, id, client.CreateWorkspaceBuildRequest{Transition: action, Reason: client.BuildReasonDashboard})
		}
		if isUnauthorized(err) {
			return nil, err
		}
		if err != nil {
			failed = append(failed, refusalText(err))
			continue
		}
		done++
	}
	said := plural(done, "workspace") + " will be " + outcome + "."
	if len(failed) > 0 {
		slices.Sort(failed)
		said += " " + strconv.Itoa(len(failed)) + " not: " + strings.Join(slices.Compact(failed), " ")
	}
	return redirect{to: localPath(cmp.Or(values.Get("back"), "/workspaces")), said: said}, nil
}
