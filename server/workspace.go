package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) workspaceRoutes(r *router) {
	handle(r, post, "/organizations/{organization}/members/{user}/workspaces", "Create a workspace", onObject(authz.Create, authz.Workspace), a.createWorkspace, created)
	handle(r, post, "/users/{user}/workspaces", "Create a workspace in the organization of its template", onObject(authz.Create, authz.Workspace), a.createUserWorkspace, created)
	handle(r, get, "/organizations/{organization}/members/{user}/workspaces/available-users", "List users to create workspaces for", onObject(authz.Create, authz.Workspace), a.listWorkspaceOwners)
	handle(r, get, "/users/{user}/workspace/{name}", "Get a workspace by owner and name", onObject(authz.Read, authz.Workspace), a.getWorkspaceByName)
	handle(r, get, "/users/{user}/autofill-parameters", "List the values last used for a template", onObject(authz.ReadPersonal, authz.User), a.listAutofillParameters)
	handle(r, get, "/workspaces", "Search workspaces", session(), a.listWorkspaces)
	handle(r, get, "/workspaces/{workspace}", "Get a workspace", onObject(authz.Read, authz.Workspace), a.getWorkspace)
	handle(r, patch, "/workspaces/{workspace}", "Rename a workspace", onObject(authz.Update, authz.Workspace), a.renameWorkspace, noContent)
	handle(r, put, "/workspaces/{workspace}/favorite", "Mark a workspace as favorite", onObject(authz.Read, authz.Workspace), a.setFavorite(true), noContent)
	handle(r, del, "/workspaces/{workspace}/favorite", "Unmark a favorite workspace", onObject(authz.Read, authz.Workspace), a.setFavorite(false), noContent)
	handle(r, post, "/workspaces/{workspace}/usage", "Report that a workspace is in use", onObject(authz.Update, authz.Workspace), a.useWorkspace, noContent)
	handle(r, get, "/workspaces/{workspace}/timings", "Get how long the newest build took", onObject(authz.Read, authz.Workspace), a.getWorkspaceTimings)
	handle(r, get, "/workspaces/{workspace}/port-share", "List shared ports", onObject(authz.Read, authz.Workspace), a.listPortShares)
	handle(r, post, "/workspaces/{workspace}/port-share", "Share a port", onObject(authz.Update, authz.Workspace), a.sharePort)
	handle(r, del, "/workspaces/{workspace}/port-share", "Stop sharing a port", onObject(authz.Update, authz.Workspace), a.unsharePort, noContent)
	handleRaw(r, get, "/workspaces/{workspace}/watch", "Watch a workspace as server-sent events", onObject(authz.Read, authz.Workspace), a.watchWorkspace)
	handleRaw(r, get, "/workspaces/{workspace}/watch-ws", "Watch a workspace over a WebSocket", onObject(authz.Read, authz.Workspace), a.watchWorkspaceSocket)
	a.workspaceACLRoutes(r)
	a.workspaceScheduleRoutes(r)
	a.workspaceBuildRoutes(r)
	a.workspaceStateRoutes(r)
	a.workspaceStateVersionRoutes(r)
	a.workspaceAgentRoutes(r)
}

type WorkspacePath struct {
	Workspace uuid.UUID `path:"workspace" format:"uuid"`
}

type createWorkspaceInput struct {
	OrganizationPath
	UserPath
	Body client.CreateWorkspaceRequest
}

type createUserWorkspaceInput struct {
	UserPath
	Body client.CreateWorkspaceRequest
}

type getWorkspaceInput struct {
	WorkspacePath
	IncludeDeleted bool `query:"include_deleted"`
}

type WorkspaceNamePath struct {
	UserPath
	Name string `path:"name"`
}

type getWorkspaceByNameInput struct {
	WorkspaceNamePath
	IncludeDeleted bool `query:"include_deleted"`
}

