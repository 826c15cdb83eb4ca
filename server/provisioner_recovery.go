package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// maxHistoryBody bounds a call that reports attempts.
const maxHistoryBody = 4 << 20

type reportHistoryInput struct {
	DaemonPath
	Body client.ReportHistoryRequest
}

// recoveryID is what daemons are told: empty outside of a recovery.
func recoveryID(row store.GetHistoryRow) string {
	if row.RecoveryID == uuid.Nil {
		return ""
	}
	return row.RecoveryID.String()
}

// heedAll looks at what a daemon remembers as it joins, and answers the
// recovery that the organization is in.
func (a *api) heedAll(ctx context.Context, d store.ProvisionerDaemon, witnesses []string) (string, error) {
	for _, text := range witnesses {
		if claim, err := client.ReadHistoryClaim(text); err != nil || claim.OrganizationID != d.OrganizationID {
			continue // a spool may serve several organizations
		}
		if err := a.heed(ctx, d.OrganizationID, text); err != nil {
			return "", err
		}
	}
	row, err := a.historyOf(ctx, d.OrganizationID)
	return recoveryID(row), err
}

// owesReport: the organization is in a recovery in which the daemon has not
// said yet what it remembers.
func (a *api) owesReport(ctx context.Context, d store.ProvisionerDaemon, ask client.AcquireJobRequest) (bool, error) {
	if ask.Recovery == nil {
		return false, nil
	}
	row, err := a.historyOf(ctx, d.OrganizationID)
	return row.RecoveryID != uuid.Nil && recoveryID(row) != *ask.Recovery, err
}

// takeBackForRecovery puts a build back into the queue that was handed out
// with a state which turned out to be an older one; its engine has not started.
func (a *api) takeBackForRecovery(ctx context.Context, attempt *store.Attempt) error {
	var job store.ProvisionerJob
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		current, err := tx.GetAttemptOfCall(ctx, attempt.ID)
		if err != nil || !current.Current {
			return err
		}
		now := a.now()
		if _, err := tx.EndAttempt(ctx, store.EndAttemptParams{
			OrganizationID: current.OrganizationID, ID: current.ID, RenewedAt: current.RenewedAt, EndedAt: store.At(now), ExpiresAt: store.At(now.Add(secretKept)), Reply: []byte{},
		}); err != nil {
			return err
		}
		if job, err = tx.LockProvisionerJob(ctx, store.LockProvisionerJobParams{ID: current.JobID, UpdatedAt: store.At(now)}); err != nil {
			return err
		}
		job.Attempts--
		done, _, err := a.retry(ctx, tx, job, "The database turned out to be an older copy before the engine had started; the build waits for what it lacks.")
		if err == nil && !done {
			_, err = a.endJob(ctx, tx, job, store.FinishProvisionerJobParams{Status: client.JobCanceled, InDoubt: "[]", Timings: "[]"}, nil)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("take a build back: %w", err)
	}
	a.leases.forget(attempt.ID)
	if job.ID != uuid.Nil {
		a.jobChanged(job)
	}
	return refuse(http.StatusConflict, "No engine may start for this job now.", "The database was restored from an older copy, and the build was put back until it is known what the copy lacks.")
}

// reported is a voucher that the server has signed, and what is said of its attempt.
type reported struct {
	client.HistoryReport
	claim client.HistoryClaim
}

// reportHistory takes down what a daemon's spool remembers of builds that the
// database does not know, and asks for the states that it lacks.
func (a *api) reportHistory(ctx context.Context, in *reportHistoryInput) (*output[client.ReportHistoryResponse], error) {
	d, err := a.ownDaemon(ctx, in.Daemon)
	if err != nil {
		return nil, err
	}
	out := client.ReportHistoryResponse{Wanted: []uuid.UUID{}, Held: []uuid.UUID{}, Refused: []uuid.UUID{}}
	reports := a.genuine(ctx, d, in.Body.Reports, &out)
	for _, r := range reports {
		if err := a.heed(ctx, d.OrganizationID, r.Voucher); err != nil {
			return nil, err
		}
	}
	err = a.mustTx(ctx, func(tx *store.Store) error {
		out.Wanted, out.Held = []uuid.UUID{}, []uuid.UUID{}
		for _, r := range reports {
			if err := a.takeReport(ctx, tx, d, r, &out); err != nil {
				return err
			}
		}
		if err := a.wantedOf(ctx, tx, d, reports, &out); err != nil {
			return err
		}
		return a.endIfComplete(ctx, tx, d.OrganizationID)
	})
	if err != nil {
		return nil, fmt.Errorf("take reports of earlier builds: %w", err)
	}
	a.recoveryChanged(d.OrganizationID)
	row, err := a.historyOf(ctx, d.OrganizationID)
	out.Recovery = recoveryID(row)
	return reply(out), err
}

