package server

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/internal/starter"
	"coder/internal/template"
	"coder/store"
)

// nameTries is how many random names are tried before giving up.
const nameTries = 10

type createVersionInput struct {
	Organization string `path:"organization" doc:"Name, id, or default"`
	Body         client.CreateTemplateVersionRequest
}

// versionDraft is a version that has been checked and not yet stored.
type versionDraft struct {
	organization store.Organization
	template     *store.Template
	request      client.CreateTemplateVersionRequest
	fileID       uuid.UUID
	tags         store.StringMap
	expressions  map[string]string
	variables    []versionVariable
	unused       []string
}

// createTemplateVersion reads the source for what must be known before a
// daemon can be chosen, the variables and the tags, and leaves the rest to the
// import job.
func (a *api) createTemplateVersion(ctx context.Context, in *createVersionInput) (*output[client.TemplateVersion], error) {
	org, err := a.organization(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	d := versionDraft{organization: org, request: in.Body}
	if d.template, err = a.templateOfNewVersion(ctx, org, in.Body.TemplateID); err != nil {
		return nil, err
	}
	if err := checkNewVersion(in.Body); err != nil {
		return nil, err
	}
	if err := a.draftSource(ctx, &d); err != nil {
		return nil, err
	}
	version, job, err := a.insertVersion(ctx, d)
	if err != nil {
		return nil, err
	}
	a.jobPosted(job)
	return a.replyVersion(ctx, version)
}

// templateOfNewVersion asks whether the caller may add a version to the
// template, or without one whether they may make templates.
func (a *api) templateOfNewVersion(ctx context.Context, org store.Organization, id *uuid.UUID) (*store.Template, error) {
	if givenID(id) == nil {
		if !subjectFrom(ctx).Can(authz.Create, authz.Object{Type: authz.Template, OrganizationID: org.ID}) {
			return nil, errNotFound()
		}
		return nil, nil
	}
	t, err := a.template(ctx, authz.Update, *id)
	if err != nil {
		return nil, err
	}
	if t.OrganizationID != org.ID {
		return nil, errNotFound()
	}
	return &t, nil
}

func checkNewVersion(req client.CreateTemplateVersionRequest) error {
	if req.Name != "" {
		if err := checkName("name", client.NameTemplateVersion, req.Name); err != nil {
			return err
		}
	}
	switch {
	case req.StorageMethod != client.StorageFile:
		return invalid("storage_method", "Must be %q.", client.StorageFile)
	case req.Provisioner == "":
		return invalid("provisioner", "Must be %q.", client.ProvisionerTerraform)
	case (givenID(req.FileID) == nil) == (req.ExampleID == ""):
		return badRequest("The request is not valid.", client.ValidationError{Field: "file_id", Detail: "Give either file_id or example_id."},
			client.ValidationError{Field: "example_id", Detail: "Give either file_id or example_id."})
	}
	return checkTags(req.Tags)
}

// draftSource finds the archive and reads it.
func (a *api) draftSource(ctx context.Context, d *versionDraft) error {
	id, tar, err := a.sourceOfNewVersion(ctx, d.request)
	if err != nil {
		return err
	}
	d.fileID = id
	source := &template.Source{}
	if d.request.Provisioner == client.ProvisionerTerraform {
		if source, err = readSource(tar); err != nil {
			return err
		}
	}
	before, err := a.valuesOfActiveVersion(ctx, d.template)
	if err != nil {
		return err
	}
	d.variables, d.unused = resolveVariables(source.Variables, d.request.UserVariableValues, before)
	d.expressions = source.TagExpressions()
	evaluated, err := source.EvaluateTags(givenValues(d.variables), nil)
	if err != nil {
		return refuse(http.StatusBadRequest, "The workspace tags of the template cannot be evaluated.", err.Error(), client.ValidationError{Field: "tags", Detail: err.Error()})
	}
	d.tags = mergeTags(normalizeTags(d.request.Tags, callerID(ctx)), evaluated)
	return checkTags(d.tags)
}

func (a *api) sourceOfNewVersion(ctx context.Context, req client.CreateTemplateVersionRequest) (uuid.UUID, []byte, error) {
	if fileID := givenID(req.FileID); fileID != nil {
		file, err := a.file(ctx, *fileID)
		if store.IsNotFound(err) {
			err = errNotFound()
		}
		return file.ID, file.Data, err
	}
	tar, err := starter.Tar(req.ExampleID)
	if err != nil {
		return uuid.Nil, nil, invalid("example_id", "There is no example %q; GET /templates/examples lists them.", req.ExampleID)
	}
	id, _, err := a.storeFile(ctx, tar)
	return id, tar, err
}

// readSource refuses at once what every import would fail on.
func readSource(tar []byte) (*template.Source, error) {
	source, err := template.ReadTar(bytes.NewReader(tar))
	if err == nil {
		err = source.CheckState()
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "The template cannot be imported.", err.Error())
	}
	return source, nil
}

