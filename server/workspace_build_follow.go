package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// followUp is the start that was asked for together with a stop, as the
// stop's build keeps it: no crash in between forgets it.
type followUp struct {
	VersionID     uuid.UUID               `json:"version_id"`
	Parameters    []client.BuildParameter `json:"parameters,omitempty"`
	PresetID      *uuid.UUID              `json:"preset_id,omitempty"`
	MayAnyVersion bool                    `json:"may_any_version,omitempty"`
}

// requestedFollowUp refuses at once what could not start later, and is empty
// when nothing shall follow.
func (a *api) requestedFollowUp(ctx context.Context, stop buildPlan, req *client.BuildOnSuccessRequest) (string, error) {
	if req == nil {
		return "", nil
	}
	if err := a.checkWorkspace(ctx, authz.Start, stop.workspace); err != nil {
		return "", err
	}
	if !stop.workspace.DormantAt.IsZero() {
		return "", invalid("on_success", "The workspace is dormant and does not start; activate it first.")
	}
	f := followUp{VersionID: stop.version.ID, Parameters: req.RichParameterValues, PresetID: givenID(req.TemplateVersionPresetID), MayAnyVersion: stop.mayAnyVersion}
	version := stop.version
	if id := givenID(req.TemplateVersionID); id != nil {
		var err error
		if version, err = a.versionOfTemplate(ctx, stop.template, *id); err != nil {
			return "", err
		}
		f.VersionID = *id
	}
	start := f.plan(stop.workspace, stop.template, version)
	start.previous = stop.previous
	return store.JSON(f), a.preparePlan(ctx, &start)
}

func (f followUp) plan(w store.Workspace, template store.Template, version store.TemplateVersion) buildPlan {
	return buildPlan{
		workspace: w, template: template, version: version, transition: client.TransitionStart, reason: client.BuildReasonInitiator,
		requested: f.Parameters, presetID: f.PresetID, mayAnyVersion: f.MayAnyVersion,
	}
}

// followAtOnce looks whether something follows a build that has just
// succeeded; where it fails, the life cycle comes to it.
func (a *api) followAtOnce(ctx context.Context, build store.WorkspaceBuild) {
	if build.OnSuccess == "" {
		return
	}
	if err := a.keepSchedule(ctx, build.WorkspaceID); err != nil {
		a.logger.WarnContext(ctx, "what follows a build is not started yet; it is tried again", "workspace", build.WorkspaceID, "error", err)
	}
}

// startAfterStop makes the start. One that can no longer be made is dropped,
// and the stop's log says why.
func (a *api) startAfterStop(ctx context.Context, l life) error {
	plan, err := a.followPlan(ctx, l)
	if err == nil {
		err = a.preparePlan(ctx, &plan)
	}
	if client.StatusCode(err) != 0 {
		return a.dropFollowUp(ctx, l, err)
	}
	if err != nil {
		return err
	}
	var made madeBuild
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if err := stillDue(ctx, tx, l); err != nil {
			return err
		}
		made, err = a.commitPlan(ctx, tx, plan)
		return err
	})
	if store.IsConflict(err) || client.StatusCode(err) == http.StatusConflict {
		return nil // somebody else has built it, and that build counts
	}
	if refused := overBudget(err); refused != nil {
		return a.waitToFollow(ctx, l, plan.reason, refused)
	}
	if err != nil {
		return fmt.Errorf("start after the stop: %w", err)
	}
	a.buildPosted(made)
	return nil
}

func (a *api) followPlan(ctx context.Context, l life) (buildPlan, error) {
	f, err := decode[followUp](l.build.OnSuccess, "start after a stop")
	if err != nil {
		return buildPlan{}, err
	}
	initiator, err := a.store.GetUserIncludingDeleted(ctx, l.build.InitiatorID)
	switch {
	case err != nil:
		return buildPlan{}, err
	case initiator.Deleted || initiator.Status == client.UserSuspended || l.owner.Status == client.UserSuspended:
		return buildPlan{}, badRequest("The account of who asked for it, or of the owner, has been suspended.")
	case !l.workspace.DormantAt.IsZero():
		return buildPlan{}, badRequest("The workspace has become dormant.")
	}
	version, err := a.versionOfTemplate(ctx, l.template, f.VersionID)
	plan := f.plan(l.workspace, l.template, version)
	plan.previous, plan.initiator = &l.build, initiator.ID
	return plan, err
}

// waitToFollow keeps a start that no budget admits for later, as long as that
// makes sense, and says so in the stop's log once.
func (a *api) waitToFollow(ctx context.Context, l life, reason string, refused *client.Error) error {
	return a.store.InTx(ctx, func(tx *store.Store) error {
		again, noted, err := a.noteRefusal(ctx, tx, l, reason, refused)
		switch {
		case err != nil || !noted:
			return err
		case !again:
			return a.withStore(tx).dropFollowUp(ctx, l, refused)
		case l.refusals(a.now()) > 0:
			return nil
		}
		return a.serverLog(ctx, tx, l.job, "warn", "Start", "The start that follows this stop is not admitted yet and is tried again: "+refusalSentence(refused))
	})
}

// dropFollowUp gives the start up and says why in the stop's log, once.
func (a *api) dropFollowUp(ctx context.Context, l life, why error) error {
	return a.store.InTx(ctx, func(tx *store.Store) error {
		rows, err := tx.DropFollowUp(ctx, store.DropFollowUpParams{OrganizationID: l.build.OrganizationID, ID: l.build.ID, UpdatedAt: store.At(a.now())})
		if err != nil || rows == 0 {
			return err
		}
		return a.serverLog(ctx, tx, l.job, "warn", "Start", "The start that was to follow this stop is not made: "+why.Error())
	})
}
