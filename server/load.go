package server

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// This file is the only place where owned rows are loaded by id: each loader
// also asks whether the caller may do what it is about to do, and what is
// missing and what is hidden are answered by the same errNotFound.

// organization finds one by id, by name, or the default one, for a caller who may see it.
func (a *api) organization(ctx context.Context, ref string) (store.Organization, error) {
	org, err := a.findOrganization(ctx, ref)
	if store.IsNotFound(err) {
		return store.Organization{}, errNotFound()
	}
	if err != nil {
		return store.Organization{}, err
	}
	if !subjectFrom(ctx).Can(authz.Read, organizationObject(org.ID)) {
		return store.Organization{}, errNotFound()
	}
	return org, nil
}

func (a *api) findOrganization(ctx context.Context, ref string) (store.Organization, error) {
	if org, kept, err := a.subjects.organization(requestFrom(ctx).organizationsStamp(), ref); kept {
		return org, err
	}
	id, err := uuid.Parse(ref)
	switch {
	case ref == client.DefaultOrganization || (err == nil && id == uuid.Nil):
		return a.store.GetDefaultOrganization(ctx)
	case err == nil:
		return a.store.GetOrganization(ctx, id)
	}
	return a.store.GetOrganizationByName(ctx, ref)
}

func organizationObject(id uuid.UUID) authz.Object {
	return authz.Object{Type: authz.Organization, ID: id.String(), OrganizationID: id}
}

func userObject(id uuid.UUID) authz.Object {
	return authz.Object{Type: authz.User, ID: id.String(), OwnerID: id}
}

// user finds one by id, by name or as "me", for a caller who may read them;
// lacking the further action is a 403, because the user is no secret.
func (a *api) user(ctx context.Context, action authz.Action, ref string) (store.User, error) {
	user, err := a.findUser(ctx, ref)
	if store.IsNotFound(err) {
		return store.User{}, errNotFound()
	}
	if err != nil {
		return store.User{}, err
	}
	subject := subjectFrom(ctx)
	if !subject.Can(authz.Read, userObject(user.ID)) {
		return store.User{}, errNotFound()
	}
	if !subject.Can(action, userObject(user.ID)) {
		return store.User{}, forbidden("You may not do this to other users.")
	}
	return user, nil
}

func memberObject(organizationID, userID uuid.UUID) authz.Object {
	return authz.Object{Type: authz.OrganizationMember, OrganizationID: organizationID, OwnerID: userID, ID: userID.String()}
}

// personalUser is user for what concerns that person alone: lacking the action
// is the same 404 as not finding them.
func (a *api) personalUser(ctx context.Context, action authz.Action, ref string) (store.User, error) {
	user, err := a.user(ctx, authz.Read, ref)
	if err != nil {
		return store.User{}, err
	}
	if !subjectFrom(ctx).Can(action, userObject(user.ID)) {
		return store.User{}, errNotFound()
	}
	if action == authz.UpdatePersonal && sessionWorkspace(ctx) != nil {
		return store.User{}, forbidden("The session of a workspace cannot change the account of its owner. Sign in with `coder login`.")
	}
	return user, nil
}

// keyOwner finds the user whose keys are meant, for a caller who may do the
// action to such keys.
func (a *api) keyOwner(ctx context.Context, action authz.Action, ref string) (store.User, error) {
	user, err := a.user(ctx, authz.Read, ref)
	if err != nil {
		return store.User{}, err
	}
	if !subjectFrom(ctx).Can(action, authz.Object{Type: authz.APIKey, OwnerID: user.ID}) {
		return store.User{}, errNotFound()
	}
	return user, nil
}

func apiKeyObject(k store.ApiKey) authz.Object {
	return authz.Object{Type: authz.APIKey, ID: k.ID, OwnerID: k.UserID}
}

// mayKey tells whether the caller may do the action to a key. The session of a
// workspace reaches the keys of that workspace only.
func mayKey(ctx context.Context, action authz.Action, key store.ApiKey) bool {
	if w := sessionWorkspace(ctx); w != nil && (key.WorkspaceID == nil || *key.WorkspaceID != *w) {
		return false
	}
	return subjectFrom(ctx).Can(action, apiKeyObject(key))
}

// apiKey loads a session or token of the user named.
func (a *api) apiKey(ctx context.Context, action authz.Action, userRef, id string) (store.ApiKey, error) {
	user, err := a.user(ctx, authz.Read, userRef)
	if err != nil {
		return store.ApiKey{}, err
	}
	key, err := a.store.GetAPIKey(ctx, id)
	if err != nil {
		return store.ApiKey{}, err
	}
	if key.UserID != user.ID || !mayKey(ctx, action, key) {
		return store.ApiKey{}, errNotFound()
	}
	return key, nil
}

