package server

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) templateVersionRoutes(r *router) {
	const version = "/templateversions/{templateversion}"
	read, update := onObject(authz.Read, authz.Template), onObject(authz.Update, authz.Template)
	handle(r, post, "/organizations/{organization}/templateversions", "Import a template version", onObject(authz.Create, authz.Template), a.createTemplateVersion, created, body(4<<20))
	handle(r, get, "/organizations/{organization}/templates/{template}/versions/{version}", "Get a template version by names", read, a.getVersionByNames)
	handle(r, get, "/organizations/{organization}/templates/{template}/versions/{version}/previous", "Get the version before a template version", read, a.getPreviousVersion)
	handle(r, get, "/templates/{template}/versions", "List the versions of a template", read, a.listTemplateVersions)
	handle(r, patch, "/templates/{template}/versions", "Make a version the active one", update, a.promoteTemplateVersion)
	handle(r, get, "/templates/{template}/versions/{version}", "Get a template version by name", read, a.getVersionByName)
	handle(r, post, "/templates/{template}/versions/archive", "Archive versions in bulk", update, a.archiveTemplateVersions)
	handle(r, get, version, "Get a template version", read, a.getTemplateVersion)
	handle(r, patch, version, "Rename a template version or change its message", update, a.updateTemplateVersion, body(2<<20))
	handle(r, patch, version+"/cancel", "Cancel an import", update, a.cancelTemplateVersion, evenFull())
	handle(r, post, version+"/archive", "Archive a template version", update, a.archiveTemplateVersion)
	handle(r, post, version+"/unarchive", "Take a template version out of the archive", update, a.unarchiveTemplateVersion)
	handle(r, get, version+"/schema", "Always empty", read, a.getNoVersionSchema, deprecated())
	handle(r, get, version+"/parameters", "Always empty", read, a.getNoVersionSchema, deprecated())
	handle(r, get, version+"/rich-parameters", "List the rich parameters", read, a.getVersionParameters)
	handle(r, get, version+"/variables", "List the Terraform variables", read, a.getVersionVariables)
	handle(r, get, version+"/presets", "List the presets", read, a.getVersionPresets)
	handle(r, get, version+"/external-auth", "List the external authentication providers", read, a.getVersionExternalAuth)
	handle(r, get, version+"/resources", "List what the version makes", read, a.getVersionResources)
	handleRaw(r, get, version+"/logs", "Read or follow the log of the import", read, a.getVersionLogs)
	handleRaw(r, get, version+"/dynamic-parameters", "Not offered: templates use the classic parameter flow", read, a.dynamicParameters)
	handleRaw(r, post, version+"/dynamic-parameters/evaluate", "Not offered: templates use the classic parameter flow", read, a.dynamicParameters)
	a.dryRunRoutes(r, version+"/dry-run")
}

type TemplateVersionPath struct {
	Version uuid.UUID `path:"templateversion" format:"uuid"`
}

type VersionNamePath struct {
	TemplatePath
	Version string `path:"version"`
}

type VersionNamesPath struct {
	TemplateNamePath
	Version string `path:"version"`
}

type listVersionsInput struct {
	TemplatePath
	IncludeArchived bool      `query:"include_archived"`
	AfterID         uuid.UUID `query:"after_id" format:"uuid" doc:"Rows after this one"`
	Limit           int32     `query:"limit" minimum:"0" maximum:"2147483647" doc:"0 is no limit"`
	Offset          int32     `query:"offset" minimum:"0" maximum:"2147483647"`
}

type promoteInput struct {
	TemplatePath
	Body client.UpdateActiveTemplateVersionRequest
}

type updateVersionInput struct {
	TemplateVersionPath
	Body client.UpdateTemplateVersionRequest
}

func (a *api) getTemplateVersion(ctx context.Context, in *TemplateVersionPath) (*output[client.TemplateVersion], error) {
	v, err := a.templateVersion(ctx, authz.Read, in.Version)
	if err != nil {
		return nil, err
	}
	return a.replyVersion(ctx, v)
}

func (a *api) getVersionByName(ctx context.Context, in *VersionNamePath) (*output[client.TemplateVersion], error) {
	t, err := a.template(ctx, authz.Read, in.Template)
	if err != nil {
		return nil, err
	}
	v, err := a.versionNamed(ctx, t, in.Version)
	if err != nil {
		return nil, err
	}
	return a.replyVersion(ctx, v)
}