// valuesOfActiveVersion are what a new version takes over where the request
// gives nothing.
func (a *api) valuesOfActiveVersion(ctx context.Context, t *store.Template) (map[string]string, error) {
	if t == nil {
		return nil, nil
	}
	variables, err := readVariables(ctx, a.store, t.OrganizationID, t.ActiveVersionID)
	return givenValues(variables), err
}

// resolveVariables gives each declared variable the value of the request, or
// else that of the version before. Unused are values for what is not declared.
func resolveVariables(declared []template.Variable, given []client.VariableValue, before map[string]string) (variables []versionVariable, unused []string) {
	values := maps.Clone(before)
	if values == nil {
		values = map[string]string{}
	}
	for _, v := range given {
		values[v.Name] = v.Value
		if !slices.ContainsFunc(declared, func(d template.Variable) bool { return d.Name == v.Name }) {
			unused = append(unused, v.Name)
		}
	}
	for _, d := range declared {
		value, ok := values[d.Name]
		variables = append(variables, versionVariable{TemplateVersionVariable: d.API(value), given: ok})
	}
	return variables, unused
}

// insertVersion stores the version with its job. A random name that is taken
// is replaced by another one.
func (a *api) insertVersion(ctx context.Context, d versionDraft) (store.TemplateVersion, store.ProvisionerJob, error) {
	for try := 1; ; try++ {
		name := d.request.Name
		if name == "" {
			name = randomName()
		}
		version, job, err := a.insertNamedVersion(ctx, d, name)
		switch {
		case store.IsConflict(err) && d.request.Name == "" && try < nameTries:
			continue
		case store.IsConflict(err):
			err = taken("Template version", name, "name")
		case err != nil:
			err = fmt.Errorf("create template version: %w", err)
		}
		return version, job, err
	}
}

func (a *api) insertNamedVersion(ctx context.Context, d versionDraft, name string) (version store.TemplateVersion, job store.ProvisionerJob, err error) {
	id, now := uuid.New(), store.At(a.now())
	p := store.InsertTemplateVersionParams{
		ID: id, OrganizationID: d.organization.ID, JobID: uuid.New(), Name: name, Message: d.request.Message,
		WorkspaceTags: d.expressions, CreatedBy: callerID(ctx), CreatedAt: now, UpdatedAt: now,
	}
	if d.template != nil {
		p.TemplateID = &d.template.ID
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		job, err = a.enqueueJob(ctx, tx, store.InsertProvisionerJobParams{
			ID: p.JobID, OrganizationID: d.organization.ID, Type: client.JobTemplateVersionImport, Provisioner: d.request.Provisioner,
			Tags: d.tags, FileID: d.fileID, InitiatorID: callerID(ctx), TemplateVersionID: id,
		})
		if err != nil {
			return err
		}
		if version, err = tx.InsertTemplateVersion(ctx, p); err != nil {
			return err
		}
		if len(d.unused) > 0 {
			if err := a.serverLog(ctx, tx, job, "warn", "Variables", "Values were given for variables that the template does not declare: "+strings.Join(d.unused, ", ")+". They are not used."); err != nil {
				return err
			}
		}
		if err := insertVariables(ctx, tx, version, d.variables); err != nil {
			return err
		}
		return a.audit(ctx, tx, versionChanged(client.AuditCreate, nil, &version))
	})
	return version, job, err
}

// errUnimported refuses what needs the result of an import that is not there.
func errUnimported(status int, job store.ProvisionerJob) error {
	return refuse(status, fmt.Sprintf("The import of this template version is %s.", job.Status), "Wait until its job has ended, and see its log.")
}
