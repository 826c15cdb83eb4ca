package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/parameter"
	"coder/store"
)

// buildPlan is a build before it exists. What stands above the blank line is
// asked for, what stands below is found out by preparePlan.
type buildPlan struct {
	workspace     store.Workspace
	template      store.Template
	version       store.TemplateVersion
	previous      *store.WorkspaceBuild // nil for the first build
	transition    string
	reason        string
	requested     []client.BuildParameter
	presetID      *uuid.UUID
	initiator     uuid.UUID
	automated     bool
	state         []byte // replaces the newest state; nil does not
	orphan        bool
	logLevel      string
	mayAnyVersion bool
	onSuccess     string // a followUp as JSON, or empty

	importJob  store.ProvisionerJob
	parameters []client.BuildParameter
	tags       store.StringMap
	// unserved: no provisioner is there that could run an orphaning delete.
	unserved bool
}

// madeBuild is a build that was committed.
type madeBuild struct {
	build store.WorkspaceBuild
	job   store.ProvisionerJob
}

// preparePlan finds out everything about a build that needs no lock, and
// refuses what cannot be built.
func (a *api) preparePlan(ctx context.Context, p *buildPlan) error {
	var err error
	if p.importJob, err = a.store.GetProvisionerJob(ctx, p.version.JobID); err != nil {
		return fmt.Errorf("read the import of the version: %w", err)
	}
	if err := p.checkVersion(); err != nil {
		return err
	}
	if err := p.resolveParameters(); err != nil {
		return err
	}
	if err := a.resolveTags(ctx, p); err != nil || !p.orphan {
		return err
	}
	matched, err := a.matchedProvisioners(ctx, p.workspace.OrganizationID, p.tags)
	p.unserved = err == nil && matched.Available == 0
	return err
}

// checkVersion refuses versions that are not ready or not allowed.
func (p *buildPlan) checkVersion() error {
	start := p.transition == client.TransitionStart
	switch status := p.importJob.Status; {
	case status == client.JobPending || status == client.JobRunning || status == client.JobCanceling:
		return refuse(http.StatusNotAcceptable, fmt.Sprintf("The template version %q is still being imported.", p.version.Name), "Wait until the import has ended.")
	case status != client.JobSucceeded:
		return refuse(http.StatusBadRequest, fmt.Sprintf("The import of the template version %q has %s.", p.version.Name, ended(status)), "Choose another version, or push the template again.")
	case start && p.template.Deleted:
		return refuse(http.StatusNotFound, "The template of this workspace has been deleted; it cannot start.", "")
	case start && p.version.Archived:
		return invalid("template_version_id", "The template version %q is archived.", p.version.Name)
	case start && p.template.RequireActiveVersion && p.version.ID != p.template.ActiveVersionID && !p.mayAnyVersion:
		return refuse(http.StatusForbidden, fmt.Sprintf("The template %q requires its active version.", p.template.Name), "Update the workspace: coder update.")
	}
	return nil
}

func ended(status string) string {
	if status == client.JobCanceled {
		return "been canceled"
	}
	return status
}

// resolveParameters settles the value of each parameter of the version.
func (p *buildPlan) resolveParameters() error {
	declared, err := decode[[]client.TemplateVersionParameter](p.version.Parameters, "parameters of the version")
	if err != nil {
		return err
	}
	preset, err := p.preset()
	if err != nil {
		return err
	}
	var previous []client.BuildParameter
	if p.previous != nil {
		if previous, err = decode[[]client.BuildParameter](p.previous.Parameters, "build parameters"); err != nil {
			return err
		}
	}
	values, wrong := parameter.Resolve(declared, p.requested, previous, preset, p.previous == nil)
	if len(wrong) > 0 {
		return badRequest("The parameters of the build are not valid.", wrong...)
	}
	p.parameters = nonNil(values)
	return nil
}

// preset is the values of the preset that was asked for.
func (p *buildPlan) preset() ([]client.BuildParameter, error) {
	if p.presetID == nil {
		return nil, nil
	}
	presets, err := decode[[]client.Preset](p.version.Presets, "presets of the version")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(presets, func(preset client.Preset) bool { return preset.ID == *p.presetID })
	if i < 0 {
		return nil, invalid("template_version_preset_id", "The template version %q has no such preset.", p.version.Name)
	}
	var values []client.BuildParameter
	for _, value := range presets[i].Parameters {
		values = append(values, client.BuildParameter(value))
	}
	return values, nil
}

// resolveTags says which daemons may run the build: the tags of the import,
// made the owner's, and over them the workspace tags of the template, section
// 3.9 of the reference. Those cannot change whose daemons they are.
func (a *api) resolveTags(ctx context.Context, p *buildPlan) error {
	var variables []client.JobVariable
	var err error
	if len(p.version.WorkspaceTags) > 0 {
		if variables, err = a.versionVariables(ctx, p.version.OrganizationID, p.version.ID); err != nil {
			return err
		}
	}
	p.tags, err = a.versionTags(ctx, p.version, p.importJob, p.workspace.OwnerID, variables, p.parameters)
	return err
}

