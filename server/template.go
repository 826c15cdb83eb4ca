package server

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/internal/starter"
	"coder/store"
)

// defaultActivityBump is how far use of a workspace moves its deadline, in ms.
const defaultActivityBump = 3_600_000

func (a *api) templateRoutes(r *router) {
	read, update := onObject(authz.Read, authz.Template), onObject(authz.Update, authz.Template)
	handle(r, post, "/organizations/{organization}/templates", "Create a template", onObject(authz.Create, authz.Template), a.createTemplate, created)
	handle(r, get, "/organizations/{organization}/templates", "List the templates of an organization", inOrganization(authz.Read, authz.Organization), a.listOrganizationTemplates)
	handle(r, get, "/organizations/{organization}/templates/examples", "List the starter templates", inOrganization(authz.Read, authz.Template), a.listOrganizationExamples, deprecated())
	handle(r, get, "/organizations/{organization}/templates/{template}", "Get a template by name", read, a.getTemplateByName)
	handle(r, get, "/templates", "Search templates", session(), a.listTemplates)
	handle(r, get, "/paginated-templates", "Search templates by pages", session(), a.pageTemplates, strictQuery())
	handle(r, get, "/templates/examples", "List the starter templates", session(), a.listExamples)
	handle(r, get, "/templates/{template}", "Get a template", read, a.getTemplate)
	handle(r, patch, "/templates/{template}", "Change a template", update, a.updateTemplate)
	handle(r, del, "/templates/{template}", "Delete a template that no workspace uses", onObject(authz.Delete, authz.Template), a.deleteTemplate)
}

type TemplatePath struct {
	Template uuid.UUID `path:"template" format:"uuid"`
}

type TemplateNamePath struct {
	Organization string `path:"organization" doc:"Name, id, or default"`
	Template     string `path:"template"`
}

type createTemplateInput struct {
	Organization string `path:"organization" doc:"Name, id, or default"`
	Body         client.CreateTemplateRequest
}

type updateTemplateInput struct {
	TemplatePath
	Body client.UpdateTemplateRequest
}

type ListTemplatesInput struct {
	Query string `query:"q" doc:"Words and key:value terms"`
}

type pageTemplatesInput struct {
	ListTemplatesInput
	Organization string `query:"organization" doc:"Only templates of this one: name or id"`
	Limit        int32  `query:"limit" minimum:"0" maximum:"2147483647" doc:"0 is no limit"`
	Offset       int32  `query:"offset" minimum:"0" maximum:"2147483647"`
}

type listOrganizationTemplatesInput struct {
	OrganizationPath
	ListTemplatesInput
}

func (a *api) getTemplate(ctx context.Context, in *TemplatePath) (*output[client.Template], error) {
	t, err := a.template(ctx, authz.Read, in.Template)
	if err != nil {
		return nil, err
	}
	return a.replyTemplate(ctx, t)
}

func (a *api) getTemplateByName(ctx context.Context, in *TemplateNamePath) (*output[client.Template], error) {
	t, err := a.templateNamed(ctx, authz.Read, in.Organization, in.Template)
	if err != nil {
		return nil, err
	}
	return a.replyTemplate(ctx, t)
}

func (a *api) listTemplates(ctx context.Context, in *ListTemplatesInput) (*output[[]client.Template], error) {
	orgs, err := a.organizations(ctx)
	if err != nil {
		return nil, err
	}
	return a.searchTemplates(ctx, readableOrganizations(ctx, orgs), in.Query)
}

// pageTemplates narrows to an organization after it has told which ones there are to narrow to.
func (a *api) pageTemplates(ctx context.Context, in *pageTemplatesInput) (*output[client.PaginatedTemplatesResponse], error) {
	orgs, err := a.organizations(ctx)
	if err != nil {
		return nil, err
	}
	orgs = readableOrganizations(ctx, orgs)
	found, err := a.findTemplates(ctx, orgs, in.Query)
	if err != nil {
		return nil, err
	}
	has := map[uuid.UUID]bool{}
	for _, t := range found {
		has[t.OrganizationID] = true
	}
	out := client.PaginatedTemplatesResponse{Organizations: []client.MinimalOrganization{}}
	for _, org := range orgs {
		if has[org.ID] {
			out.Organizations = append(out.Organizations, organizationResponse(org).MinimalOrganization)
		}
		has[org.ID] = isOrganization(org, in.Organization)
	}
	found = slices.DeleteFunc(found, func(t foundTemplate) bool { return !has[t.OrganizationID] })
	out.Count = len(found)
	begin := min(int(in.Offset), len(found))
	end := min(begin+int(rowLimit(in.Limit)), len(found))
	if out.Templates, err = a.foundTemplates(ctx, orgs, found[begin:end]); err != nil {
		return nil, err
	}
	return reply(out), nil
}