func (a *api) findUser(ctx context.Context, ref string) (store.User, error) {
	if ref == client.Me {
		if user, known := requestFrom(ctx).self(); known {
			return user, nil
		}
		return a.store.GetUser(ctx, callerID(ctx))
	}
	if id, err := uuid.Parse(ref); err == nil {
		return a.store.GetUser(ctx, id)
	}
	return a.store.GetUserByUsername(ctx, ref)
}

// member finds a member of the organization in the path. The user need not be
// readable on the site: the membership is what is asked.
func (a *api) member(ctx context.Context, ref string) (store.GetMemberRow, error) {
	org := organizationFrom(ctx)
	user, err := a.findUser(ctx, ref)
	if err != nil {
		return store.GetMemberRow{}, err
	}
	if !subjectFrom(ctx).Can(authz.Read, memberObject(org.ID, user.ID)) {
		return store.GetMemberRow{}, errNotFound()
	}
	return a.store.GetMember(ctx, store.GetMemberParams{OrganizationID: org.ID, UserID: user.ID})
}

// groupObject lets the members of a group read it, whatever their roles.
func groupObject(g store.Group) authz.Object {
	return authz.Object{
		Type: authz.Group, ID: g.ID.String(), OrganizationID: g.OrganizationID,
		GroupACL: map[string][]authz.Action{g.ID.String(): {authz.Read}},
	}
}

func (a *api) group(ctx context.Context, action authz.Action, id uuid.UUID) (store.Group, error) {
	g, err := a.store.GetGroup(ctx, id)
	if err != nil {
		return store.Group{}, err
	}
	if !subjectFrom(ctx).Can(action, groupObject(g)) {
		return store.Group{}, errNotFound()
	}
	return g, nil
}

// isGroup does not tell a group that does not exist from one of elsewhere.
func isGroup(ctx context.Context, s *store.Store, organizationID, id uuid.UUID) (bool, error) {
	g, err := s.GetGroup(ctx, id)
	if store.IsNotFound(err) {
		return false, nil
	}
	return err == nil && g.OrganizationID == organizationID, err
}

// aclActions are what the roles of an access list allow.
var aclActions = map[string][]authz.Action{
	"use":   {authz.Read, authz.Use},
	"admin": {authz.Star},
}

func aclOf(roles store.StringMap) map[string][]authz.Action {
	acl := make(map[string][]authz.Action, len(roles))
	for id, role := range roles {
		acl[id] = aclActions[role]
	}
	return acl
}

func templateObject(t store.Template) authz.Object {
	return authz.Object{
		Type: authz.Template, ID: t.ID.String(), OrganizationID: t.OrganizationID,
		UserACL: aclOf(t.UserACL), GroupACL: aclOf(t.GroupACL),
	}
}

// template loads one that is not deleted.
func (a *api) template(ctx context.Context, action authz.Action, id uuid.UUID) (store.Template, error) {
	t, err := a.templateDeletedToo(ctx, action, id)
	if err == nil && t.Deleted {
		err = errNotFound()
	}
	return t, err
}

func (a *api) templateDeletedToo(ctx context.Context, action authz.Action, id uuid.UUID) (store.Template, error) {
	t, err := a.store.GetTemplate(ctx, id)
	if err == nil && !subjectFrom(ctx).Can(action, templateObject(t)) {
		err = errNotFound()
	}
	return t, err
}

// templateNamed loads one by its organization and name.
func (a *api) templateNamed(ctx context.Context, action authz.Action, organization, name string) (store.Template, error) {
	org, err := a.organization(ctx, organization)
	if err != nil {
		return store.Template{}, err
	}
	t, err := a.store.GetTemplateByName(ctx, store.GetTemplateByNameParams{OrganizationID: org.ID, Name: name})
	if err != nil {
		return store.Template{}, err
	}
	if !subjectFrom(ctx).Can(action, templateObject(t)) {
		return store.Template{}, errNotFound()
	}
	return t, nil
}

// templateVersion loads one by way of its template; one that has no template
// yet belongs to whoever may make templates in its organization, and to its maker.
func (a *api) templateVersion(ctx context.Context, action authz.Action, id uuid.UUID) (store.TemplateVersion, error) {
	v, err := a.store.GetTemplateVersion(ctx, id)
	if err != nil {
		return store.TemplateVersion{}, err
	}
	object, err := a.templateVersionObject(ctx, v)
	if err != nil {
		return store.TemplateVersion{}, err
	}
	if !subjectFrom(ctx).Can(action, object) {
		return store.TemplateVersion{}, errNotFound()
	}
	return v, nil
}

