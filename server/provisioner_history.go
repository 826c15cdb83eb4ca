package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// This file numbers the engine starts of builds, and notices when the database
// knows less of them than somebody remembers: then it is an older copy.
// docs/jobs.md, "After a restore".

// histories is what this process knows of the organizations' engine starts.
type histories struct {
	rows  shared[uuid.UUID, store.GetHistoryRow]
	known shared[string, bool]

	mu sync.Mutex
	// writing is held by who writes the file; written counts what it has seen.
	writing       sync.Mutex
	seen, written int
	// newest that was read from the database or committed to it by this
	// process, which may outlive a restore of the database.
	newest map[uuid.UUID]client.HistoryClaim
	// file has the same beside the database; empty where that is not on a disk of ours.
	file string
	// refused are texts of which the log says already that they are not genuine.
	refused map[string]bool
}

// maxRefusedTexts is how many are remembered: whoever may join a daemon can
// make any number of them.
const maxRefusedTexts = 100

func newHistories(file string) *histories {
	return &histories{
		rows: newShared[uuid.UUID, store.GetHistoryRow](), known: newShared[string, bool](),
		newest: map[uuid.UUID]client.HistoryClaim{}, file: file, refused: map[string]bool{},
	}
}

// saw notes what the database has, unless a later one is known.
func (h *histories) saw(claim client.HistoryClaim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if claim.Number > h.newest[claim.OrganizationID].Number {
		h.newest[claim.OrganizationID] = claim
		h.seen++
	}
}

func (h *histories) latest(organizationID uuid.UUID) client.HistoryClaim {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest[organizationID]
}

// forget makes the next look read the database.
func (h *histories) forget(organizationID uuid.UUID) {
	h.rows.forget(organizationID)
	h.known.mu.Lock()
	defer h.known.mu.Unlock()
	clear(h.known.answers)
}

// sign makes the text of a claim that daemons keep.
func (a *api) sign(claim client.HistoryClaim) string {
	claim.DeploymentID = a.deploymentID
	return a.store.Sign([]byte(store.JSON(claim)))
}

// signWitness is the same text for the same engine start, whoever asks.
func (a *api) signWitness(organizationID uuid.UUID, number int64, attemptID uuid.UUID, at store.Time) string {
	return a.sign(client.HistoryClaim{Kind: client.ClaimWitness, OrganizationID: organizationID, Number: number, AttemptID: attemptID, At: at.UTC()})
}

// openClaim reads what a daemon presents. What is not genuine or of another
// organization is no claim, and no error of the daemon's.
func (a *api) openClaim(ctx context.Context, organizationID uuid.UUID, text string) (client.HistoryClaim, bool) {
	var claim client.HistoryClaim
	payload, err := a.store.OpenSigned(text)
	if err == nil {
		err = json.Unmarshal(payload, &claim)
	}
	if err == nil && (claim.OrganizationID != organizationID || claim.DeploymentID != a.deploymentID) {
		err = errors.New("it is of another organization or deployment")
	}
	if err != nil {
		a.logRefused(ctx, organizationID, text, err)
		return client.HistoryClaim{}, false
	}
	return claim, true
}

// logRefused says once in the log that something was presented that is not genuine.
func (a *api) logRefused(ctx context.Context, organizationID uuid.UUID, text string, why error) {
	h := a.histories
	h.mu.Lock()
	said := h.refused[text] || len(h.refused) >= maxRefusedTexts
	if !said {
		h.refused[text] = true
	}
	h.mu.Unlock()
	if !said {
		a.logger.WarnContext(ctx, "a provisioner's memory of earlier builds is not taken", "organization", organizationID, "error", why)
	}
}

// engineStart numbers an engine start of a build, in the transaction that
// marks it, and makes the voucher of its attempt.
func (a *api) engineStart(ctx context.Context, tx *store.Store, attempt *store.Attempt, row store.GetEngineStartRow, at store.Time) (startedEngine, error) {
	org, number := attempt.OrganizationID, row.History+1
	previous, err := tx.ListHistoryOfWorkspace(ctx, store.ListHistoryOfWorkspaceParams{OrganizationID: org, WorkspaceID: attempt.WorkspaceID})
	if err != nil {
		return startedEngine{}, err
	}
	rows, err := tx.RaiseHistory(ctx, store.RaiseHistoryParams{
		OrganizationID: org, Before: row.History, Number: number, AttemptID: attempt.ID, Witness: a.signWitness(org, number, attempt.ID, at), UpdatedAt: at,
	})
	if err == nil && rows == 0 {
		err = fmt.Errorf("engine start %d of organization %s is taken although it was the next one", number, org)
	}
	if err != nil {
		return startedEngine{}, err
	}
	claim := client.HistoryClaim{
		Kind: client.ClaimVoucher, OrganizationID: org, Number: number, AttemptID: attempt.ID, At: at.UTC(), WorkspaceID: *attempt.WorkspaceID, WorkspaceName: row.WorkspaceName,
		OwnerID: row.OwnerID, OwnerName: row.OwnerName, TemplateName: row.TemplateName, BuildID: *attempt.WorkspaceBuildID, BuildNumber: row.BuildNumber, Transition: row.Transition,
		Fence: attempt.Fence, Previous: previous,
	}
	return startedEngine{claim, a.sign(claim)}, nil
}