// genuine are the reports with vouchers of the daemon's organization, the
// newest first. Daemons of a user tell of that user's workspaces only.
func (a *api) genuine(ctx context.Context, d store.ProvisionerDaemon, reports []client.HistoryReport, out *client.ReportHistoryResponse) []reported {
	var good []reported
	for _, r := range reports {
		claim, ok := a.openClaim(ctx, d.OrganizationID, r.Voucher)
		if ok && claim.Kind == client.ClaimVoucher && mayReport(d, claim) {
			good = append(good, reported{r, claim})
			continue
		}
		if said, err := client.ReadHistoryClaim(r.Voucher); err == nil {
			out.Refused = append(out.Refused, said.AttemptID)
		}
	}
	slices.SortFunc(good, func(x, y reported) int { return int(y.claim.Number - x.claim.Number) })
	return good
}

func mayReport(d store.ProvisionerDaemon, claim client.HistoryClaim) bool {
	return d.Tags[client.TagScope] != scopeTagUser || d.UserID != nil && *d.UserID == claim.OwnerID
}

// takeReport writes down one engine start of which the database does not know
// everything. An attempt that it knows goes its usual way, unless it ended in
// what the copy lacks.
func (a *api) takeReport(ctx context.Context, tx *store.Store, d store.ProvisionerDaemon, r reported, out *client.ReportHistoryResponse) error {
	org := d.OrganizationID
	attempt, err := tx.GetAttempt(ctx, r.claim.AttemptID)
	if ignoreNotFound(err) != nil {
		return err
	}
	known := err == nil
	if known && !attempt.Current && attempt.Settled == "" && a.hasPassed(attempt.ExpiresAt) {
		out.Refused = append(out.Refused, attempt.ID) // its secret is good for nothing any more, and its row about to be forgotten
		return nil
	}
	if known && attempt.History == 0 {
		err = tx.RememberEngineStart(ctx, store.RememberEngineStartParams{
			OrganizationID: org, ID: attempt.ID, History: r.claim.Number, Voucher: r.Voucher, EngineStartedAt: store.At(r.claim.At),
		})
		if err != nil {
			return err
		}
	}
	if known && attempt.History == r.claim.Number && attempt.Settled != "" {
		return nil
	}
	if !known {
		if forgotten, err := pruned(ctx, tx, r.claim); err != nil || forgotten {
			out.Refused = append(out.Refused, r.claim.AttemptID)
			return err
		}
	}
	past, err := tx.ListRecoveries(ctx, org)
	if err != nil || len(past) == 0 {
		return err // nobody has asked
	}
	if !known && a.isOld(r.claim) && !slices.ContainsFunc(past, func(p store.ListRecoveriesRow) bool { return lacks(p, r.claim.Number) }) {
		out.Refused = append(out.Refused, r.claim.AttemptID) // forgotten in the usual way
		return nil
	}
	row := store.PutRecoveryReportParams{
		AttemptID: r.claim.AttemptID, OrganizationID: org, RecoveryID: past[0].ID, Number: r.claim.Number, WorkspaceID: r.claim.WorkspaceID, Fence: r.claim.Fence,
		Claim: store.JSON(r.claim), DaemonName: d.Name, Running: r.Running, Sha256: r.SHA256, Data: []byte{}, ReportedAt: store.At(a.now()),
	}
	switch {
	case known && r.Running:
		row.Running, row.Outcome = false, client.LostCurrent // its secret is good, and so is what it hands in
	case !r.Running && r.SHA256 == "":
		row.Outcome = client.LostNone
	}
	if open := openRecovery(past); open != nil {
		row.RecoveryID = open.ID
		if row.Running {
			out.Held = append(out.Held, r.claim.AttemptID)
		}
		if !known || attempt.History == 0 {
			if _, err := widenRecovery(ctx, tx, open, r.claim.Number); err != nil {
				return err
			}
		}
	}
	return tx.PutRecoveryReport(ctx, row)
}

// lacks tells whether a number is one of those that a copy did not know.
func lacks(r store.ListRecoveriesRow, number int64) bool {
	return number > r.CopyNumber && number <= r.Witnessed
}