// commitPlan makes the build in a transaction: it locks the workspace, sees
// that nothing else has happened to it and that allowance and budget admit it,
// and adds job, build and pointer.
func (a *api) commitPlan(ctx context.Context, tx *store.Store, p buildPlan) (madeBuild, error) {
	now := store.At(a.now())
	w, err := tx.LockWorkspace(ctx, store.LockWorkspaceParams{OrganizationID: p.workspace.OrganizationID, ID: p.workspace.ID, UpdatedAt: now})
	if err != nil {
		return madeBuild{}, fmt.Errorf("lock the workspace: %w", err)
	}
	if err := a.checkFree(ctx, tx, w, p); err != nil {
		return madeBuild{}, err
	}
	reserved, err := a.reserve(ctx, tx, w, p)
	if err != nil {
		return madeBuild{}, err
	}
	made, err := a.insertBuild(ctx, tx, w, p, uuid.New(), reserved)
	if err != nil {
		return madeBuild{}, err
	}
	rows, err := tx.SetWorkspaceLatestBuild(ctx, store.SetWorkspaceLatestBuildParams{
		OrganizationID: w.OrganizationID, ID: w.ID, LatestBuildID: made.build.ID, LatestBuildNumber: made.build.BuildNumber,
		DailyCost: reserved.cost, Running: reserved.running, UpdatedAt: now,
	})
	if err == nil && rows == 0 {
		err = errBuildRace()
	}
	if err != nil {
		return madeBuild{}, err
	}
	if err := a.audit(ctx, tx, buildEntry(w, p.template, made.build)); err != nil {
		return madeBuild{}, err
	}
	if p.state != nil {
		if err := a.insertState(ctx, tx, made.build, p.state, p.initiator); err != nil {
			return madeBuild{}, err
		}
	}
	if !p.automated {
		err := tx.TouchWorkspace(ctx, store.TouchWorkspaceParams{OrganizationID: w.OrganizationID, ID: w.ID, LastUsedAt: now})
		if err != nil {
			return madeBuild{}, err
		}
	}
	if p.unserved {
		return a.orphanAtOnce(ctx, tx, made)
	}
	return made, nil
}

// checkFree refuses while another build runs, and when one came in between.
func (a *api) checkFree(ctx context.Context, tx *store.Store, w store.Workspace, p buildPlan) error {
	if w.Deleted {
		return errWorkspaceDeleted()
	}
	if p.previous == nil {
		return nil
	}
	if w.LatestBuildID != p.previous.ID {
		return errBuildRace()
	}
	job, err := tx.GetProvisionerJob(ctx, p.previous.JobID)
	if err != nil {
		return err
	}
	if job.CompletedAt.IsZero() {
		return refuse(http.StatusConflict, fmt.Sprintf("Build %d (%s) of the workspace is still %s.", p.previous.BuildNumber, p.previous.Transition, job.Status),
			"Wait until it has ended, or cancel it.")
	}
	return nil
}

// insertBuild adds a build and its job to a workspace as it stood before.
func (a *api) insertBuild(ctx context.Context, tx *store.Store, w store.Workspace, p buildPlan, buildID uuid.UUID, reserved usage) (madeBuild, error) {
	now := store.At(a.now())
	job, err := a.enqueueJob(ctx, tx, store.InsertProvisionerJobParams{
		ID: uuid.New(), OrganizationID: w.OrganizationID, Type: client.JobWorkspaceBuild, Provisioner: p.importJob.Provisioner, Tags: p.tags,
		FileID: p.importJob.FileID, InitiatorID: p.initiator, Automated: p.automated, TemplateVersionID: p.version.ID, WorkspaceID: &w.ID, WorkspaceBuildID: &buildID,
	})
	if err != nil {
		return madeBuild{}, fmt.Errorf("queue the job: %w", err)
	}
	build, err := tx.InsertWorkspaceBuild(ctx, store.InsertWorkspaceBuildParams{
		ID: buildID, OrganizationID: w.OrganizationID, WorkspaceID: w.ID, TemplateVersionID: p.version.ID, JobID: job.ID, BuildNumber: w.LatestBuildNumber + 1,
		Transition: p.transition, Reason: p.reason, InitiatorID: p.initiator, PresetID: p.presetID, Parameters: store.JSON(p.parameters),
		Orphan: p.orphan, LogLevel: p.logLevel, OnSuccess: p.onSuccess,
		DailyCost: reserved.cost, StandingCost: w.DailyCost, StandingRunning: w.Running, CreatedAt: now, UpdatedAt: now,
	})
	return madeBuild{build: build, job: job}, err
}

// orphanAtOnce ends a delete that nothing needs to run for and nobody could
// run: the row goes, and the log says that the resources were left.
func (a *api) orphanAtOnce(ctx context.Context, tx *store.Store, made madeBuild) (madeBuild, error) {
	err := a.serverLog(ctx, tx, made.job, "warn", "Orphan", "No provisioner with "+strings.TrimSpace(showTags(made.job.Tags))+" is running. The workspace is removed without one; its resources were left as they are.")
	if err != nil {
		return made, err
	}
	_, err = a.endJob(ctx, tx, made.job, store.FinishProvisionerJobParams{Status: client.JobSucceeded, InDoubt: "[]", Timings: "[]"}, &jobResult{build: &client.BuildResult{Empty: true}})
	made.job.Status = client.JobSucceeded
	return made, err
}

// buildPosted tells daemons and watchers of a build that is committed.
func (a *api) buildPosted(made madeBuild) {
	if made.job.Status == client.JobPending {
		a.jobPosted(made.job)
		return
	}
	a.jobChanged(made.job)
}