// engineStarted notes, once that is committed, how far the numbers have come.
func (a *api) engineStarted(ctx context.Context, claim client.HistoryClaim) {
	a.histories.saw(claim)
	a.histories.forget(claim.OrganizationID)
	if err := a.writeWitnesses(); err != nil {
		a.logger.WarnContext(ctx, "write the witness file beside the database", "error", err)
	}
}

// historyOf reads how far an organization's numbers have come, or takes what
// was read a moment ago. Where this process knows of later ones, the database
// was restored under it.
func (a *api) historyOf(ctx context.Context, organizationID uuid.UUID) (store.GetHistoryRow, error) {
	read := func() (store.GetHistoryRow, error) { return readHistory(ctx, a.store, organizationID) }
	row, err := a.histories.rows.get(organizationID, read)
	if err != nil {
		return row, err
	}
	latest := a.histories.latest(organizationID)
	if latest.Number > row.Number {
		a.histories.forget(organizationID)
		if err := a.beginRecovery(ctx, latest); err != nil {
			return row, err
		}
		return a.histories.rows.get(organizationID, read)
	}
	if latest.Number < row.Number {
		claim, err := client.ReadHistoryClaim(row.Witness)
		if err != nil {
			return row, fmt.Errorf("read the witness of organization %s: %w", organizationID, err)
		}
		a.histories.saw(claim)
	}
	return row, nil
}

// readHistory is the zero row for an organization in which no engine has started.
func readHistory(ctx context.Context, s *store.Store, organizationID uuid.UUID) (store.GetHistoryRow, error) {
	row, err := s.GetHistory(ctx, organizationID)
	return row, ignoreNotFound(err)
}

// heed looks at what a daemon remembers, before it is handed anything, and as it keeps a lease: where
// the database does not know of it, the organization is in recovery from then on.
// Thousands of idle daemons present the very text that the server has.
func (a *api) heed(ctx context.Context, organizationID uuid.UUID, text string) error {
	row, err := a.historyOf(ctx, organizationID)
	if err != nil || text == "" || text == row.Witness {
		return err
	}
	known, err := a.histories.known.get(text, func() (bool, error) {
		claim, ok := a.openClaim(ctx, organizationID, text)
		if !ok {
			return true, nil
		}
		news, err := a.isNews(ctx, a.store, claim)
		return !news, err
	})
	if err != nil || known {
		return err
	}
	claim, _ := client.ReadHistoryClaim(text)
	return a.beginRecovery(ctx, claim)
}

// isNews tells whether the database ought to know of an engine start, and does not.
func (a *api) isNews(ctx context.Context, s *store.Store, claim client.HistoryClaim) (bool, error) {
	row, err := readHistory(ctx, s, claim.OrganizationID)
	if err != nil || claim.Number > row.Number {
		return err == nil, err
	}
	if claim.AttemptID == row.AttemptID || a.isOld(claim) {
		return false, nil // of the old ones, attempts are forgotten
	}
	attempt, err := s.GetAttempt(ctx, claim.AttemptID)
	if ignoreNotFound(err) != nil || err == nil && attempt.OrganizationID == claim.OrganizationID && attempt.History == claim.Number {
		return false, ignoreNotFound(err)
	}
	if store.IsNotFound(err) {
		pruned, err := pruned(ctx, s, claim)
		if err != nil || pruned {
			return false, err
		}
	}
	past, err := s.ListRecoveries(ctx, claim.OrganizationID)
	if err != nil || slices.ContainsFunc(past, func(r store.ListRecoveriesRow) bool { return lacks(r, claim.Number) }) {
		return false, err
	}
	_, err = s.GetRecoveryReport(ctx, store.GetRecoveryReportParams{OrganizationID: claim.OrganizationID, AttemptID: claim.AttemptID})
	return store.IsNotFound(err), ignoreNotFound(err)
}