func (a *api) getVersionByNames(ctx context.Context, in *VersionNamesPath) (*output[client.TemplateVersion], error) {
	t, err := a.templateNamed(ctx, authz.Read, in.Organization, in.Template)
	if err != nil {
		return nil, err
	}
	v, err := a.versionNamed(ctx, t, in.Version)
	if err != nil {
		return nil, err
	}
	return a.replyVersion(ctx, v)
}

func (a *api) getPreviousVersion(ctx context.Context, in *VersionNamesPath) (*output[client.TemplateVersion], error) {
	t, err := a.templateNamed(ctx, authz.Read, in.Organization, in.Template)
	if err != nil {
		return nil, err
	}
	v, err := a.versionNamed(ctx, t, in.Version)
	if err != nil {
		return nil, err
	}
	before, err := a.store.GetPreviousTemplateVersion(ctx, store.GetPreviousTemplateVersionParams{
		OrganizationID: t.OrganizationID, TemplateID: &t.ID, CreatedAt: v.CreatedAt, BeforeID: v.ID.String(),
	})
	if err != nil {
		return nil, err
	}
	return a.replyVersion(ctx, before)
}

// versionNamed finds a version of a template that was authorized.
func (a *api) versionNamed(ctx context.Context, t store.Template, name string) (store.TemplateVersion, error) {
	return a.store.GetTemplateVersionByName(ctx, store.GetTemplateVersionByNameParams{OrganizationID: t.OrganizationID, TemplateID: &t.ID, Name: name})
}

func (a *api) listTemplateVersions(ctx context.Context, in *listVersionsInput) (*output[[]client.TemplateVersion], error) {
	t, err := a.template(ctx, authz.Read, in.Template)
	if err != nil {
		return nil, err
	}
	p := store.ListTemplateVersionsParams{
		OrganizationID: t.OrganizationID, TemplateID: &t.ID, IncludeArchived: in.IncludeArchived, MaxRows: in.Limit, SkipRows: in.Offset,
	}
	if in.Limit == 0 {
		p.MaxRows = allRows
	}
	if in.AfterID != uuid.Nil {
		after, err := a.templateVersion(ctx, authz.Read, in.AfterID)
		if err != nil || after.TemplateID == nil || *after.TemplateID != t.ID {
			return nil, invalid("after_id", "This template has no version %s.", in.AfterID)
		}
		p.AfterID = in.AfterID.String()
	}
	rows, err := a.store.ListTemplateVersions(ctx, p)
	if err != nil {
		return nil, err
	}
	versions := make([]store.TemplateVersion, len(rows))
	for i, row := range rows {
		versions[i] = store.TemplateVersion{
			ID: row.ID, OrganizationID: row.OrganizationID, TemplateID: row.TemplateID, JobID: row.JobID, Name: row.Name, Message: row.Message, Readme: row.Readme,
			HasExternalAgent: row.HasExternalAgent, Archived: row.Archived, CreatedBy: row.CreatedBy, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		}
	}
	responses, err := a.versionResponses(ctx, versions)
	if err != nil {
		return nil, err
	}
	return reply(responses), nil
}

func (a *api) updateTemplateVersion(ctx context.Context, in *updateVersionInput) (*output[client.TemplateVersion], error) {
	v, err := a.templateVersion(ctx, authz.Update, in.Version)
	if err != nil {
		return nil, err
	}
	old := v
	if in.Body.Name != nil && *in.Body.Name != v.Name {
		if err := checkName("name", client.NameTemplateVersion, *in.Body.Name); err != nil {
			return nil, err
		}
		v.Name = *in.Body.Name
	}
	if in.Body.Message != nil {
		v.Message = *in.Body.Message
	}
	var updated store.TemplateVersion
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		updated, err = tx.UpdateTemplateVersion(ctx, store.UpdateTemplateVersionParams{
			OrganizationID: v.OrganizationID, ID: v.ID, Name: v.Name, Message: v.Message, UpdatedAt: store.At(a.now()),
		})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, versionChanged(client.AuditWrite, &old, &updated))
	})
	if store.IsConflict(err) {
		return nil, invalid("name", "The template has another version %q; choose another name.", v.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("update template version: %w", err)
	}
	return a.replyVersion(ctx, updated)
}