func (a *api) listOrganizationTemplates(ctx context.Context, in *listOrganizationTemplatesInput) (*output[[]client.Template], error) {
	return a.searchTemplates(ctx, []store.Organization{organizationFrom(ctx)}, in.Query)
}

// listExamples is for those who can read templates by a role somewhere.
func (a *api) listExamples(ctx context.Context, _ *struct{}) (*output[[]client.TemplateExample], error) {
	if !subjectFrom(ctx).CanSome(authz.Read, authz.Template) {
		return nil, errNotFound()
	}
	examples, err := starter.List()
	if err != nil {
		return nil, err
	}
	return reply(examples), nil
}

func (a *api) listOrganizationExamples(ctx context.Context, _ *OrganizationPath) (*output[[]client.TemplateExample], error) {
	return a.listExamples(ctx, nil)
}

// createTemplate binds a version that has no template yet. It does not wait
// for the import.
func (a *api) createTemplate(ctx context.Context, in *createTemplateInput) (*output[client.Template], error) {
	org, err := a.organization(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	if !subjectFrom(ctx).Can(authz.Create, authz.Object{Type: authz.Template, OrganizationID: org.ID}) {
		return nil, errNotFound()
	}
	version, job, err := a.versionAndImport(ctx, authz.Read, in.Body.VersionID)
	if err != nil {
		return nil, err
	}
	if version.OrganizationID != org.ID {
		return nil, errNotFound()
	}
	row, err := newTemplate(in.Body, version, job.Provisioner)
	if err != nil {
		return nil, err
	}
	t, err := a.insertTemplate(ctx, row)
	if store.IsConflict(err) {
		return nil, taken("Template", row.Name, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("create template: %w", err)
	}
	return a.replyTemplate(ctx, t)
}

// newTemplate is the row of a request, with every default in it.
func newTemplate(req client.CreateTemplateRequest, version store.TemplateVersion, provisioner string) (store.Template, error) {
	t := store.Template{
		ID: uuid.New(), OrganizationID: version.OrganizationID, Provisioner: provisioner, ActiveVersionID: version.ID,
		ActivityBumpMs: defaultActivityBump, AllowUserCancel: true, AllowUserAutostart: true, AllowUserAutostop: true,
		AutostartDays: everyDay(), AutostopWeeks: 1, MaxPortShareLevel: "owner", CorsBehavior: "simple",
		UserACL: store.StringMap{}, GroupACL: store.StringMap{},
	}
	if !req.DisableEveryoneGroupAccess {
		t.GroupACL[version.OrganizationID.String()] = client.TemplateRoleUse
	}
	return t, applyTemplateUpdate(&t, client.UpdateTemplateRequest{
		Name: &req.Name, DisplayName: &req.DisplayName, Description: &req.Description, Icon: &req.Icon,
		DefaultTTLMS: req.DefaultTTLMS, ActivityBumpMS: req.ActivityBumpMS, TimeTilAutostopNotifyMS: req.TimeTilAutostopNotifyMS,
		AutostopRequirement: req.AutostopRequirement, AutostartRequirement: req.AutostartRequirement,
		AllowUserAutostart: req.AllowUserAutostart, AllowUserAutostop: req.AllowUserAutostop, AllowUserCancelWorkspaceJobs: req.AllowUserCancelWorkspaceJobs,
		FailureTTLMS: req.FailureTTLMS, TimeTilDormantMS: req.DormantTTLMS, TimeTilDormantAutoDeleteMS: req.DeleteTTLMS,
		RequireActiveVersion: &req.RequireActiveVersion, MaxPortShareLevel: req.MaxPortShareLevel, CORSBehavior: req.CORSBehavior,
	}, createFields)
}

func (a *api) insertTemplate(ctx context.Context, row store.Template) (t store.Template, err error) {
	row.CreatedBy, row.CreatedAt = callerID(ctx), store.At(a.now())
	row.UpdatedAt = row.CreatedAt
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		t, err = tx.InsertTemplate(ctx, store.InsertTemplateParams{
			ID: row.ID, OrganizationID: row.OrganizationID, Name: row.Name, DisplayName: row.DisplayName, Description: row.Description, Icon: row.Icon,
			Provisioner: row.Provisioner, ActiveVersionID: row.ActiveVersionID, CreatedBy: row.CreatedBy, DefaultTTLMs: row.DefaultTTLMs,
			ActivityBumpMs: row.ActivityBumpMs, TimeTilAutostopNotifyMs: row.TimeTilAutostopNotifyMs, AutostopDays: row.AutostopDays,
			AutostopWeeks: row.AutostopWeeks, AutostartDays: row.AutostartDays, FailureTTLMs: row.FailureTTLMs, TimeTilDormantMs: row.TimeTilDormantMs,
			TimeTilDormantAutodeleteMs: row.TimeTilDormantAutodeleteMs, AllowUserCancel: row.AllowUserCancel, AllowUserAutostart: row.AllowUserAutostart,
			AllowUserAutostop: row.AllowUserAutostop, RequireActiveVersion: row.RequireActiveVersion, MaxPortShareLevel: row.MaxPortShareLevel,
			CorsBehavior: row.CorsBehavior, UserACL: row.UserACL, GroupACL: row.GroupACL, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		})
		if err != nil {
			return err
		}
		bound, err := tx.BindTemplateVersion(ctx, store.BindTemplateVersionParams{
			OrganizationID: row.OrganizationID, ID: row.ActiveVersionID, TemplateID: &row.ID, UpdatedAt: row.CreatedAt,
		})
		if err == nil && bound == 0 {
			err = invalid("template_version_id", "The version belongs to a template already; import a new one without a template.")
		}
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, templateChanged(client.AuditCreate, nil, &t))
	})
	return t, err
}

