package ui

import (
	"context"
	"fmt"
	"strconv"

	"coder/client"
)

func (u *UI) workspaceStateRoutes(on *table) {
	on.page(get, "/workspaces/@/{owner}/{workspace}/states", u.workspaceStates)
	on.page(get, "/workspaces/@/{owner}/{workspace}/states/{version}/restore", u.restoreStateForm)
	on.page(post, "/workspaces/@/{owner}/{workspace}/states/{version}/restore", u.restoreState)
}

type workspaceStatesPage struct {
	workspacePage
	States []client.WorkspaceState
	// Salvage is how many of all versions the next build merges.
	Salvage int
	Pager   pager
}

func (u *UI) workspaceStates(ctx context.Context, v *visit) (reply, error) {
	w, err := v.workspacePage(ctx, "states", "States")
	if err != nil {
		return nil, err
	}
	found, err := v.api.PaginatedWorkspaceStates(ctx, w.Workspace.ID, client.Page{Limit: listed, Offset: v.offset()})
	if err != nil {
		return nil, err
	}
	return show("workspace_states.html", &workspaceStatesPage{
		workspacePage: w, States: found.States, Salvage: found.Salvage, Pager: v.pager(v.offset(), len(found.States), found.Count),
	}), nil
}

// Content is where a version itself is.
func (p workspacePage) Content(s client.WorkspaceState) string {
	return fmt.Sprintf("/api/v2/workspaces/%s/states/%d", p.Workspace.ID, s.Version)
}

// StateOrigin says where a version comes from.
func (workspacePage) StateOrigin(s client.WorkspaceState) string {
	switch {
	case s.CreatedBy != nil && s.RestoredFrom != 0:
		return fmt.Sprintf("Version %d, restored by %s", s.RestoredFrom, s.CreatedBy.Username)
	case s.CreatedBy != nil:
		return "Pushed by " + s.CreatedBy.Username
	case s.Merge:
		return "A merge of salvage"
	case s.Recovered && s.MergedBuildNumber == 0:
		return "A provisioner, after the database was restored from an older copy"
	case s.MergedBuildNumber != 0:
		return fmt.Sprintf("A provisioner that had lost the build; merged for build %d", s.MergedBuildNumber)
	case s.Kind == client.StateSalvage:
		return "A provisioner that had lost the build"
	case s.AttemptNumber > 1:
		return fmt.Sprintf("A provisioner, attempt %d", s.AttemptNumber)
	}
	return "A provisioner"
}

type stateRestorePage struct {
	workspacePage
	Form    form
	State   client.WorkspaceState
	Current *client.WorkspaceState
}

func (u *UI) stateRestorePage(ctx context.Context, v *visit) (*stateRestorePage, error) {
	number, err := strconv.ParseInt(v.path("version"), 10, 64)
	if err != nil {
		return nil, errNoPage
	}
	w, err := v.workspacePage(ctx, "states", "Restore state version "+v.path("version"))
	if err != nil {
		return nil, err
	}
	states, err := v.api.WorkspaceStates(ctx, w.Workspace.ID)
	if err != nil {
		return nil, err
	}
	p := &stateRestorePage{workspacePage: w, Form: confirmation(w.Workspace.Name)}
	for _, s := range states {
		if s.Kind == client.StateCurrent {
			p.Current = &s
		}
		if s.Version == number {
			p.State = s
		}
	}
	if p.State.Version == 0 {
		return nil, errNoPage
	}
	return p, nil
}

func (u *UI) restoreStateForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.stateRestorePage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("workspace_state_restore.html", p), nil
}

func (u *UI) restoreState(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.stateRestorePage(ctx, v)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	var restored client.WorkspaceState
	if err = p.Form.confirmed(p.Workspace.Name); err == nil {
		restored, err = v.api.RestoreWorkspaceState(ctx, p.Workspace.ID, p.State.Version)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "workspace_state_restore.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("states"), said: fmt.Sprintf("Version %d, a copy of version %d, is the current state. The next build starts from it.", restored.Version, p.State.Version)}, nil
}

// byteSize is a number of bytes with three digits at most, as the CLI says it.
func byteSize(n int64) string {
	size := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if size < 1000 {
			return fmt.Sprintf("%.3g %s", size, unit)
		}
		size /= 1024
	}
	return fmt.Sprintf("%.3g TiB", size)
}