func (a *api) templateVersionObject(ctx context.Context, v store.TemplateVersion) (authz.Object, error) {
	if v.TemplateID == nil {
		return authz.Object{Type: authz.Template, OrganizationID: v.OrganizationID}, nil
	}
	t, err := a.store.GetTemplate(ctx, *v.TemplateID)
	if err != nil {
		return authz.Object{}, err
	}
	return templateObject(t), nil
}

// sourceOfImport loads the archive of an import whose version was authorized,
// or is built by the server itself.
func (a *api) sourceOfImport(ctx context.Context, imported store.ProvisionerJob) (store.File, error) {
	return a.store.ReadFile(ctx, imported.FileID)
}

// dryRun loads the job of a dry run of a version, for those who may see what
// its initiator makes. Another job of the same organization is a 403.
func (a *api) dryRun(ctx context.Context, versionID, jobID uuid.UUID) (store.ProvisionerJob, error) {
	v, err := a.templateVersion(ctx, authz.Read, versionID)
	if err != nil {
		return store.ProvisionerJob{}, err
	}
	job, err := a.store.GetProvisionerJob(ctx, jobID)
	if err != nil {
		return store.ProvisionerJob{}, err
	}
	object := authz.Object{Type: authz.Workspace, OrganizationID: v.OrganizationID, OwnerID: job.InitiatorID}
	if job.OrganizationID != v.OrganizationID || !subjectFrom(ctx).Can(authz.Read, object) {
		return store.ProvisionerJob{}, errNotFound()
	}
	if job.Type != client.JobTemplateVersionDryRun || job.TemplateVersionID != v.ID {
		return store.ProvisionerJob{}, forbidden("This job is not a dry run of this template version.")
	}
	return job, nil
}

func workspaceObject(w store.Workspace) authz.Object {
	kind := authz.Workspace
	if !w.DormantAt.IsZero() {
		kind = authz.WorkspaceDormant
	}
	return authz.Object{Type: kind, ID: w.ID.String(), OrganizationID: w.OrganizationID, OwnerID: w.OwnerID}
}

// workspaceACLActions are what the roles of a workspace's access list allow.
// Neither makes or destroys anything: that stays with roles.
var workspaceACLActions = map[string][]authz.Action{
	"use":   {authz.Read, authz.SSH, authz.ApplicationConnect, authz.Start, authz.Stop},
	"admin": {authz.Read, authz.SSH, authz.ApplicationConnect, authz.Start, authz.Stop, authz.Update, authz.Share},
}

// sharedObject is the object of a workspace with its access list, which is
// read only for members who do not own it: what owners may do comes from their
// roles alone, so that nobody gets around a role by sharing with themselves.
func (a *api) sharedObject(ctx context.Context, w store.Workspace) (authz.Object, error) {
	if !a.listsCount(ctx, w) {
		return workspaceObject(w), nil
	}
	rows, err := a.store.ListWorkspaceACL(ctx, store.ListWorkspaceACLParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID})
	if err != nil {
		return workspaceObject(w), err
	}
	return a.listedObject(ctx, w, rows), nil
}

func (a *api) listsCount(ctx context.Context, w store.Workspace) bool {
	subject := subjectFrom(ctx)
	_, member := subject.Organizations[w.OrganizationID]
	return member && w.OwnerID != subject.ID && !a.options.DisableWorkspaceSharing
}

// listedObject is sharedObject with an access list that was read already.
func (a *api) listedObject(ctx context.Context, w store.Workspace, rows []store.WorkspaceACL) authz.Object {
	object := workspaceObject(w)
	if !a.listsCount(ctx, w) {
		return object
	}
	object.UserACL, object.GroupACL = map[string][]authz.Action{}, map[string][]authz.Action{}
	for _, row := range rows {
		acl := object.UserACL
		if row.ActorType == actorGroup {
			acl = object.GroupACL
		}
		acl[row.ActorID.String()] = sharedActions(object.Type, row.Role)
	}
	return object
}

func sharedActions(kind authz.Resource, role string) []authz.Action {
	actions := workspaceACLActions[role]
	if kind != authz.WorkspaceDormant {
		return actions
	}
	possible := authz.DormantActions()
	return slices.DeleteFunc(slices.Clone(actions), func(a authz.Action) bool { return !slices.Contains(possible, a) })
}