type listWorkspacesInput struct {
	Query  string `query:"q" doc:"Words and key:value terms"`
	Limit  int32  `query:"limit" minimum:"0" maximum:"2147483647" doc:"0 is no limit"`
	Offset int32  `query:"offset" minimum:"0" maximum:"2147483647"`
}

type workspaceOwnersInput struct {
	OrganizationPath
	UserPath
	PageInput
}

type autofillInput struct {
	UserPath
	TemplateID uuid.UUID `query:"template_id" format:"uuid" required:"true"`
}

type renameWorkspaceInput struct {
	WorkspacePath
	Body client.UpdateWorkspaceRequest
}

// workspaceChanged wakes whoever watches the workspace.
func (a *api) workspaceChanged(id uuid.UUID) { a.bus.Publish(workspaceTopic(id)) }

// liveWorkspace loads one that is not deleted; the id of a deleted one is a 410.
func (a *api) liveWorkspace(ctx context.Context, action authz.Action, id uuid.UUID) (store.Workspace, error) {
	w, err := a.workspace(ctx, action, id)
	if err == nil && w.Deleted {
		err = errWorkspaceDeleted()
	}
	return w, err
}

func errWorkspaceDeleted() *client.Error {
	return refuse(http.StatusGone, "The workspace has been deleted.", "Add include_deleted=true to read what is left of it.")
}

func (a *api) getWorkspace(ctx context.Context, in *getWorkspaceInput) (*output[client.Workspace], error) {
	load := a.liveWorkspace
	if in.IncludeDeleted {
		load = a.workspace
	}
	w, err := load(ctx, authz.Read, in.Workspace)
	if err != nil {
		return nil, err
	}
	return a.workspaceReply(ctx, w.ID)
}

func (a *api) getWorkspaceByName(ctx context.Context, in *getWorkspaceByNameInput) (*output[client.Workspace], error) {
	w, err := a.workspaceByName(ctx, in.User, in.Name, in.IncludeDeleted)
	if err != nil {
		return nil, err
	}
	return a.workspaceReply(ctx, w.ID)
}

// workspaceByName finds a readable workspace by its owner and name.
func (a *api) workspaceByName(ctx context.Context, ownerRef, name string, deletedToo bool) (store.Workspace, error) {
	owner, err := a.findUser(ctx, ownerRef)
	if err != nil {
		return store.Workspace{}, err
	}
	w, err := a.store.GetWorkspaceByName(ctx, store.GetWorkspaceByNameParams{OwnerID: owner.ID, Name: name})
	if store.IsNotFound(err) && deletedToo {
		w, err = a.store.GetDeletedWorkspaceByName(ctx, store.GetDeletedWorkspaceByNameParams{OwnerID: owner.ID, Name: name})
	}
	if err != nil {
		return store.Workspace{}, err
	}
	return w, a.checkWorkspace(ctx, authz.Read, w)
}

func (a *api) listWorkspaces(ctx context.Context, in *listWorkspacesInput) (*output[client.WorkspacesResponse], error) {
	if err := a.listing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer a.listing.Release(1)
	search := parseSearch(in.Query, workspaceKeys()...)
	readable, err := a.readableWorkspaces(ctx, search)
	if err != nil {
		return nil, err
	}
	filter, err := a.workspaceFilter(ctx, search, readable)
	if err != nil {
		return nil, err
	}
	limit := rowLimit(in.Limit)
	ids, err := a.workspacePage(ctx, filter, readable, limit, in.Offset)
	if err != nil {
		return nil, fmt.Errorf("list workspaces: %w", err)
	}
	out := client.WorkspacesResponse{Count: len(ids)}
	// A first page that is not full has shown all there is.
	if in.Offset > 0 || len(ids) == int(limit) {
		if out.Count, err = a.countWorkspaces(ctx, filter, readable); err != nil {
			return nil, fmt.Errorf("count workspaces: %w", err)
		}
	}
	out.Workspaces, err = a.workspaceResponses(ctx, ids)
	if err != nil {
		return nil, err
	}
	return reply(out), nil
}