// wantedOf are those of the reported attempts whose state is not in, the last
// one of each workspace.
func (a *api) wantedOf(ctx context.Context, tx *store.Store, d store.ProvisionerDaemon, reports []reported, out *client.ReportHistoryResponse) error {
	rows, err := tx.ListRecoveryReports(ctx, d.OrganizationID)
	if err != nil {
		return err
	}
	last := lastReported(rows)
	for _, r := range reports {
		i := slices.IndexFunc(rows, func(row store.ListRecoveryReportsRow) bool { return row.AttemptID == r.claim.AttemptID })
		if i >= 0 && lostState(last, rows[i]) == client.LostAwaited {
			out.Wanted = append(out.Wanted, r.claim.AttemptID)
		}
	}
	return nil
}

// lostWorkspace is a workspace in one recovery.
type lostWorkspace struct{ recoveryID, workspaceID uuid.UUID }

// lastReported is the highest fence of the reports of each workspace that have
// left a state.
func lastReported(all []store.ListRecoveryReportsRow) map[lostWorkspace]int64 {
	last := map[lostWorkspace]int64{}
	for _, r := range all {
		if r.Outcome != client.LostNone && !r.Running {
			w := lostWorkspace{r.RecoveryID, r.WorkspaceID}
			last[w] = max(last[w], r.Fence)
		}
	}
	return last
}

// lostState is what became of a report's state, by lastReported.
func lostState(last map[lostWorkspace]int64, r store.ListRecoveryReportsRow) string {
	switch {
	case r.Outcome != "":
		return r.Outcome
	case r.Running:
		return client.LostRunning
	}
	if last[lostWorkspace{r.RecoveryID, r.WorkspaceID}] > r.Fence {
		return client.LostSuperseded
	}
	return client.LostAwaited
}

// missingNumbers are those of a recovery of which nobody has told: neither its
// own attempt nor a later one of the same workspace.
func missingNumbers(r store.ListRecoveriesRow, reports []store.ListRecoveryReportsRow) ([]int64, error) {
	told := map[int64]bool{}
	for _, report := range reports {
		told[report.Number] = true
		claim, err := decode[client.HistoryClaim](report.Claim, "voucher")
		if err != nil {
			return nil, err
		}
		for _, number := range claim.Previous {
			told[number] = true
		}
	}
	missing := []int64{}
	for number := r.CopyNumber + 1; number <= r.Witnessed; number++ {
		if !told[number] {
			missing = append(missing, number)
		}
	}
	return missing, nil
}

// endIfComplete ends an organization's recovery once every engine start that
// the copy lacks is accounted for, and the last state of each workspace is in.
func (a *api) endIfComplete(ctx context.Context, tx *store.Store, organizationID uuid.UUID) error {
	past, err := tx.ListRecoveries(ctx, organizationID)
	if err != nil {
		return err
	}
	open := openRecovery(past)
	if open == nil {
		return nil
	}
	reports, err := tx.ListRecoveryReports(ctx, organizationID)
	if err != nil {
		return err
	}
	last := lastReported(reports)
	for _, r := range reports {
		state := lostState(last, r)
		if r.RecoveryID == open.ID && (state == client.LostAwaited || state == client.LostRunning) {
			return nil
		}
	}
	missing, err := missingNumbers(*open, reports)
	if err != nil || len(missing) > 0 {
		return err
	}
	return a.endRecovery(ctx, tx, *open, nil)
}

// endRecovery lets builds start again; by is nil where nothing is missing any more.
func (a *api) endRecovery(ctx context.Context, tx *store.Store, r store.ListRecoveriesRow, by *uuid.UUID) error {
	rows, err := tx.EndRecovery(ctx, store.EndRecoveryParams{OrganizationID: r.OrganizationID, ID: r.ID, EndedAt: store.At(a.now()), EndedByID: by})
	if err != nil || rows == 0 {
		return err
	}
	org, err := tx.GetOrganization(ctx, r.OrganizationID)
	if err != nil {
		return err
	}
	a.logger.InfoContext(ctx, "the recovery of an organization has ended: builds start again", "organization", r.OrganizationID, "by_itself", by == nil)
	return a.audit(ctx, tx, recoveryEntry(org, "end", r.ID, r.CopyNumber, r.Witnessed))
}

