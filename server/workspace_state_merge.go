package server

import (
	"context"
	"encoding/json"
	"fmt"

	"coder/client"
	"coder/internal/terraform"
	"coder/store"
)

// stageSalvage is the stage of a build's log under which stands what was
// merged into its base.
const stageSalvage = "Merging salvage"

// salvageMerge is one merge of a workspace's salvage under way.
type salvageMerge struct {
	tx    *store.Store
	build store.WorkspaceBuild
	// provides are the provider configurations of the template's version and
	// of the current state.
	provides func(provider string) bool
	into     *terraform.Merge
	// taken of states that were read already, by fence and number.
	taken map[[2]int64]*terraform.Inventory
	found []salvageFound
	// heard is the last salvage of each attempt from which nothing was held back.
	heard []store.ListUnmergedSalvageRow
}

// salvageFound is an object, and the version that holds it.
type salvageFound struct {
	terraform.Salvaged
	version int64
}

// mergeSalvage adds to the base of an attempt what only salvage knows, as a
// state of that attempt, number 0, in the transaction of its hand-out: so it
// stands whatever becomes of the attempt. Each object is named in the log.
func (a *api) mergeSalvage(ctx context.Context, tx *store.Store, job store.ProvisionerJob, acquired *client.AcquiredJob) error {
	if job.WorkspaceBuildID == nil {
		return nil
	}
	build, err := buildOfJob(ctx, tx, job)
	if err != nil || build.Orphan {
		return err
	}
	m, err := readSalvage(ctx, tx, build, acquired.State)
	if err != nil || m == nil {
		return err
	}
	if m.into.Changed() {
		if acquired.State, err = m.into.State(); err != nil {
			return err
		}
		packed, err := packState(acquired.State)
		if err != nil {
			return err
		}
		if _, err := a.putState(ctx, tx, packed, store.InsertWorkspaceStateParams{
			WorkspaceID: build.WorkspaceID, OrganizationID: build.OrganizationID, Fence: acquired.Fence, WorkspaceBuildID: build.ID, AttemptID: &acquired.AttemptID,
		}); err != nil {
			return fmt.Errorf("store the merged state: %w", err)
		}
	}
	for _, row := range m.heard {
		_, err := tx.MarkSalvageMerged(ctx, store.MarkSalvageMergedParams{
			OrganizationID: build.OrganizationID, WorkspaceID: build.WorkspaceID, Fence: row.Fence, N: row.N, MergedAt: store.At(a.now()), MergedBuildID: &build.ID,
		})
		if err != nil {
			return err
		}
	}
	return a.nameSalvage(ctx, tx, job, m.found)
}

// nameSalvage says in a build's log what became of each object.
func (a *api) nameSalvage(ctx context.Context, tx *store.Store, job store.ProvisionerJob, found []salvageFound) error {
	entries := []client.JobLogEntry{}
	for _, f := range found {
		e := client.JobLogEntry{CreatedAt: a.now(), Source: "provisioner_daemon", Level: "warn", Stage: stageSalvage}
		what := f.Address
		if f.ID != "" {
			what += " (id " + f.ID + ")"
		}
		switch from := fmt.Sprintf(", which state version %d holds", f.version); {
		case f.Held != "":
			e.Level, e.Output = "error", fmt.Sprintf("%s%s as salvage, was not merged: %s. Look whether it exists; docs/operations.md says what to do.", what, from, f.Held)
		case f.Deposed != "":
			e.Output = fmt.Sprintf("%s%s as salvage, was made by a provisioner that had lost its build. Its address is taken, so it is deposed object %s, which this build destroys.", what, from, f.Deposed)
		default:
			e.Output = fmt.Sprintf("%s%s as salvage, was made by a provisioner that had lost its build. Its address is free, so from now on it is the current object there.", what, from)
		}
		entries = append(entries, e)
		// A build's log has a limit, and an operator may look here first.
		a.logger.WarnContext(ctx, "salvage", "job", job.ID, "organization", job.OrganizationID, "address", f.Address, "version", f.version, "deposed", f.Deposed, "held", f.Held)
	}
	if len(entries) == 0 {
		return nil
	}
	return a.insertLogs(ctx, tx, job.OrganizationID, job.ID, nil, entries, false)
}