// workspace loads one, deleted or not. Who may read it but not do the action
// gets 403: it is no secret to them.
func (a *api) workspace(ctx context.Context, action authz.Action, id uuid.UUID) (store.Workspace, error) {
	w, err := a.store.GetWorkspace(ctx, id)
	if err != nil {
		return store.Workspace{}, err
	}
	return w, a.checkWorkspace(ctx, action, w)
}

func (a *api) checkWorkspace(ctx context.Context, action authz.Action, w store.Workspace) error {
	subject, object := subjectFrom(ctx), workspaceObject(w)
	if !subject.Can(authz.Read, object) || !subject.Can(action, object) {
		var err error
		if object, err = a.sharedObject(ctx, w); err != nil {
			return err
		}
	}
	if !subject.Can(authz.Read, object) {
		return errNotFound()
	}
	if !subject.Can(action, object) {
		return forbidden("You may see this workspace, but not " + string(action) + " it.")
	}
	return nil
}

// workspaceBuild loads a build and its workspace, by what may be done to the workspace.
func (a *api) workspaceBuild(ctx context.Context, action authz.Action, id uuid.UUID) (store.WorkspaceBuild, store.Workspace, error) {
	b, err := a.store.GetWorkspaceBuild(ctx, id)
	if err != nil {
		return store.WorkspaceBuild{}, store.Workspace{}, err
	}
	w, err := a.workspace(ctx, action, b.WorkspaceID)
	return b, w, err
}

// The rows that belong to one that was loaded already: the check was made there.

func templateOf(ctx context.Context, s *store.Store, w store.Workspace) (store.Template, error) {
	return s.GetTemplate(ctx, w.TemplateID)
}

func latestBuildOf(ctx context.Context, s *store.Store, w store.Workspace) (store.WorkspaceBuild, error) {
	return s.GetWorkspaceBuild(ctx, w.LatestBuildID)
}

// versionOfBuild is what a build is made from.
func versionOfBuild(ctx context.Context, s *store.Store, b store.WorkspaceBuild) (store.TemplateVersion, error) {
	return s.GetTemplateVersion(ctx, b.TemplateVersionID)
}

// buildOfJob loads for the attempt of a job, whose secret is its right.
func buildOfJob(ctx context.Context, s *store.Store, job store.ProvisionerJob) (store.WorkspaceBuild, error) {
	return s.GetWorkspaceBuild(ctx, *job.WorkspaceBuildID)
}

// buildOfSalvage is the build whose attempt has written it.
func buildOfSalvage(ctx context.Context, s *store.Store, row store.ListUnmergedSalvageRow) (store.WorkspaceBuild, error) {
	return s.GetWorkspaceBuild(ctx, row.WorkspaceBuildID)
}

// versionOf finds a version of the template; one of another is not found.
func versionOf(ctx context.Context, s *store.Store, t store.Template, id uuid.UUID) (store.TemplateVersion, error) {
	v, err := s.GetTemplateVersion(ctx, id)
	if err == nil && (v.TemplateID == nil || *v.TemplateID != t.ID) {
		return store.TemplateVersion{}, errNotFound()
	}
	return v, err
}

// organizationOfSession is where the session of a workspace counts.
func organizationOfSession(ctx context.Context, s *store.Store, workspaceID uuid.UUID) (uuid.UUID, error) {
	w, err := s.GetWorkspace(ctx, workspaceID)
	return w.OrganizationID, err
}

// workspaceOfLoop loads for the life-cycle loop, which acts for the server and
// answers to nobody.
func workspaceOfLoop(ctx context.Context, s *store.Store, id uuid.UUID) (store.Workspace, error) {
	return s.GetWorkspace(ctx, id)
}

// file loads an upload for its uploader, and for whoever may read a template made from it.
func (a *api) file(ctx context.Context, id uuid.UUID) (store.File, error) {
	f, err := a.store.ReadFile(ctx, id)
	if err != nil {
		return store.File{}, err
	}
	subject := subjectFrom(ctx)
	if subject.Can(authz.Read, fileObject(f.ID, f.CreatedBy)) {
		return f, nil
	}
	uses, err := a.store.ListTemplatesOfFile(ctx, id)
	if err != nil {
		return store.File{}, err
	}
	for _, use := range uses {
		object, err := a.templateVersionObject(ctx, store.TemplateVersion{OrganizationID: use.OrganizationID, TemplateID: use.TemplateID})
		if err != nil {
			return store.File{}, err
		}
		if subject.Can(authz.Read, object) {
			return f, nil
		}
	}
	return store.File{}, errNotFound()
}