// promoteTemplateVersion makes new workspaces start from a version.
func (a *api) promoteTemplateVersion(ctx context.Context, in *promoteInput) (*output[message], error) {
	t, err := a.template(ctx, authz.Update, in.Template)
	if err != nil {
		return nil, err
	}
	v, err := a.templateVersion(ctx, authz.Read, in.Body.ID)
	if err != nil {
		return nil, err
	}
	if v.TemplateID == nil || *v.TemplateID != t.ID {
		return nil, invalid("id", "The version does not belong to this template.")
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if err := a.withStore(tx).checkPromotable(ctx, v.ID); err != nil {
			return err
		}
		rows, err := tx.UpdateTemplateActiveVersion(ctx, store.UpdateTemplateActiveVersionParams{
			OrganizationID: t.OrganizationID, ID: t.ID, ActiveVersionID: v.ID, UpdatedAt: store.At(a.now()),
		})
		if err == nil && rows == 0 {
			err = errNotFound()
		}
		if err != nil {
			return err
		}
		after := t
		after.ActiveVersionID = v.ID
		return a.audit(ctx, tx, templateChanged(client.AuditWrite, &t, &after))
	})
	if err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("The active version of %s is now %s.", t.Name, v.Name)), nil
}

// checkPromotable looks inside the transaction, so that a version cannot be
// archived at the same moment.
func (a *api) checkPromotable(ctx context.Context, id uuid.UUID) error {
	v, job, err := a.versionAndImport(ctx, authz.Read, id)
	if err != nil {
		return err
	}
	if v.Archived {
		return badRequest("The version is archived; take it out of the archive first.")
	}
	if job.Status != client.JobSucceeded {
		return forbidden(fmt.Sprintf("Only a version whose import has succeeded can be active; the import of %s is %s.", v.Name, job.Status))
	}
	return nil
}

// replyVersion also counts the provisioners that could run a waiting import.
func (a *api) replyVersion(ctx context.Context, v store.TemplateVersion) (*output[client.TemplateVersion], error) {
	responses, err := a.versionResponses(ctx, []store.TemplateVersion{v})
	if err != nil {
		return nil, err
	}
	response := responses[0]
	if response.Job.Status == client.JobPending {
		response.MatchedProvisioners, err = a.matchedProvisioners(ctx, v.OrganizationID, response.Job.Tags)
	}
	return reply(response), err
}

// versionResponses reads jobs and authors of authorized versions at once.
func (a *api) versionResponses(ctx context.Context, versions []store.TemplateVersion) ([]client.TemplateVersion, error) {
	jobIDs, userIDs := make([]uuid.UUID, len(versions)), make([]uuid.UUID, len(versions))
	for i, v := range versions {
		jobIDs[i], userIDs[i] = v.JobID, v.CreatedBy
	}
	rows, err := a.store.ListProvisionerJobsByIDs(ctx, store.IDs(jobIDs))
	if err != nil {
		return nil, err
	}
	jobs, err := a.jobsByID(ctx, rows)
	if err != nil {
		return nil, err
	}
	users, err := a.usersByID(ctx, userIDs)
	if err != nil {
		return nil, err
	}
	out := make([]client.TemplateVersion, len(versions))
	for i, v := range versions {
		out[i] = versionResponse(v, jobs[v.JobID], users[v.CreatedBy])
	}
	return out, nil
}

func (a *api) jobsByID(ctx context.Context, rows []store.ProvisionerJob) (map[uuid.UUID]client.ProvisionerJob, error) {
	jobs := make([]*store.ProvisionerJob, len(rows))
	for i := range rows {
		jobs[i] = &rows[i]
	}
	responses, err := a.jobResponses(ctx, jobs)
	out := make(map[uuid.UUID]client.ProvisionerJob, len(rows))
	for _, job := range responses {
		out[job.ID] = job
	}
	return out, err
}

func (a *api) usersByID(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]client.MinimalUser, error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	rows, err := a.store.ListUserNames(ctx, store.IDs(slices.Compact(ids)))
	if err != nil {
		return nil, err
	}
	users := make(map[uuid.UUID]client.MinimalUser, len(rows))
	for _, row := range rows {
		users[row.ID] = client.MinimalUser{ID: row.ID, Username: row.Username, Name: row.Name, AvatarURL: row.AvatarURL}
	}
	return users, nil
}

func versionResponse(v store.TemplateVersion, job client.ProvisionerJob, author client.MinimalUser) client.TemplateVersion {
	return client.TemplateVersion{
		ID: v.ID, TemplateID: v.TemplateID, OrganizationID: v.OrganizationID, CreatedAt: v.CreatedAt.Time, UpdatedAt: v.UpdatedAt.Time,
		Name: v.Name, Message: v.Message, Job: job, Readme: v.Readme, CreatedBy: author, Archived: v.Archived, HasExternalAgent: v.HasExternalAgent,
	}
}