// readSalvage merges all unmerged salvage into a state, newest attempt first;
// nil where there is none.
func readSalvage(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, base []byte) (*salvageMerge, error) {
	rows, err := tx.ListUnmergedSalvage(ctx, store.ListUnmergedSalvageParams{OrganizationID: build.OrganizationID, WorkspaceID: build.WorkspaceID})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	m := &salvageMerge{tx: tx, build: build, taken: map[[2]int64]*terraform.Inventory{}}
	if m.into, err = terraform.NewMerge(base); err != nil {
		return nil, err
	}
	if err := m.readProviders(ctx, base); err != nil {
		return nil, err
	}
	fence := int64(0)
	for _, row := range rows {
		if row.Fence == fence {
			continue // an earlier state of the same attempt
		}
		fence = row.Fence
		if err := m.add(ctx, row); err != nil {
			return nil, fmt.Errorf("merge state version %d: %w", row.Version, err)
		}
	}
	return m, nil
}

// readProviders asks the template's graph, and takes what the state holds
// already for given.
func (m *salvageMerge) readProviders(ctx context.Context, base []byte) error {
	version, err := versionOfBuild(ctx, m.tx, m.build)
	if err != nil {
		return err
	}
	graph, err := terraform.ReadGraph(json.RawMessage(version.Graph))
	if err != nil {
		graph = &terraform.Graph{} // of an earlier release
	}
	current, err := terraform.TakeInventory(base)
	if err != nil {
		return err
	}
	held := current.Providers()
	m.provides = func(provider string) bool { return held[provider] || graph.Configures(provider) }
	return nil
}

// add merges the last salvage of one attempt.
func (m *salvageMerge) add(ctx context.Context, row store.ListUnmergedSalvageRow) error {
	known, superseded, err := m.known(ctx, row)
	if err != nil {
		return err
	}
	if superseded {
		m.heard = append(m.heard, row)
		return nil
	}
	rules := terraform.MergeRules{Destroying: m.build.Transition == client.TransitionDelete, Provides: m.provides}
	wrote, err := buildOfSalvage(ctx, m.tx, row)
	if err != nil && !store.IsNotFound(err) {
		return err
	}
	if err == nil && wrote.TemplateVersionID == m.build.TemplateVersionID {
		rules.Provides = nil // the very configuration that made it
	}
	content, err := m.content(ctx, row.Fence, row.N)
	if err != nil {
		return err
	}
	found, err := m.into.Add(content, known, rules)
	if err != nil {
		return err
	}
	held := false
	for _, f := range found {
		m.found = append(m.found, salvageFound{f, row.Version})
		held = held || f.Held != ""
	}
	if !held {
		m.heard = append(m.heard, row)
	}
	return nil
}

// known are the states that may hold what an attempt's salvage holds: the
// attempt's base, all that were accepted since, and its own salvage that was
// merged before. Superseded: a later state of the attempt was accepted.
func (m *salvageMerge) known(ctx context.Context, row store.ListUnmergedSalvageRow) (known []*terraform.Inventory, superseded bool, err error) {
	base, err := baseFence(ctx, m.tx, m.build, row.Fence)
	if err != nil {
		return nil, false, err
	}
	rows, err := m.tx.ListKnownStates(ctx, store.ListKnownStatesParams{
		OrganizationID: m.build.OrganizationID, WorkspaceID: m.build.WorkspaceID, BaseFence: base, Fence: row.Fence,
	})
	if err != nil {
		return nil, false, err
	}
	for _, r := range rows {
		if r.Fence == row.Fence && r.N > row.N {
			return nil, true, nil
		}
		at := [2]int64{r.Fence, r.N}
		if m.taken[at] == nil {
			content, err := m.content(ctx, r.Fence, r.N)
			if err != nil {
				return nil, false, err
			}
			if m.taken[at], err = terraform.TakeInventory(content); err != nil {
				return nil, false, err
			}
		}
		known = append(known, m.taken[at])
	}
	return known, false, nil
}

