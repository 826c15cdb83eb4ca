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

func (a *api) dryRunRoutes(r *router, path string) {
	may := onObject(authz.Create, authz.Workspace)
	handle(r, post, path, "Plan what a workspace would be", may, a.createDryRun, created)
	handle(r, get, path+"/{job}", "Get a dry run", may, a.getDryRun)
	handle(r, get, path+"/{job}/matched-provisioners", "Count the provisioners that could take a dry run", may, a.getDryRunProvisioners)
	handle(r, get, path+"/{job}/resources", "List what a dry run would make", may, a.getDryRunResources)
	handle(r, patch, path+"/{job}/cancel", "Cancel a dry run", may, a.cancelDryRun, evenFull())
	handleRaw(r, get, path+"/{job}/logs", "Read or follow the log of a dry run", may, a.getDryRunLogs)
}

type createDryRunInput struct {
	TemplateVersionPath
	Body client.CreateDryRunRequest
}

type DryRunPath struct {
	TemplateVersionPath
	Job uuid.UUID `path:"job" format:"uuid"`
}

// createDryRun queues a plan of the version for a workspace that does not exist.
func (a *api) createDryRun(ctx context.Context, in *createDryRunInput) (*output[client.ProvisionerJob], error) {
	v, imported, err := a.versionAndImport(ctx, authz.Read, in.Version)
	if err != nil {
		return nil, err
	}
	if !subjectFrom(ctx).Can(authz.Create, authz.Object{Type: authz.Workspace, OrganizationID: v.OrganizationID, OwnerID: callerID(ctx)}) {
		return nil, errNotFound()
	}
	if imported.Status != client.JobSucceeded {
		return nil, errUnimported(http.StatusBadRequest, imported)
	}
	p, variables, err := a.draftDryRun(ctx, v, imported, in.Body)
	if err != nil {
		return nil, err
	}
	var job store.ProvisionerJob
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if p.SealedInput, err = tx.Seal(ctx, v.OrganizationID, store.PurposeVariable, []byte(store.JSON(variables))); err != nil {
			return err
		}
		job, err = a.enqueueJob(ctx, tx, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create dry run: %w", err)
	}
	a.jobPosted(job)
	return a.replyJob(ctx, job)
}

// draftDryRun is the job without its variables, which are to be sealed.
func (a *api) draftDryRun(ctx context.Context, v store.TemplateVersion, imported store.ProvisionerJob, req client.CreateDryRunRequest) (p store.InsertProvisionerJobParams, variables []client.JobVariable, err error) {
	if req.WorkspaceName != "" {
		if err := checkName("workspace_name", client.NameWorkspace, req.WorkspaceName); err != nil {
			return p, nil, err
		}
	}
	variables, err = a.dryRunVariables(ctx, v, req.UserVariableValues)
	if err != nil {
		return p, nil, err
	}
	tags, err := a.versionTags(ctx, v, imported, callerID(ctx), variables, req.RichParameterValues)
	if err != nil {
		return p, nil, err
	}
	return store.InsertProvisionerJobParams{
		OrganizationID: v.OrganizationID, Type: client.JobTemplateVersionDryRun, Provisioner: imported.Provisioner, Tags: tags, FileID: imported.FileID,
		InitiatorID: callerID(ctx), TemplateVersionID: v.ID,
		Input: store.JSON(dryRunInput{WorkspaceName: req.WorkspaceName, Parameters: nonNil(req.RichParameterValues)}),
	}, variables, nil
}

// dryRunVariables are the version's with the request's over them; names that
// are not declared are dropped.
func (a *api) dryRunVariables(ctx context.Context, v store.TemplateVersion, given []client.VariableValue) ([]client.JobVariable, error) {
	declared, err := readVariables(ctx, a.store, v.OrganizationID, v.ID)
	if err != nil {
		return nil, err
	}
	values := givenValues(declared)
	for _, g := range given {
		values[g.Name] = g.Value
	}
	out := []client.JobVariable{}
	for _, d := range declared {
		if value, ok := values[d.Name]; ok {
			out = append(out, client.JobVariable{Name: d.Name, Value: value, Sensitive: d.Sensitive})
		}
	}
	return out, nil
}

func (a *api) getDryRun(ctx context.Context, in *DryRunPath) (*output[client.ProvisionerJob], error) {
	job, err := a.dryRun(ctx, in.Version, in.Job)
	if err != nil {
		return nil, err
	}
	return a.replyJob(ctx, job)
}

func (a *api) replyJob(ctx context.Context, job store.ProvisionerJob) (*output[client.ProvisionerJob], error) {
	response, err := a.jobResponse(ctx, job)
	if err != nil {
		return nil, err
	}
	return reply(response), nil
}

func (a *api) getDryRunProvisioners(ctx context.Context, in *DryRunPath) (*output[client.MatchedProvisioners], error) {
	job, err := a.dryRun(ctx, in.Version, in.Job)
	if err != nil {
		return nil, err
	}
	matched, err := a.matchedProvisioners(ctx, job.OrganizationID, job.Tags)
	if err != nil {
		return nil, err
	}
	return reply(*matched), nil
}

func (a *api) getDryRunResources(ctx context.Context, in *DryRunPath) (*output[[]client.WorkspaceResource], error) {
	job, err := a.dryRun(ctx, in.Version, in.Job)
	if err != nil {
		return nil, err
	}
	if job.CompletedAt.IsZero() {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("The dry run is %s.", job.Status), "Wait until its job has ended, and see its log.")
	}
	resources, err := a.jobResources(ctx, job.ID)
	if err != nil {
		return nil, err
	}
	return reply(resources), nil
}

func (a *api) cancelDryRun(ctx context.Context, in *DryRunPath) (*output[message], error) {
	job, err := a.dryRun(ctx, in.Version, in.Job)
	if err != nil {
		return nil, err
	}
	return a.cancel(ctx, job)
}

func (a *api) getDryRunLogs(w http.ResponseWriter, r *http.Request) {
	var ids [2]uuid.UUID
	for i, name := range []string{"templateversion", "job"} {
		var err error
		if ids[i], err = uuid.Parse(r.PathValue(name)); err != nil {
			a.writeError(r.Context(), w, invalid(name, "%q is not a UUID.", r.PathValue(name)))
			return
		}
	}
	a.serveJobLogs(w, r, func(ctx context.Context) (store.ProvisionerJob, error) { return a.dryRun(ctx, ids[0], ids[1]) })
}

// dryRunVariablesOf opens what createDryRun sealed.
func dryRunVariablesOf(ctx context.Context, s *store.Store, job store.ProvisionerJob) ([]client.JobVariable, error) {
	plain, err := s.Unseal(ctx, job.OrganizationID, store.PurposeVariable, job.SealedInput)
	if err != nil {
		return nil, err
	}
	var variables []client.JobVariable
	if err := json.Unmarshal(plain, &variables); err != nil {
		return nil, fmt.Errorf("read the dry run's variables: %w", err)
	}
	return variables, nil
}
