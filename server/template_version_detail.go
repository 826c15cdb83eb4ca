package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// versionAndImport loads a readable version with its import job.
func (a *api) versionAndImport(ctx context.Context, action authz.Action, id uuid.UUID) (store.TemplateVersion, store.ProvisionerJob, error) {
	v, err := a.templateVersion(ctx, action, id)
	if err != nil {
		return store.TemplateVersion{}, store.ProvisionerJob{}, err
	}
	job, err := a.store.GetProvisionerJob(ctx, v.JobID)
	return v, job, err
}

// importedVersion refuses with the status that the reference has for the
// route while the import goes on.
func (a *api) importedVersion(ctx context.Context, id uuid.UUID, status int) (store.TemplateVersion, error) {
	v, job, err := a.versionAndImport(ctx, authz.Read, id)
	if err == nil && job.CompletedAt.IsZero() {
		err = errUnimported(status, job)
	}
	return v, err
}

func (a *api) getVersionParameters(ctx context.Context, in *TemplateVersionPath) (*output[[]client.TemplateVersionParameter], error) {
	v, err := a.importedVersion(ctx, in.Version, http.StatusForbidden)
	if err != nil {
		return nil, err
	}
	return readColumn[[]client.TemplateVersionParameter]("parameters", v.ID, v.Parameters)
}

func (a *api) getVersionPresets(ctx context.Context, in *TemplateVersionPath) (*output[[]client.Preset], error) {
	v, err := a.templateVersion(ctx, authz.Read, in.Version)
	if err != nil {
		return nil, err
	}
	return readColumn[[]client.Preset]("presets", v.ID, v.Presets)
}

// readColumn replies with what a column keeps as JSON.
func readColumn[T any](what string, id uuid.UUID, text string) (*output[T], error) {
	var out T
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("read %s of version %s: %w", what, id, err)
	}
	return reply(out), nil
}

func (a *api) getVersionVariables(ctx context.Context, in *TemplateVersionPath) (*output[[]client.TemplateVersionVariable], error) {
	v, err := a.importedVersion(ctx, in.Version, http.StatusForbidden)
	if err != nil {
		return nil, err
	}
	variables, err := readVariables(ctx, a.store, v.OrganizationID, v.ID)
	if err != nil {
		return nil, err
	}
	return reply(variableResponses(variables)), nil
}

// getVersionExternalAuth: this server has no providers, so a template that
// asks for one cannot be served.
func (a *api) getVersionExternalAuth(ctx context.Context, in *TemplateVersionPath) (*output[[]client.TemplateVersionExternalAuth], error) {
	v, err := a.templateVersion(ctx, authz.Read, in.Version)
	if err != nil {
		return nil, err
	}
	ids, err := readColumn[[]string]("external authentication", v.ID, v.ExternalAuth)
	if err != nil {
		return nil, err
	}
	if len(ids.Body) > 0 {
		return nil, refuse(http.StatusNotFound, unknownProviders(ids.Body), "Ask whoever runs the server, or use a template without it.")
	}
	return reply([]client.TemplateVersionExternalAuth{}), nil
}

func (a *api) getVersionResources(ctx context.Context, in *TemplateVersionPath) (*output[[]client.WorkspaceResource], error) {
	v, err := a.importedVersion(ctx, in.Version, http.StatusBadRequest)
	if err != nil {
		return nil, err
	}
	resources, err := a.jobResources(ctx, v.JobID)
	if err != nil {
		return nil, err
	}
	return reply(resources), nil
}

// getNoVersionSchema answers routes that the reference keeps for old clients.
func (a *api) getNoVersionSchema(ctx context.Context, in *TemplateVersionPath) (*output[[]struct{}], error) {
	if _, err := a.templateVersion(ctx, authz.Read, in.Version); err != nil {
		return nil, err
	}
	return reply([]struct{}{}), nil
}

func (a *api) cancelTemplateVersion(ctx context.Context, in *TemplateVersionPath) (*output[message], error) {
	_, job, err := a.versionAndImport(ctx, authz.Update, in.Version)
	if err != nil {
		return nil, err
	}
	return a.cancel(ctx, job)
}

func (a *api) cancel(ctx context.Context, job store.ProvisionerJob) (*output[message], error) {
	canceled, err := a.cancelJob(ctx, job)
	if err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("The job is now %s.", canceled.Status)), nil
}

func (a *api) getVersionLogs(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(r.PathValue("templateversion"))
	if err != nil {
		a.writeError(r.Context(), w, invalid("templateversion", "%q is not a UUID.", r.PathValue("templateversion")))
		return
	}
	a.serveJobLogs(w, r, func(ctx context.Context) (store.ProvisionerJob, error) {
		_, job, err := a.versionAndImport(ctx, authz.Read, id)
		return job, err
	})
}

// dynamicParameters refuses before an upgrade: 425 while the import goes on,
// as the reference has it, and afterwards with the way that works.
func (a *api) dynamicParameters(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(r.PathValue("templateversion"))
	if err != nil {
		err = invalid("templateversion", "%q is not a UUID.", r.PathValue("templateversion"))
	} else if _, err = a.importedVersion(r.Context(), id, http.StatusTooEarly); err == nil {
		err = refuse(http.StatusBadRequest, "This server does not evaluate parameters dynamically.", "Its templates say use_classic_parameter_flow: read …/rich-parameters instead.")
	}
	a.writeError(r.Context(), w, err)
}