// putLostState takes the last state of an attempt that was reported.
func (a *api) putLostState(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	err := a.takeLostState(ctx, r)
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *api) takeLostState(ctx context.Context, r *http.Request) error {
	daemonID, err := uuid.Parse(r.PathValue("daemon"))
	if err != nil {
		return invalid("daemon", "%q is not a UUID.", r.PathValue("daemon"))
	}
	attemptID, err := uuid.Parse(r.PathValue("lost"))
	if err != nil {
		return invalid("lost", "%q is not a UUID.", r.PathValue("lost"))
	}
	d, err := a.ownDaemon(ctx, daemonID)
	if err != nil {
		return err
	}
	report, err := a.lostReport(ctx, a.store, d, attemptID)
	if err != nil {
		return err
	}
	state, _, err := readState(r)
	if err != nil {
		return err
	}
	var changed uuid.UUID
	err = a.mustTx(ctx, func(tx *store.Store) error {
		if report, err = a.lostReport(ctx, tx, d, attemptID); err != nil {
			return err
		}
		if report.Sha256 != state.sha256 {
			return conflict("Another state than this was reported as the last one of this attempt.")
		}
		if report.Running {
			return conflict("The engine of this attempt may still run: report its end before its last state.")
		}
		if report.Outcome != "" {
			return nil // the same call again, or a later state has come first
		}
		changed, err = a.storeLostState(ctx, tx, report, state)
		return err
	})
	if err != nil {
		return fmt.Errorf("take a state that the database lacks: %w", err)
	}
	a.recoveryChanged(d.OrganizationID)
	if changed != uuid.Nil {
		a.workspaceChanged(changed)
	}
	return nil
}

func (a *api) lostReport(ctx context.Context, s *store.Store, d store.ProvisionerDaemon, attemptID uuid.UUID) (store.RecoveryReport, error) {
	report, err := s.GetRecoveryReport(ctx, store.GetRecoveryReportParams{OrganizationID: d.OrganizationID, AttemptID: attemptID})
	if err != nil {
		return report, err
	}
	claim, err := decode[client.HistoryClaim](report.Claim, "voucher")
	if err == nil && !mayReport(d, claim) {
		err = errNotFound()
	}
	return report, err
}

// storeLostState puts a state where it belongs: to its attempt, where the
// copy had that; to its workspace, as the current state or as salvage; else it
// is kept by itself. It returns the workspace that it has changed.
func (a *api) storeLostState(ctx context.Context, tx *store.Store, report store.RecoveryReport, state packedState) (uuid.UUID, error) {
	settled := store.SettleRecoveryReportParams{OrganizationID: report.OrganizationID, AttemptID: report.AttemptID, Size: state.size, Data: []byte{}}
	w, err := workspaceOfLoop(ctx, tx, report.WorkspaceID)
	if ignoreNotFound(err) != nil {
		return uuid.Nil, err
	}
	var entry *auditEntry
	if err != nil || w.OrganizationID != report.OrganizationID || w.Deleted {
		settled.Outcome = client.LostKept
		settled.Data, err = tx.SealState(ctx, report.OrganizationID, state.data)
	} else {
		settled.Outcome, settled.Version, err = a.recoverState(ctx, tx, w, report, state)
		if err == nil {
			entry, err = a.recoveredEntry(ctx, tx, w, settled)
		}
	}
	if err != nil {
		return uuid.Nil, err
	}
	if err := tx.SettleRecoveryReport(ctx, settled); err != nil {
		return uuid.Nil, err
	}
	if err := tx.SupersedeRecoveryReports(ctx, store.SupersedeRecoveryReportsParams{OrganizationID: report.OrganizationID, WorkspaceID: report.WorkspaceID, Fence: report.Fence}); err != nil {
		return uuid.Nil, err
	}
	if entry == nil {
		return uuid.Nil, a.endIfComplete(ctx, tx, report.OrganizationID)
	}
	if err := a.audit(ctx, tx, *entry); err != nil {
		return uuid.Nil, err
	}
	return w.ID, a.endIfComplete(ctx, tx, report.OrganizationID)
}

func (a *api) recoveredEntry(ctx context.Context, tx *store.Store, w store.Workspace, settled store.SettleRecoveryReportParams) (*auditEntry, error) {
	build, err := latestBuildOf(ctx, tx, w)
	if err != nil {
		return nil, err
	}
	return new(stateRecovered(w, build, settled.AttemptID, settled.Version, settled.Outcome == client.LostSalvage)), nil
}