// updateTemplate answers 304 with no body when nothing would change.
func (a *api) updateTemplate(ctx context.Context, in *updateTemplateInput) (*statusOutput[*client.Template], error) {
	var updated store.Template
	changed := false
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		old, err := a.withStore(tx).template(ctx, authz.Update, in.Template)
		if err != nil {
			return err
		}
		t := old
		t.GroupACL = cloneMap(old.GroupACL)
		if err := applyTemplateUpdate(&t, in.Body, updateFields); err != nil {
			return err
		}
		changed = !reflect.DeepEqual(t, old) || in.Body.UpdateWorkspaceLastUsedAt || in.Body.UpdateWorkspaceDormantAt
		if !changed {
			return nil
		}
		if updated, err = a.storeTemplate(ctx, tx, t, in.Body); store.IsConflict(err) {
			err = taken("Template", t.Name, "name")
		}
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, templateChanged(client.AuditWrite, &old, &updated))
	})
	if err != nil {
		return nil, err
	}
	if !changed {
		return &statusOutput[*client.Template]{Status: http.StatusNotModified}, nil
	}
	response, err := a.replyTemplate(ctx, updated)
	if err != nil {
		return nil, err
	}
	return &statusOutput[*client.Template]{Status: http.StatusOK, Body: &response.Body}, nil
}

func (a *api) storeTemplate(ctx context.Context, tx *store.Store, t store.Template, req client.UpdateTemplateRequest) (store.Template, error) {
	now := store.At(a.now())
	updated, err := tx.UpdateTemplate(ctx, store.UpdateTemplateParams{
		OrganizationID: t.OrganizationID, ID: t.ID, Name: t.Name, DisplayName: t.DisplayName, Description: t.Description, Icon: t.Icon,
		DeprecationMessage: t.DeprecationMessage, DefaultTTLMs: t.DefaultTTLMs, ActivityBumpMs: t.ActivityBumpMs,
		TimeTilAutostopNotifyMs: t.TimeTilAutostopNotifyMs, AutostopDays: t.AutostopDays, AutostopWeeks: t.AutostopWeeks, AutostartDays: t.AutostartDays,
		FailureTTLMs: t.FailureTTLMs, TimeTilDormantMs: t.TimeTilDormantMs, TimeTilDormantAutodeleteMs: t.TimeTilDormantAutodeleteMs,
		AllowUserCancel: t.AllowUserCancel, AllowUserAutostart: t.AllowUserAutostart, AllowUserAutostop: t.AllowUserAutostop,
		RequireActiveVersion: t.RequireActiveVersion, MaxPortShareLevel: t.MaxPortShareLevel, CorsBehavior: t.CorsBehavior,
		DisableModuleCache: t.DisableModuleCache, GroupACL: t.GroupACL, UpdatedAt: now,
	})
	if err != nil {
		return store.Template{}, err
	}
	if req.UpdateWorkspaceLastUsedAt {
		err = tx.ResetTemplateLastUsed(ctx, store.ResetTemplateLastUsedParams{OrganizationID: t.OrganizationID, TemplateID: t.ID, LastUsedAt: now})
	}
	if req.UpdateWorkspaceDormantAt && err == nil {
		const microseconds = 1000
		err = tx.SetTemplateDeleting(ctx, store.SetTemplateDeletingParams{
			OrganizationID: t.OrganizationID, TemplateID: t.ID, Autodelete: t.TimeTilDormantAutodeleteMs * microseconds,
		})
	}
	return updated, err
}

