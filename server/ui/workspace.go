package ui

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) workspaceRoutes(on *table) {
	on.list("/workspaces", u.workspaces)
	on.page(post, "/workspaces", u.actOnWorkspaces)
	on.page(post, "/workspaces/delete", u.deleteWorkspaces)
	on.page(get, "/workspaces/@/{owner}/{workspace}", u.workspace)
	on.page(post, "/workspaces/@/{owner}/{workspace}/{action}", u.actOnWorkspace)
	on.list("/workspaces/@/{owner}/{workspace}/builds", u.workspaceBuilds)
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
	Organizations []namedOrganization
	Query         string
	Organization  string
	Pager         pager
	// First is for whoever sees no workspace yet: nothing was looked for.
	First bool
	// Others is how many workspaces of other people there are to look at for
	// whoever has none.
	Others int
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
	joined, err := v.api.UserOrganizations(ctx, client.Me)
	if err != nil {
		return nil, err
	}
	for _, o := range joined {
		data.Organizations = append(data.Organizations, namedOrganization{o.Name, cmp.Or(o.DisplayName, o.Name)})
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
	if found.Count == 0 && data.Query == "owner:me" && data.Organization == "" {
		others, err := v.api.Workspaces(ctx, client.WorkspacesRequest{Page: client.Page{Limit: 1}})
		if err != nil {
			return nil, err
		}
		data.Others, data.First = others.Count, others.Count == 0
	}
	data.Busy = slices.ContainsFunc(found.Workspaces, func(w client.Workspace) bool { return !w.LatestBuild.Job.Ended() })
	return show("workspaces.html", data), nil
}

// Several tells whether rows say which organization they are of: to whoever is
// in several, and to whoever sees one of another than their own.
func (p *workspacesPage) Several() bool {
	return len(p.Organizations) > 1 || slices.ContainsFunc(p.Workspaces, func(w client.Workspace) bool {
		return len(p.Organizations) == 0 || w.OrganizationName != p.Organizations[0].Name
	})
}

// Rows are those of the table.
func (p *workspacesPage) Rows() template.HTML {
	m, several := rowsOf(len(p.Workspaces)), p.Several()
	for i := range p.Workspaces {
		w := &p.Workspaces[i]
		m.put(`<tr>
<td class="tick"><input type="checkbox" name="id" value="%" aria-label="Choose %/%"></td>
<td><span class="thing">%<span><a class="row" href="%">%</a><small>%</small></span></span></td>
<td>%`, w.ID, w.OwnerName, w.Name, avatar(w.OwnerName), workspacePath(w.OwnerName, w.Name), w.Name, w.OwnerName, pill(w.LatestBuild.Status))
		if w.Outdated {
			m.put(" %", pill("outdated"))
		}
		if w.DormantAt != nil {
			m.put(" %", pill("dormant"))
		}
		m.put(`</td>
<td data-label="Template"><a href="%">%</a></td>
`, templatePath(client.Template{OrganizationName: w.OrganizationName, Name: w.TemplateName}), cmp.Or(w.TemplateDisplayName, w.TemplateName))
		if several {
			m.put("<td data-label=\"Organization\">%</td>\n", organizationTitle(w))
		}
		m.put("<td class=\"nowrap\" data-label=\"Last used\">%</td>\n</tr>\n", p.since(w.LastUsedAt))
	}
	return m.html()
}

// organizationTitle is what people call the organization of a workspace.
func organizationTitle(w *client.Workspace) string {
	return cmp.Or(w.OrganizationDisplayName, w.OrganizationName)
}

// transitions are what may be done to many workspaces at a time.
var transitions = map[string]string{"start": "started", "stop": "stopped"}

// actOnWorkspaces starts or stops what was ticked, and says what did not work
// and why.
func (u *UI) actOnWorkspaces(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	outcome, known := transitions[values.Get("action")]
	if !known {
		return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "Choose to start or to stop."}
	}
	said, err := v.buildAll(ctx, values["id"], values.Get("action"), outcome)
	return redirect{to: localPath(cmp.Or(values.Get("back"), "/workspaces")), said: said}, err
}

// buildAll asks for the same build of several workspaces. The error is that
// of a session that has ended; all others are told.
func (v *visit) buildAll(ctx context.Context, ids []string, transition, outcome string) (said string, err error) {
	done, refused := 0, []string{}
	for _, text := range ids {
		id, err := uuid.Parse(text)
		if err == nil {
			_, err = v.api.CreateWorkspaceBuild(ctx, id, client.CreateWorkspaceBuildRequest{Transition: transition, Reason: client.BuildReasonDashboard})
		}
		if isUnauthorized(err) {
			return "", err
		}
		if err != nil {
			refused = append(refused, refusalText(err))
			continue
		}
		done++
	}
	said = plural(done, "workspace") + " will be " + outcome + "."
	if len(refused) > 0 {
		slices.Sort(refused)
		said += " " + strconv.Itoa(len(refused)) + " will not: " + strings.Join(slices.Compact(refused), " ")
	}
	return said, nil
}

type workspacesDeletePage struct {
	page
	Form       form
	Workspaces []client.Workspace
}

// maxBatch is how many workspaces one form may delete.
const maxBatch = 100

// deleteWorkspaces shows what was ticked, and deletes it once that is confirmed.
func (u *UI) deleteWorkspaces(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	ids := values["id"]
	if len(ids) == 0 || len(ids) > maxBatch {
		return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "Choose between 1 and " + strconv.Itoa(maxBatch) + " workspaces."}
	}
	p := &workspacesDeletePage{}
	if p.page, err = v.page(ctx, "Delete workspaces"); err != nil {
		return nil, err
	}
	found, err := v.api.Workspaces(ctx, client.WorkspacesRequest{Query: "id:" + strings.Join(ids, ","), Page: client.Page{Limit: maxBatch}})
	if err != nil {
		return nil, err
	}
	p.Workspaces, p.Form = found.Workspaces, confirmation("delete "+strconv.Itoa(len(ids)))
	if !values.Has("confirm") {
		return show("workspaces_delete.html", p), nil
	}
	p.Form.read(values)
	if status, ok := p.Form.refused(p.Form.confirmed("delete " + strconv.Itoa(len(ids)))); ok {
		return showAs(status, "workspaces_delete.html", p), nil
	}
	said, err := v.buildAll(ctx, ids, "delete", "deleted")
	return redirect{to: "/workspaces", said: said}, err
}