// recoverState stores a state of a workspace that the database has. Nothing
// that was accepted since the restore is replaced, and outside of a recovery
// nothing at all: then the state is salvage.
func (a *api) recoverState(ctx context.Context, tx *store.Store, w store.Workspace, report store.RecoveryReport, state packedState) (outcome string, version int64, err error) {
	if w, err = tx.LockWorkspace(ctx, store.LockWorkspaceParams{OrganizationID: w.OrganizationID, ID: w.ID, UpdatedAt: store.At(a.now())}); err != nil {
		return "", 0, err
	}
	row := store.InsertWorkspaceStateParams{
		WorkspaceID: w.ID, OrganizationID: w.OrganizationID, Fence: report.Fence, N: 1, WorkspaceBuildID: w.LatestBuildID, AttemptID: &report.AttemptID, Recovered: true,
	}
	attempt, err := tx.GetAttemptOfCall(ctx, report.AttemptID)
	if ignoreNotFound(err) != nil {
		return "", 0, err
	}
	if err == nil {
		row.N, row.WorkspaceBuildID, row.Salvage = attempt.StateN+1, *attempt.WorkspaceBuildID, !attempt.Current
		if err := tx.RaiseAttemptState(ctx, store.RaiseAttemptStateParams{OrganizationID: attempt.OrganizationID, ID: attempt.ID, StateN: row.N}); err != nil {
			return "", 0, err
		}
	} else if row.Salvage, err = a.isLate(ctx, tx, w, report); err != nil {
		return "", 0, err
	} else if row.Salvage || w.Fence >= report.Fence {
		// The number of a lost hand-out may have been given out again.
		row.Fence, err = tx.RaiseWorkspaceFence(ctx, store.RaiseWorkspaceFenceParams{OrganizationID: w.OrganizationID, ID: w.ID})
	} else {
		_, err = tx.LiftWorkspaceFence(ctx, store.LiftWorkspaceFenceParams{OrganizationID: w.OrganizationID, ID: w.ID, Fence: report.Fence})
	}
	if err != nil {
		return "", 0, err
	}
	outcome = client.LostCurrent
	if row.Salvage {
		outcome = client.LostSalvage
	}
	version, err = a.putState(ctx, tx, state, row)
	return outcome, version, err
}

// isLate: an engine has started or the state was changed since the restore, or
// nobody waits for lost states any more.
func (a *api) isLate(ctx context.Context, tx *store.Store, w store.Workspace, report store.RecoveryReport) (bool, error) {
	history, err := readHistory(ctx, tx, w.OrganizationID)
	if err != nil || history.RecoveryID == uuid.Nil {
		return true, err
	}
	claim, err := decode[client.HistoryClaim](report.Claim, "voucher")
	if err != nil {
		return true, err
	}
	changes, err := tx.CountChangesSinceLost(ctx, store.CountChangesSinceLostParams{
		OrganizationID: w.OrganizationID, WorkspaceID: w.ID, Fence: report.Fence, LostAt: store.At(claim.At),
	})
	return changes > 0, err
}

// runningReports are of engines that the database does not know and that may
// live, also when the recovery has ended: their supervisors kill them within
// the horizon of the last time that the workspace was held for them.
func (a *api) runningReports(ctx context.Context, organizationID uuid.UUID) ([]store.ListRunningReportsRow, error) {
	return a.store.ListRunningReports(ctx, store.ListRunningReportsParams{OrganizationID: organizationID, SinceAt: a.reportsSince()})
}

// reportsSince: who has told of an engine since then may still run it.
func (a *api) reportsSince() store.Time { return store.At(a.now().Add(-a.options.Horizon)) }

func (a *api) recoveryRoutes(r *router) {
	handle(r, get, "/organizations/{organization}/recovery", "Tell what a restored database lacks", inOrganization(authz.Update, authz.ProvisionerDaemon), a.getRecovery)
	handle(r, post, "/organizations/{organization}/recovery/end", "Let builds start although something is missing", inOrganization(authz.Update, authz.ProvisionerDaemon), a.endRecoveryByHand)
	handleRaw(r, get, "/organizations/{organization}/recovery/states/{lost}", "Read the state of a workspace that the database does not know", inOrganization(authz.Update, authz.Template), a.serveLostState)
}

type getRecoveryInput struct {
	OrganizationPath
	Limit  int `query:"limit" minimum:"0" maximum:"1000" doc:"Reports at most; 0 is 100"`
	Offset int `query:"offset" minimum:"0" doc:"Reports to leave out before"`
}

func (a *api) getRecovery(ctx context.Context, in *getRecoveryInput) (*output[client.Recovery], error) {
	out, err := a.recoveryResponse(ctx, organizationFrom(ctx).ID, in.Limit, in.Offset)
	return reply(out), err
}