func (a *api) deleteTemplate(ctx context.Context, in *TemplatePath) (*output[message], error) {
	t, err := a.template(ctx, authz.Delete, in.Template)
	if err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		workspaces, err := tx.CountTemplateWorkspaces(ctx, store.CountTemplateWorkspacesParams{OrganizationID: t.OrganizationID, TemplateID: t.ID})
		if err != nil {
			return err
		}
		if workspaces > 0 {
			return badRequest(fmt.Sprintf("The template is in use by %s; delete the workspaces first.", plural(workspaces, "workspace")))
		}
		deleted, err := tx.DeleteTemplate(ctx, store.DeleteTemplateParams{OrganizationID: t.OrganizationID, ID: t.ID, UpdatedAt: store.At(a.now())})
		if err == nil && deleted == 0 {
			err = errNotFound()
		}
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, templateChanged(client.AuditDelete, &t, nil))
	})
	if err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("Template %s has been deleted.", t.Name)), nil
}

func (a *api) replyTemplate(ctx context.Context, t store.Template) (*output[client.Template], error) {
	org, err := a.store.GetOrganization(ctx, t.OrganizationID)
	if err != nil {
		return nil, err
	}
	counts, err := a.store.CountTemplateUsers(ctx, store.IDs([]uuid.UUID{org.ID}))
	if err != nil {
		return nil, err
	}
	active := map[uuid.UUID]int64{}
	for _, c := range counts {
		active[c.TemplateID] = c.Users
	}
	responses, err := a.templateResponses(ctx, []store.Organization{org}, []store.Template{t}, active)
	if err != nil {
		return nil, err
	}
	return reply(responses[0]), nil
}

// templateResponses reads what belongs to authorized templates of these
// organizations at once. active is how many people use each.
func (a *api) templateResponses(ctx context.Context, orgs []store.Organization, templates []store.Template, active map[uuid.UUID]int64) ([]client.Template, error) {
	organizations, authors := make(map[uuid.UUID]*store.Organization, len(orgs)), make([]uuid.UUID, len(templates))
	for i := range templates {
		authors[i] = templates[i].CreatedBy
	}
	for i := range orgs {
		organizations[orgs[i].ID] = &orgs[i]
	}
	users, err := a.usersByID(ctx, authors)
	if err != nil {
		return nil, err
	}
	out := make([]client.Template, len(templates))
	for i := range templates {
		t := &templates[i]
		times, err := a.buildTimes.of(ctx, a, t)
		if err != nil {
			return nil, err
		}
		out[i] = templateResponse(t, organizations[t.OrganizationID])
		out[i].CreatedByName, out[i].ActiveUserCount, out[i].BuildTimeStats = users[t.CreatedBy].Username, int(active[t.ID]), times
	}
	return out, nil
}

func templateResponse(t *store.Template, org *store.Organization) client.Template {
	return client.Template{
		ID: t.ID, CreatedAt: t.CreatedAt.Time, UpdatedAt: t.UpdatedAt.Time, OrganizationID: t.OrganizationID, OrganizationName: org.Name,
		OrganizationDisplayName: org.DisplayName, OrganizationIcon: org.Icon, Name: t.Name, DisplayName: t.DisplayName, Provisioner: t.Provisioner,
		ActiveVersionID: t.ActiveVersionID, Description: t.Description, Deprecated: t.DeprecationMessage != "", DeprecationMessage: t.DeprecationMessage,
		Deleted: t.Deleted, Icon: t.Icon, CreatedByID: t.CreatedBy, DefaultTTLMS: t.DefaultTTLMs, ActivityBumpMS: t.ActivityBumpMs,
		TimeTilAutostopNotifyMS: t.TimeTilAutostopNotifyMs, AutostopRequirement: client.AutostopRequirement{DaysOfWeek: nonNil(t.AutostopDays), Weeks: t.AutostopWeeks},
		AutostartRequirement: client.AutostartRequirement{DaysOfWeek: nonNil(t.AutostartDays)}, AllowUserAutostart: t.AllowUserAutostart,
		AllowUserAutostop: t.AllowUserAutostop, AllowUserCancelWorkspaceJobs: t.AllowUserCancel, FailureTTLMS: t.FailureTTLMs,
		TimeTilDormantMS: t.TimeTilDormantMs, TimeTilDormantAutoDeleteMS: t.TimeTilDormantAutodeleteMs, RequireActiveVersion: t.RequireActiveVersion,
		MaxPortShareLevel: t.MaxPortShareLevel, CORSBehavior: t.CorsBehavior, UseClassicParameterFlow: true, DisableModuleCache: t.DisableModuleCache,
	}
}