func (m *salvageMerge) content(ctx context.Context, fence, n int64) ([]byte, error) {
	data, err := m.tx.GetWorkspaceStateData(ctx, store.GetWorkspaceStateDataParams{
		OrganizationID: m.build.OrganizationID, WorkspaceID: m.build.WorkspaceID, Fence: fence, N: n,
	})
	if err != nil {
		return nil, err
	}
	return m.tx.UnsealState(ctx, m.build.OrganizationID, data)
}

// baseFence is the fence of the state that an attempt started from; its own
// where it started from none.
func baseFence(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, fence int64) (int64, error) {
	base, err := tx.GetWorkspaceStateBefore(ctx, store.GetWorkspaceStateBeforeParams{OrganizationID: build.OrganizationID, WorkspaceID: build.WorkspaceID, Fence: fence})
	if store.IsNotFound(err) {
		return fence, nil
	}
	return base.Fence, err
}

// leftInSalvage are the objects that only salvage knows, while a build runs
// that was to leave nothing, and whether another attempt would be given any.
func leftInSalvage(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, base []byte) (left []string, more bool, err error) {
	m, err := readSalvage(ctx, tx, build, base)
	if err != nil || m == nil {
		return nil, false, err
	}
	for _, f := range m.found {
		held := ""
		if f.Held != "" {
			held = "; " + f.Held
		}
		id := ""
		if f.ID != "" {
			id = "id " + f.ID + ", "
		}
		text := fmt.Sprintf("%s (%sstate version %d%s)", f.Address, id, f.version, held)
		left, more = append(left, text), more || f.Held == ""
	}
	return left, more, nil
}

// nameLeftBehind says in the log of the build that deleted a workspace what an
// attempt hands in after that: no build will merge it any more.
func (a *api) nameLeftBehind(ctx context.Context, attempt *store.Attempt) error {
	w, err := workspaceOfLoop(ctx, a.store, *attempt.WorkspaceID)
	if err != nil || !w.Deleted {
		return err
	}
	var job store.ProvisionerJob
	named := false
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		build, err := latestBuildOf(ctx, tx, w)
		if err != nil {
			return err
		}
		left, _, err := leftInSalvage(ctx, tx, build, nil)
		if err != nil || len(left) == 0 {
			return err
		}
		job, err = tx.LockProvisionerJob(ctx, store.LockProvisionerJobParams{ID: build.JobID, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		rows, err := tx.ListJobLogs(ctx, store.ListJobLogsParams{OrganizationID: job.OrganizationID, JobID: job.ID, After: job.LogRows - lateRows, MaxRows: lateRows})
		if err != nil {
			return err
		}
		said := map[string]bool{}
		for _, row := range rows {
			said[row.Output] = row.Stage == stageLate
		}
		entries := []client.JobLogEntry{}
		for _, text := range left {
			text += " was made by a provisioner that had lost its build, and came in after the workspace was deleted: look whether it exists, and remove it by hand."
			if !said[text] {
				entries = append(entries, client.JobLogEntry{CreatedAt: a.now(), Source: "provisioner_daemon", Level: "error", Stage: stageLate, Output: text})
			}
		}
		if named = len(entries) > 0; !named {
			return nil
		}
		return a.insertLogs(ctx, tx, job.OrganizationID, job.ID, nil, entries, false)
	})
	if err != nil {
		return fmt.Errorf("name what a deleted workspace has left: %w", err)
	}
	if named {
		a.bus.Publish(jobTopic(job.ID))
	}
	return nil
}