// endRecoveryByHand is for an administrator who knows that nobody will tell
// more; what comes later is salvage.
func (a *api) endRecoveryByHand(ctx context.Context, _ *OrganizationPath) (*output[client.Recovery], error) {
	org := organizationFrom(ctx)
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		past, err := tx.ListRecoveries(ctx, org.ID)
		if err != nil {
			return err
		}
		open := openRecovery(past)
		if open == nil {
			return conflict("The organization is in no recovery.")
		}
		return a.endRecovery(ctx, tx, *open, new(callerID(ctx)))
	})
	if err != nil {
		return nil, err
	}
	a.recoveryChanged(org.ID)
	out, err := a.recoveryResponse(ctx, org.ID, 0, 0)
	return reply(out), err
}

// maxMissing is how many missing numbers are named, and reportsShown how many
// reports where nobody says how many.
const (
	maxMissing   = 100
	reportsShown = 100
)

// recoveryResponse is the recovery that an organization is in, or was in last,
// with a part of the reports: those that are waited for come first.
func (a *api) recoveryResponse(ctx context.Context, organizationID uuid.UUID, limit, offset int) (client.Recovery, error) {
	out := client.Recovery{Missing: []int64{}, Reports: []client.RecoveryReport{}}
	past, err := a.store.ListRecoveries(ctx, organizationID)
	if err != nil || len(past) == 0 {
		return out, err
	}
	r := past[0]
	if open := openRecovery(past); open != nil {
		r = *open
	}
	out.Recovering, out.StartedAt, out.CopyNumber, out.Witnessed, out.EndedBy = r.EndedAt.IsZero(), &r.StartedAt.Time, r.CopyNumber, r.Witnessed, r.EndedByName
	if !r.EndedAt.IsZero() {
		out.EndedAt = &r.EndedAt.Time
	}
	rows, err := a.store.ListRecoveryReports(ctx, organizationID)
	if err != nil {
		return out, err
	}
	missing, err := missingNumbers(r, rows)
	if err != nil {
		return out, err
	}
	out.MissingCount, out.Missing = int64(len(missing)), missing[:min(len(missing), maxMissing)]
	last := lastReported(rows)
	waits := func(row store.ListRecoveryReportsRow) int {
		if state := lostState(last, row); state == client.LostAwaited || state == client.LostRunning {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(rows, func(x, y store.ListRecoveryReportsRow) int { return waits(x) - waits(y) })
	out.ReportsCount = len(rows)
	if out.AwaitedCount = slices.IndexFunc(rows, func(row store.ListRecoveryReportsRow) bool { return waits(row) > 0 }); out.AwaitedCount < 0 {
		out.AwaitedCount = len(rows)
	}
	rows = rows[min(offset, len(rows)):]
	for _, row := range rows[:min(cmp.Or(limit, reportsShown), len(rows))] {
		report, err := recoveryReportResponse(last, row)
		if err != nil {
			return out, err
		}
		out.Reports = append(out.Reports, report)
	}
	return out, nil
}

func recoveryReportResponse(last map[lostWorkspace]int64, row store.ListRecoveryReportsRow) (client.RecoveryReport, error) {
	claim, err := decode[client.HistoryClaim](row.Claim, "voucher")
	return client.RecoveryReport{
		Number: row.Number, AttemptID: row.AttemptID, StartedAt: claim.At, WorkspaceID: row.WorkspaceID, WorkspaceName: claim.WorkspaceName, OwnerName: claim.OwnerName,
		TemplateName: claim.TemplateName, BuildNumber: claim.BuildNumber, Transition: claim.Transition, DaemonName: row.DaemonName, WorkspaceKnown: row.Known == 1,
		State: lostState(last, row), Version: row.Version, Size: row.Size,
	}, err
}

// serveLostState sends a state that was kept because its workspace is not known.
func (a *api) serveLostState(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	state, err := a.readLostState(ctx, r.PathValue("lost"))
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(state) // the client is gone; nobody is left to tell
}

func (a *api) readLostState(ctx context.Context, ref string) (json.RawMessage, error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return nil, invalid("lost", "%q is not a UUID.", ref)
	}
	org := organizationFrom(ctx)
	report, err := a.store.GetRecoveryReport(ctx, store.GetRecoveryReportParams{OrganizationID: org.ID, AttemptID: id})
	if err != nil {
		return nil, err
	}
	if report.Outcome != client.LostKept {
		return nil, errNotFound()
	}
	return a.store.UnsealState(ctx, org.ID, report.Data)
}