// pruned: the database has forgotten an attempt, as it does after a while, and
// not lost it. By its clock that may be too early, which may have gone ahead.
func pruned(ctx context.Context, s *store.Store, claim client.HistoryClaim) (bool, error) {
	n, err := s.CountPrunedAttempt(ctx, store.CountPrunedAttemptParams{OrganizationID: claim.OrganizationID, AttemptID: claim.AttemptID, Number: claim.Number})
	return n > 0, err
}

// isOld: attempts may be forgotten that long after their end.
func (a *api) isOld(claim client.HistoryClaim) bool { return a.now().Sub(claim.At) >= client.ClaimLife }

// beginRecovery opens an organization's recovery, or widens the one that is
// open, unless the claim is no news any more. The numbers go on above the
// highest one that anybody remembers, so that none is used twice.
func (a *api) beginRecovery(ctx context.Context, claim client.HistoryClaim) error {
	begun, changed := false, false
	err := a.store.InTx(ctx, func(tx *store.Store) (err error) {
		begun, changed = false, false
		news, err := a.isNews(ctx, tx, claim)
		if err != nil || !news {
			return err
		}
		row, err := readHistory(ctx, tx, claim.OrganizationID)
		if err != nil {
			return err
		}
		past, err := tx.ListRecoveries(ctx, claim.OrganizationID)
		if err != nil {
			return err
		}
		if claim.Number > row.Number {
			at := store.At(claim.At)
			if err := tx.LiftHistory(ctx, store.LiftHistoryParams{
				OrganizationID: claim.OrganizationID, Number: claim.Number, AttemptID: claim.AttemptID,
				Witness: a.signWitness(claim.OrganizationID, claim.Number, claim.AttemptID, at), UpdatedAt: at,
			}); err != nil {
				return err
			}
		}
		if begun = row.RecoveryID == uuid.Nil; !begun {
			changed, err = widenRecovery(ctx, tx, openRecovery(past), claim.Number)
			return err
		}
		changed = true
		return a.openNewRecovery(ctx, tx, claim, row, past)
	})
	if err != nil {
		return fmt.Errorf("begin the recovery of organization %s: %w", claim.OrganizationID, err)
	}
	if changed {
		a.recoveryChanged(claim.OrganizationID)
	}
	if begun {
		a.bus.Publish(recoveryTopic(claim.OrganizationID))
		a.logger.ErrorContext(ctx, "the database is an older copy: no build of this organization starts until its provisioners have reported, or an administrator ends that with: coder provisioner recovery end",
			"organization", claim.OrganizationID, "remembered", claim.Number)
	}
	return nil
}

// openNewRecovery is for the numbers above what the copy knew.
func (a *api) openNewRecovery(ctx context.Context, tx *store.Store, claim client.HistoryClaim, row store.GetHistoryRow, past []store.ListRecoveriesRow) error {
	from, err := a.copyNumber(ctx, tx, claim, row, past)
	if err != nil {
		return err
	}
	r := store.InsertRecoveryParams{ID: uuid.New(), OrganizationID: claim.OrganizationID, CopyNumber: from, Witnessed: claim.Number, StartedAt: store.At(a.now())}
	if err := tx.InsertRecovery(ctx, r); err != nil {
		return err
	}
	org, err := tx.GetOrganization(ctx, claim.OrganizationID)
	if err != nil {
		return err
	}
	return a.audit(ctx, tx, recoveryEntry(org, "begin", r.ID, from, claim.Number))
}

// copyNumber is the last number before a claim's that the copy knew. Where
// builds have started since the restore, those come after it: they have started
// later than what was lost. What an earlier recovery has come to is settled.
func (a *api) copyNumber(ctx context.Context, tx *store.Store, claim client.HistoryClaim, row store.GetHistoryRow, past []store.ListRecoveriesRow) (int64, error) {
	known := min(row.Number, claim.Number-1)
	again, err := tx.GetFirstHistoryAfter(ctx, store.GetFirstHistoryAfterParams{OrganizationID: claim.OrganizationID, LostAt: store.At(claim.At), NowAt: store.At(a.now())})
	if err == nil && again > 0 {
		known = min(known, again-1)
	}
	for _, r := range past {
		if r.Witnessed < claim.Number {
			known = max(known, r.Witnessed)
		}
	}
	return known, err
}

