package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

type createBuildInput struct {
	WorkspacePath
	Body client.CreateWorkspaceBuildRequest
}

// createWorkspaceBuild holds the conditions of section 2.7 of the reference:
// first who may, then what fits the workspace; preparePlan and commitPlan do
// the rest for people and for the life cycle alike.
func (a *api) createWorkspaceBuild(ctx context.Context, in *createBuildInput) (*output[client.WorkspaceBuild], error) {
	w, err := a.workspaceToBuild(ctx, in.Workspace, in.Body.Transition)
	if err != nil {
		return nil, err
	}
	template, err := templateOf(ctx, a.store, w)
	if err != nil {
		return nil, err
	}
	plan, err := a.requestedPlan(ctx, w, template, in.Body)
	if err != nil {
		return nil, err
	}
	if err := a.preparePlan(ctx, &plan); err != nil {
		return nil, err
	}
	var made madeBuild
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		made, err = a.commitPlan(ctx, tx, plan)
		return err
	})
	if store.IsConflict(err) {
		return nil, errBuildRace()
	}
	if err != nil {
		return nil, fmt.Errorf("create build: %w", err)
	}
	a.buildPosted(made)
	return a.buildReply(ctx, w, made.build.ID)
}

// workspaceToBuild loads a workspace by what the transition does to it. A
// dormant one is activated first, and says so to whoever could start it awake.
func (a *api) workspaceToBuild(ctx context.Context, id uuid.UUID, transition string) (store.Workspace, error) {
	action := map[string]authz.Action{client.TransitionStart: authz.Start, client.TransitionStop: authz.Stop, client.TransitionDelete: authz.Delete}[transition]
	w, err := a.liveWorkspace(ctx, authz.Read, id)
	if err != nil {
		return w, err
	}
	dormant := !w.DormantAt.IsZero()
	awake := w
	awake.DormantAt = store.Time{}
	if transition != client.TransitionStart {
		awake = w
	}
	if err := a.checkWorkspace(ctx, action, awake); err != nil {
		return w, err
	}
	if dormant && transition == client.TransitionStart {
		return w, refuse(http.StatusConflict, "The workspace is dormant and does not start.", "Activate it first: PUT /workspaces/{workspace}/dormant with dormant false, or coder schedule.")
	}
	return w, nil
}

// requestedPlan checks the request against the caller's rights.
func (a *api) requestedPlan(ctx context.Context, w store.Workspace, template store.Template, req client.CreateWorkspaceBuildRequest) (buildPlan, error) {
	admin := subjectFrom(ctx).Can(authz.Update, templateObject(template))
	if err := checkBuildRequest(req, admin); err != nil {
		return buildPlan{}, err
	}
	owner, err := a.store.GetUserIncludingDeleted(ctx, w.OwnerID)
	if err != nil {
		return buildPlan{}, err
	}
	if req.Transition == client.TransitionStart && owner.Status == client.UserSuspended {
		return buildPlan{}, badRequest(fmt.Sprintf("The account of %s is suspended; its workspaces do not start.", owner.Username))
	}
	previous, err := latestBuildOf(ctx, a.store, w)
	if err != nil {
		return buildPlan{}, fmt.Errorf("read the newest build: %w", err)
	}
	versionID := previous.TemplateVersionID
	if id := givenID(req.TemplateVersionID); id != nil {
		versionID = *id
	}
	version, err := a.versionOfTemplate(ctx, template, versionID)
	if err != nil {
		return buildPlan{}, err
	}
	reason := req.Reason
	if reason == "" {
		reason = client.BuildReasonInitiator
	}
	plan := buildPlan{
		workspace: w, template: template, version: version, previous: &previous, transition: req.Transition, reason: reason,
		requested: req.RichParameterValues, presetID: givenID(req.TemplateVersionPresetID), initiator: callerID(ctx),
		state: req.State, orphan: req.Orphan, logLevel: req.LogLevel, mayAnyVersion: admin,
	}
	plan.onSuccess, err = a.requestedFollowUp(ctx, plan, req.OnSuccess)
	return plan, err
}

// checkBuildRequest refuses what does not go together, or not for everybody.
func checkBuildRequest(req client.CreateWorkspaceBuildRequest, admin bool) error {
	switch {
	case !slices.Contains([]string{client.TransitionStart, client.TransitionStop, client.TransitionDelete}, req.Transition):
		return invalid("transition", "%q is not one of start, stop, delete.", req.Transition)
	case req.Orphan && req.Transition != client.TransitionDelete:
		return invalid("orphan", "Only a delete can leave the resources behind.")
	case req.Orphan && req.State != nil:
		return invalid("orphan", "A state makes no sense for a delete that looks at none; give one of the two.")
	case (req.Orphan || req.State != nil) && !admin:
		return forbidden("Only who may change the template may replace the state of a workspace or leave its resources behind.")
	case req.LogLevel != "" && req.LogLevel != "debug":
		return invalid("log_level", "%q is not debug.", req.LogLevel)
	case req.LogLevel != "" && !admin:
		return invalid("log_level", "Only who may change the template may ask for debug logs.")
	case req.DryRun:
		return invalid("dry_run", "Builds are not tried this way; use a dry run of the template version.")
	case req.OnSuccess != nil && (req.Transition != client.TransitionStop || req.OnSuccess.Transition != client.TransitionStart):
		return invalid("on_success", "Only a start can follow, and only a stop.")
	case !slices.Contains(askableReasons(), req.Reason):
		return invalid("reason", "%q is not a reason that can be given.", req.Reason)
	}
	if req.State != nil {
		return checkState(req.State)
	}
	return nil
}

func askableReasons() []string {
	return []string{
		"", client.BuildReasonInitiator, client.BuildReasonCLI, client.BuildReasonDashboard, "jetbrains_connection", "ssh_connection", "vscode_connection",
		"task_manual_pause", "task_resume",
	}
}

// versionOfTemplate finds a version that the workspace can move to.
func (a *api) versionOfTemplate(ctx context.Context, template store.Template, id uuid.UUID) (store.TemplateVersion, error) {
	version, err := versionOf(ctx, a.store, template, id)
	if store.IsNotFound(err) || client.IsNotFound(err) {
		return version, invalid("template_version_id", "The template %q has no such version.", template.Name)
	}
	return version, err
}

// mayAnyVersion: template administrators are not bound to the active version.
func (a *api) mayAnyVersion(ctx context.Context, template store.Template) bool {
	return subjectFrom(ctx).Can(authz.Update, templateObject(template))
}

func errBuildRace() *client.Error {
	return conflict("Somebody else has just asked for a build of this workspace. Look at it and try again when that build has ended.")
}