// rowLimit turns the API's 0, no limit, into the database's.
func rowLimit(limit int32) int32 {
	if limit == 0 {
		return allRows
	}
	return limit
}

func (a *api) createWorkspace(ctx context.Context, in *createWorkspaceInput) (*output[client.Workspace], error) {
	org, err := a.organization(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	owner, err := a.workspaceOwner(ctx, org.ID, in.User)
	if err != nil {
		return nil, err
	}
	template, version, err := a.templateToUse(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if template.OrganizationID != org.ID {
		return nil, forbidden(fmt.Sprintf("The template %q belongs to another organization.", template.Name))
	}
	return a.newWorkspace(ctx, owner, template, version, in.Body)
}

func (a *api) createUserWorkspace(ctx context.Context, in *createUserWorkspaceInput) (*output[client.Workspace], error) {
	template, version, err := a.templateToUse(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	owner, err := a.workspaceOwner(ctx, template.OrganizationID, in.User)
	if err != nil {
		return nil, err
	}
	return a.newWorkspace(ctx, owner, template, version, in.Body)
}

// workspaceOwner finds the member that the caller may create workspaces for.
func (a *api) workspaceOwner(ctx context.Context, organizationID uuid.UUID, ref string) (store.User, error) {
	if req := requestFrom(ctx); req.user != nil && (ref == client.Me || ref == req.user.ID.String()) {
		return a.selfAsOwner(ctx, organizationID)
	}
	user, err := a.findUser(ctx, ref)
	if err != nil {
		return store.User{}, err
	}
	if !subjectFrom(ctx).Can(authz.Create, authz.Object{Type: authz.Workspace, OrganizationID: organizationID, OwnerID: user.ID}) {
		return store.User{}, errNotFound()
	}
	_, err = a.store.GetMember(ctx, store.GetMemberParams{OrganizationID: organizationID, UserID: user.ID})
	return user, err
}

// selfAsOwner is workspaceOwner for the caller, whom the gate has just read.
func (a *api) selfAsOwner(ctx context.Context, organizationID uuid.UUID) (store.User, error) {
	req := requestFrom(ctx)
	may := req.subject.Can(authz.Create, authz.Object{Type: authz.Workspace, OrganizationID: organizationID, OwnerID: req.user.ID})
	if _, member := req.subject.Organizations[organizationID]; !may || !member {
		return store.User{}, errNotFound()
	}
	return *req.user, nil
}

// templateToUse finds what a new workspace is made from: a template's active
// version, or the version named.
func (a *api) templateToUse(ctx context.Context, req client.CreateWorkspaceRequest) (store.Template, store.TemplateVersion, error) {
	var none store.TemplateVersion
	templateID, versionID := givenID(req.TemplateID), givenID(req.TemplateVersionID)
	if (templateID == nil) == (versionID == nil) {
		return store.Template{}, none, invalid("template_id", "Give either template_id or template_version_id.")
	}
	if templateID != nil {
		template, err := a.usableTemplate(ctx, "template_id", *templateID)
		if err != nil {
			return store.Template{}, none, err
		}
		version, err := versionOf(ctx, a.store, template, template.ActiveVersionID)
		return template, version, err
	}
	version, err := a.templateVersion(ctx, authz.Read, *versionID)
	if store.IsNotFound(err) || client.StatusCode(err) == http.StatusNotFound {
		return store.Template{}, none, invalid("template_version_id", "There is no such template version.")
	}
	if err != nil {
		return store.Template{}, none, err
	}
	if version.TemplateID == nil {
		return store.Template{}, none, invalid("template_version_id", "This version belongs to no template yet.")
	}
	template, err := a.usableTemplate(ctx, "template_version_id", *version.TemplateID)
	return template, version, err
}

// usableTemplate loads a template for a new workspace. One that does not
// exist or is hidden is a wrong value in the body, one that was deleted a 404.
func (a *api) usableTemplate(ctx context.Context, field string, id uuid.UUID) (store.Template, error) {
	template, err := a.templateDeletedToo(ctx, authz.Read, id)
	switch {
	case store.IsNotFound(err) || client.StatusCode(err) == http.StatusNotFound:
		return template, invalid(field, "There is no such template.")
	case err != nil:
		return template, err
	case template.Deleted:
		return template, errNotFound()
	case !subjectFrom(ctx).Can(authz.Use, templateObject(template)):
		return template, forbidden(fmt.Sprintf("You may see the template %q, but not use it.", template.Name))
	case template.DeprecationMessage != "":
		return template, refuse(http.StatusBadRequest, fmt.Sprintf("The template %q is deprecated and makes no new workspaces.", template.Name), template.DeprecationMessage)
	}
	return template, nil
}

// newWorkspace makes the row and its first build, or neither.
func (a *api) newWorkspace(ctx context.Context, owner store.User, template store.Template, version store.TemplateVersion, req client.CreateWorkspaceRequest) (*output[client.Workspace], error) {
	row, err := a.newWorkspaceRow(owner, template, req)
	if err != nil {
		return nil, err
	}
	plan := buildPlan{
		workspace: store.Workspace{ID: row.ID, OrganizationID: row.OrganizationID, OwnerID: row.OwnerID, OwnerName: strings.ToLower(owner.Username), TemplateID: row.TemplateID, Name: row.Name},
		template:  template, version: version, transition: client.TransitionStart, reason: client.BuildReasonInitiator,
		requested: req.RichParameterValues, presetID: givenID(req.TemplateVersionPresetID), initiator: callerID(ctx), mayAnyVersion: a.mayAnyVersion(ctx, template),
	}
	if owner.Status == client.UserSuspended {
		return nil, badRequest(fmt.Sprintf("The account of %s is suspended; its workspaces do not start.", owner.Username))
	}
	if err := a.preparePlan(ctx, &plan); err != nil {
		return nil, err
	}
	made, err := a.insertWorkspace(ctx, row, plan)
	if store.IsConflict(err) {
		return nil, taken("Workspace", req.Name, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("create workspace: %w", err)
	}
	a.buildPosted(made)
	return a.workspaceReply(ctx, row.ID)
}

// insertWorkspace adds a workspace as it is once its first build is asked for:
// nobody knows of it before, so there is nothing to lock.
func (a *api) insertWorkspace(ctx context.Context, row store.InsertWorkspaceParams, plan buildPlan) (made madeBuild, err error) {
	over, err := a.queues.turn(ctx, row.OrganizationID, turnNewWorkspace)
	if err != nil {
		return madeBuild{}, err
	}
	defer over()
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		reserved, err := a.reserve(ctx, tx, plan.workspace, plan)
		if err != nil {
			return err
		}
		row.DailyCost, row.Running = reserved.cost, reserved.running
		w, err := tx.InsertWorkspace(ctx, row)
		if err != nil {
			return err
		}
		if made, err = a.insertBuild(ctx, tx, plan.workspace, plan, row.LatestBuildID, reserved); err != nil {
			return err
		}
		return a.audit(ctx, tx, workspaceChanged(client.AuditCreate, nil, &w), buildEntry(w, plan.template, made.build))
	})
	return made, err
}

// newWorkspaceRow checks what a person chose about the workspace itself.
func (a *api) newWorkspaceRow(owner store.User, template store.Template, req client.CreateWorkspaceRequest) (store.InsertWorkspaceParams, error) {
	var none store.InsertWorkspaceParams
	if err := checkName("name", client.NameWorkspace, req.Name); err != nil {
		return none, err
	}
	updates := req.AutomaticUpdates
	if updates == "" {
		updates = client.AutomaticUpdatesNever
	}
	if err := checkAutomaticUpdates(updates); err != nil {
		return none, err
	}
	autostart, err := checkAutostart(req.AutostartSchedule, template)
	if err != nil {
		return none, err
	}
	ttl, err := firstTTL(req.TTLMillis, template)
	if err != nil {
		return none, err
	}
	now := store.At(a.now())
	return store.InsertWorkspaceParams{
		ID: uuid.New(), OrganizationID: template.OrganizationID, OwnerID: owner.ID, TemplateID: template.ID, Name: req.Name,
		AutostartSchedule: autostart, TTLMs: ttl, AutomaticUpdates: updates, LastUsedAt: now, LatestBuildID: uuid.New(), CreatedAt: now, UpdatedAt: now,
		NextStartAt: nextStart(autostart, template, a.now()),
	}, nil
}

func (a *api) listWorkspaceOwners(ctx context.Context, in *workspaceOwnersInput) (*output[[]client.MinimalUser], error) {
	org, err := a.organization(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	user, err := a.findUser(ctx, in.User)
	if err != nil {
		return nil, err
	}
	if _, err := a.store.GetMember(ctx, store.GetMemberParams{OrganizationID: org.ID, UserID: user.ID}); err != nil {
		return nil, err
	}
	filter, err := userFilter(in.Query)
	if err != nil {
		return nil, err
	}
	subject := subjectFrom(ctx)
	if !subject.Can(authz.Create, authz.Object{Type: authz.Workspace, OrganizationID: org.ID}) {
		if !subject.Can(authz.Create, authz.Object{Type: authz.Workspace, OrganizationID: org.ID, OwnerID: subject.ID}) {
			return nil, errNotFound()
		}
		filter.Where("u.id = ?", subject.ID)
	}
	members, err := a.store.Filtered(in.afterMember(filter, org.ID)).ListMembers(ctx, store.ListMembersParams{OrganizationID: org.ID, MaxRows: in.rows(), SkipRows: in.Offset})
	if err != nil {
		return nil, err
	}
	found := make([]client.MinimalUser, len(members))
	for i, m := range members {
		found[i] = client.MinimalUser{ID: m.User.ID, Username: m.User.Username, Name: m.User.Name, AvatarURL: m.User.AvatarURL}
	}
	return reply(found), nil
}

func (a *api) listAutofillParameters(ctx context.Context, in *autofillInput) (*output[[]client.BuildParameter], error) {
	user, err := a.user(ctx, authz.ReadPersonal, in.User)
	if err != nil {
		return nil, err
	}
	template, err := a.template(ctx, authz.Read, in.TemplateID)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.ListAutofillParameters(ctx, store.ListAutofillParametersParams{OwnerID: user.ID, TemplateID: template.ID})
	if err != nil {
		return nil, err
	}
	values, known := []client.BuildParameter{}, map[string]bool{}
	for _, row := range rows {
		parameters, err := lastingValues(row.Parameters, row.Declared)
		if err != nil {
			return nil, err
		}
		for _, p := range parameters {
			if !known[p.Name] {
				known[p.Name] = true
				values = append(values, p)
			}
		}
	}
	return reply(values), nil
}

// lastingValues are a build's without those of ephemeral parameters, which
// were meant for that build alone.
func lastingValues(values, declared string) ([]client.BuildParameter, error) {
	parameters, err := decode[[]client.BuildParameter](values, "build parameters")
	if err != nil {
		return nil, err
	}
	declarations, err := decode[[]client.TemplateVersionParameter](declared, "parameters of the version")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(parameters, func(p client.BuildParameter) bool {
		return slices.ContainsFunc(declarations, func(d client.TemplateVersionParameter) bool { return d.Name == p.Name && d.Ephemeral })
	}), nil
}

func (a *api) renameWorkspace(ctx context.Context, in *renameWorkspaceInput) (*empty, error) {
	w, err := a.workspace(ctx, authz.Update, in.Workspace)
	if err != nil {
		return nil, err
	}
	if w.Deleted {
		return nil, refuse(http.StatusMethodNotAllowed, "The workspace has been deleted; it cannot be renamed.", "")
	}
	after := w
	after.Name, after.AutomaticUpdates = cmp.Or(in.Body.Name, w.Name), cmp.Or(in.Body.AutomaticUpdates, w.AutomaticUpdates)
	if after.Name == w.Name && after.AutomaticUpdates == w.AutomaticUpdates {
		return &empty{}, nil
	}
	if err := checkName("name", client.NameWorkspace, after.Name); err != nil {
		return nil, err
	}
	if err := checkAutomaticUpdates(after.AutomaticUpdates); err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		at := store.At(a.now())
		if after.Name != w.Name {
			if err := tx.RenameWorkspace(ctx, store.RenameWorkspaceParams{OrganizationID: w.OrganizationID, ID: w.ID, Name: after.Name, UpdatedAt: at}); err != nil {
				return err
			}
		}
		if after.AutomaticUpdates != w.AutomaticUpdates {
			if err := tx.SetWorkspaceAutomaticUpdates(ctx, store.SetWorkspaceAutomaticUpdatesParams{OrganizationID: w.OrganizationID, ID: w.ID, AutomaticUpdates: after.AutomaticUpdates, UpdatedAt: at}); err != nil {
				return err
			}
		}
		return a.audit(ctx, tx, workspaceChanged(client.AuditWrite, &w, &after))
	})
	if store.IsConflict(err) {
		return nil, taken("Workspace", after.Name, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("update workspace: %w", err)
	}
	a.workspaceChanged(w.ID)
	return &empty{}, nil
}

func (a *api) setFavorite(favorite bool) func(context.Context, *WorkspacePath) (*empty, error) {
	return func(ctx context.Context, in *WorkspacePath) (*empty, error) {
		w, err := a.liveWorkspace(ctx, authz.Read, in.Workspace)
		if err != nil {
			return nil, err
		}
		if w.OwnerID != callerID(ctx) {
			return nil, forbidden("Only a workspace of your own can be your favorite.")
		}
		err = a.store.SetWorkspaceFavorite(ctx, store.SetWorkspaceFavoriteParams{OrganizationID: w.OrganizationID, ID: w.ID, Favorite: favorite})
		if err != nil {
			return nil, fmt.Errorf("set favorite: %w", err)
		}
		a.workspaceChanged(w.ID)
		return &empty{}, nil
	}
}

func (a *api) getWorkspaceTimings(ctx context.Context, in *WorkspacePath) (*output[client.WorkspaceBuildTimings], error) {
	w, err := a.liveWorkspace(ctx, authz.Read, in.Workspace)
	if err != nil {
		return nil, err
	}
	return a.getBuildTimings(ctx, &BuildPath{w.LatestBuildID})
}

func (a *api) workspaceReply(ctx context.Context, id uuid.UUID) (*output[client.Workspace], error) {
	w, err := a.workspaceResponse(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(w), nil
}

func (a *api) workspaceResponse(ctx context.Context, id uuid.UUID) (client.Workspace, error) {
	all, err := a.workspaceResponses(ctx, []uuid.UUID{id})
	if err != nil {
		return client.Workspace{}, err
	}
	if len(all) == 0 {
		return client.Workspace{}, errNotFound()
	}
	return all[0], nil
}

// workspaceResponses converts workspaces in the order of ids, with as many
// queries for a thousand as for one.
func (a *api) workspaceResponses(ctx context.Context, ids []uuid.UUID) ([]client.Workspace, error) {
	if len(ids) == 0 {
		return []client.Workspace{}, nil
	}
	rows, err := a.store.ListWorkspaceDetails(ctx, store.IDs(ids))
	if err != nil {
		return nil, fmt.Errorf("read workspaces: %w", err)
	}
	shown := make([]shownBuild, len(rows))
	for i := range rows {
		row := &rows[i]
		shown[i] = shownBuild{
			BuildDetail: &row.BuildDetail, workspaceName: row.Name, ownerID: row.OwnerID, ownerName: row.OwnerName, ownerAvatarURL: row.OwnerAvatarURL,
		}
	}
	builds, err := a.buildResponses(ctx, shown)
	if err != nil {
		return nil, err
	}
	shared, err := a.sharedWith(ctx, sharedOnes(rows))
	if err != nil {
		return nil, err
	}
	place := make(map[uuid.UUID]int, len(rows))
	for i := range rows {
		place[rows[i].ID] = i
	}
	out := make([]client.Workspace, 0, len(rows))
	viewer := callerID(ctx)
	for _, id := range ids {
		if i, found := place[id]; found {
			w := workspaceResponse(&rows[i], &builds[i], viewer, a.now())
			w.SharedWith = shared[id]
			out = append(out, w)
		}
	}
	return out, nil
}

func sharedOnes(rows []store.ListWorkspaceDetailsRow) (ids []uuid.UUID) {
	for i := range rows {
		if rows[i].Shared {
			ids = append(ids, rows[i].ID)
		}
	}
	return ids
}

func workspaceResponse(w *store.ListWorkspaceDetailsRow, latest *client.WorkspaceBuild, viewer uuid.UUID, now time.Time) client.Workspace {
	out := client.Workspace{
		ID: w.ID, CreatedAt: w.CreatedAt.Time, UpdatedAt: w.UpdatedAt.Time,
		OwnerID: w.OwnerID, OwnerName: w.OwnerName, OwnerAvatarURL: w.OwnerAvatarURL,
		OrganizationID: w.OrganizationID, OrganizationName: w.OrganizationName, OrganizationDisplayName: w.OrganizationDisplayName,
		TemplateID: w.TemplateID, TemplateName: w.TemplateName, TemplateDisplayName: w.TemplateDisplayName, TemplateIcon: w.TemplateIcon,
		TemplateAllowUserCancelWorkspaceJobs: w.AllowUserCancel, TemplateActiveVersionID: w.ActiveVersionID,
		TemplateRequireActiveVersion: w.RequireActiveVersion, TemplateUseClassicParameterFlow: true,
		LatestBuild: *latest, Outdated: latest.TemplateVersionID != w.ActiveVersionID, Name: w.Name, TTLMillis: w.TTLMs,
		LastUsedAt: w.LastUsedAt.Time, DeletingAt: w.DeletingAt.Ptr(), DormantAt: w.DormantAt.Ptr(), Health: workspaceHealth(latest.Resources),
		AutomaticUpdates: w.AutomaticUpdates, AllowRenames: true, Favorite: w.Favorite && w.OwnerID == viewer, NextStartAt: w.NextStartAt.Ptr(),
		Refusal: workspaceRefusal(w.Refusal, w.RetryAt, now),
	}
	if w.AutostartSchedule != "" {
		out.AutostartSchedule = &w.AutostartSchedule
	}
	return out
}

// workspaceHealth names the agents that are away or could not start.
func workspaceHealth(resources []client.WorkspaceResource) client.WorkspaceHealth {
	health := client.WorkspaceHealth{FailingAgents: []uuid.UUID{}}
	for _, resource := range resources {
		for _, agent := range resource.Agents {
			away := agent.Status == client.AgentDisconnected || agent.Status == client.AgentTimeout
			if away || agent.LifecycleState == "start_error" || agent.LifecycleState == "start_timeout" {
				health.FailingAgents = append(health.FailingAgents, agent.ID)
			}
		}
	}
	health.Healthy = len(health.FailingAgents) == 0
	return health
}