func openRecovery(past []store.ListRecoveriesRow) *store.ListRecoveriesRow {
	for i := range past {
		if past[i].EndedAt.IsZero() {
			return &past[i]
		}
	}
	return nil
}

// widenRecovery makes an open recovery wait for the numbers up to a higher one,
// and tells whether it is. A lower one was lost in an earlier restore, of which
// what lies between says nothing: it gets a recovery of its own after this one.
func widenRecovery(ctx context.Context, tx *store.Store, r *store.ListRecoveriesRow, number int64) (bool, error) {
	if r == nil || number <= r.Witnessed {
		return false, nil
	}
	r.Witnessed = number
	return true, tx.WidenRecovery(ctx, store.WidenRecoveryParams{OrganizationID: r.OrganizationID, ID: r.ID, CopyNumber: r.CopyNumber, Witnessed: r.Witnessed})
}

// recoveryChanged makes this replica's daemons and readers look anew.
func (a *api) recoveryChanged(organizationID uuid.UUID) {
	a.histories.forget(organizationID)
	a.queues.fleetChanged(organizationID)
	a.dispatch.wakeAll(organizationID)
}

// refusesBuilds: no build is handed out, and no engine of one starts, in an
// organization in recovery, or in one whose database was restored under this
// process: known is the newest number that it knew before the transaction
// began, for what others commit while it runs is not seen by it.
func refusesBuilds(recovery uuid.UUID, number, known int64) bool {
	return recovery != uuid.Nil || known > number
}

// admitEngine numbers the engine of a build, unless this was done before. It
// refuses one in a recovery, and after one in which the workspace got a newer
// state than the attempt was handed out with.
func (a *api) admitEngine(ctx context.Context, tx *store.Store, attempt *store.Attempt, known int64, at store.Time) (out startedEngine, again bool, err error) {
	row, err := tx.GetEngineStart(ctx, store.GetEngineStartParams{OrganizationID: attempt.OrganizationID, ID: attempt.ID})
	switch {
	case err != nil:
		return out, false, err
	case row.Current && !row.EngineStartedAt.IsZero():
		return startedEngine{voucher: row.Voucher}, true, nil
	case refusesBuilds(row.RecoveryID, row.History, known), max(row.StateFence, row.EngineFence) > attempt.Fence:
		return out, false, errClaimed
	}
	out, err = a.engineStart(ctx, tx, attempt, row, at)
	return out, false, err
}

// writeWitnesses keeps beside the database what is newest, without waiting for
// the disk: whoever puts an older copy in the database's place leaves it there.
func (a *api) writeWitnesses() error {
	h := a.histories
	if h.file == "" {
		return nil
	}
	h.mu.Lock()
	wanted := h.seen
	h.mu.Unlock()
	h.writing.Lock()
	defer h.writing.Unlock()
	if h.written >= wanted {
		return nil // somebody else has written it with theirs
	}
	h.mu.Lock()
	newest, seen := maps.Clone(h.newest), h.seen
	h.mu.Unlock()
	texts := map[uuid.UUID]string{}
	for id, claim := range newest {
		texts[id] = a.signWitness(id, claim.Number, claim.AttemptID, store.At(claim.At))
	}
	content, err := json.Marshal(texts)
	if err != nil {
		return err
	}
	part := filepath.Join(filepath.Dir(h.file), "."+filepath.Base(h.file))
	if err := os.WriteFile(part, content, 0o600); err != nil {
		return err
	}
	if err := os.Rename(part, h.file); err != nil {
		return err
	}
	h.written = seen
	return nil
}

// readWitnesses looks at the start of a server whether the database knows all
// that the one before it did.
func (a *api) readWitnesses(ctx context.Context) error {
	if a.histories.file == "" {
		return nil
	}
	content, err := os.ReadFile(a.histories.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the witness file beside the database: %w", err)
	}
	texts := map[uuid.UUID]string{}
	if err := json.Unmarshal(content, &texts); err != nil {
		a.logger.WarnContext(ctx, "the witness file beside the database is not whole and is not heeded", "error", err)
		return nil
	}
	for id, text := range texts {
		claim, ok := a.openClaim(ctx, id, text)
		if _, err := a.store.GetOrganization(ctx, id); err != nil || !ok {
			if ignoreNotFound(err) != nil {
				return err
			}
			continue // an organization that this database does not have
		}
		if err := a.beginRecovery(ctx, claim); err != nil {
			return err
		}
		a.histories.saw(claim)
	}
	return nil
}
