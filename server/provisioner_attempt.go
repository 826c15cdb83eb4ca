package server

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// renewWait is the longest that a renewal stays open.
const renewWait = 8 * time.Second

type AttemptPath struct {
	Attempt uuid.UUID `path:"attempt" format:"uuid"`
}

type renewInput struct {
	AttemptPath
	Body client.RenewRequest
}

type appendLogsInput struct {
	AttemptPath
	Body client.AppendLogsRequest
}

// errNotCurrent refuses what only the current attempt may do.
func errNotCurrent() *client.Error {
	return refuse(http.StatusConflict, "This attempt no longer holds the job.", "Another attempt took over, or the job has ended. Hand in the state; it is kept as salvage.")
}

// confirmAttempt says that the daemon has the job on disk.
func (a *api) confirmAttempt(ctx context.Context, _ *AttemptPath) (*struct{}, error) {
	attempt := requestFrom(ctx).attempt
	err := a.store.InTx(ctx, func(tx *store.Store) error { // which shares its commit with others
		rows, err := tx.ConfirmAttempt(ctx, store.ConfirmAttemptParams{OrganizationID: attempt.OrganizationID, ID: attempt.ID, ConfirmedAt: store.At(a.now())})
		if err == nil && rows == 0 {
			err = errNotCurrent()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	a.leases.renewed(attempt.ID)
	return nil, nil
}

// startAttemptEngine marks that from now on only a dead engine or the horizon
// lets another attempt begin. After a cancel it refuses, and in a recovery the
// job goes back: it was handed out with an older state.
func (a *api) startAttemptEngine(ctx context.Context, _ *AttemptPath) (*output[client.EngineStart], error) {
	attempt := requestFrom(ctx).attempt
	if attempt.Current && !attempt.EngineStartedAt.IsZero() { // the same call again
		before, err := a.store.GetAttempt(ctx, attempt.ID)
		return reply(client.EngineStart{Voucher: before.Voucher}), err
	}
	if attempt.Current && attempt.ConfirmedAt.IsZero() {
		return nil, refuse(http.StatusConflict, "No engine may start before the hand-out is confirmed.", "Confirm it once the record of the attempt is on disk.")
	}
	if err := a.admitJobs(); err != nil {
		return nil, err
	}
	var start startedEngine
	known := a.histories.latest(attempt.OrganizationID).Number
	err := a.store.InTx(ctx, func(tx *store.Store) (err error) {
		start, err = a.markEngineStarted(ctx, tx, attempt, known)
		return err
	})
	if errors.Is(err, errClaimed) {
		return nil, a.takeBackForRecovery(ctx, attempt)
	}
	if err != nil {
		return nil, err
	}
	a.leases.renewed(attempt.ID)
	if start.claim.Number > 0 {
		a.engineStarted(ctx, start.claim)
	}
	return reply(client.EngineStart{Voucher: start.voucher}), nil
}

// startedEngine has the claim and the voucher of a build's engine. A call that
// came twice at once has the voucher alone.
type startedEngine struct {
	claim   client.HistoryClaim
	voucher string
}

// markEngineStarted numbers an engine of a build, and marks it on the attempt
// and on the job.
func (a *api) markEngineStarted(ctx context.Context, tx *store.Store, attempt *store.Attempt, known int64) (out startedEngine, err error) {
	var again bool
	now := store.At(a.now())
	if attempt.WorkspaceID != nil {
		out, again, err = a.admitEngine(ctx, tx, attempt, known, now)
	} else {
		var current store.Attempt
		current, err = tx.GetAttemptOfCall(ctx, attempt.ID)
		again = current.Current && !current.EngineStartedAt.IsZero()
	}
	if err != nil || again {
		return out, err
	}
	// The attempt comes before its job wherever both are written, so that no two wait for each other.
	attempts, err := tx.MarkAttemptEngineStarted(ctx, store.MarkAttemptEngineStartedParams{
		OrganizationID: attempt.OrganizationID, ID: attempt.ID, EngineStartedAt: now, History: out.claim.Number, Voucher: out.voucher,
	})
	if err != nil {
		return out, err
	}
	jobs, err := tx.MarkJobEngineStarted(ctx, store.MarkJobEngineStartedParams{
		OrganizationID: attempt.OrganizationID, ID: attempt.JobID, AttemptID: &attempt.ID, UpdatedAt: now,
	})
	if err == nil && (jobs == 0 || attempts == 0 || attempt.Revoked) {
		err = refuse(http.StatusConflict, "No engine may start for this job.", "It was canceled, or this attempt no longer holds it.")
	}
	return out, err
}

// attemptSource sends the template's archive. A revoked attempt gets none:
// its engine is being interrupted.
func (a *api) attemptSource(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	file, err := a.sourceOf(ctx, requestFrom(ctx).attempt)
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	w.Header().Set("Content-Type", file.Mimetype)
	w.Header().Set("Content-Length", strconv.Itoa(len(file.Data)))
	_, _ = w.Write(file.Data) // the daemon is gone; it will ask again
}

func (a *api) sourceOf(ctx context.Context, attempt *store.Attempt) (store.File, error) {
	if !attempt.Current || attempt.Revoked {
		return store.File{}, errNotCurrent()
	}
	job, err := a.store.GetProvisionerJob(ctx, attempt.JobID)
	if err != nil {
		return store.File{}, err
	}
	return a.store.ReadFile(ctx, job.FileID)
}

// renewAttempt keeps the lease, and brings what the server has to say as soon
// as there is something new.
func (a *api) renewAttempt(ctx context.Context, in *renewInput) (*output[client.RenewResponse], error) {
	attempt := requestFrom(ctx).attempt
	id := attempt.ID
	if !attempt.ConfirmedAt.IsZero() { // else only the confirm counts
		a.leases.renewed(id)
	}
	if err := a.heed(ctx, attempt.OrganizationID, in.Body.Witness); err != nil {
		a.logger.WarnContext(ctx, "look at what a busy provisioner remembers", "attempt", id, "error", err)
	}
	wake, stop := a.bus.Subscribe(attemptTopic(id))
	defer stop()
	recovers, unsubscribe := a.bus.Subscribe(recoveryTopic(attempt.OrganizationID))
	defer unsubscribe()
	wait := min(time.Duration(in.Body.WaitMS)*time.Millisecond, renewWait)
	timeout := time.NewTimer(max(wait, 0))
	defer timeout.Stop()
	for {
		word, err := a.wordFor(ctx, id)
		untold := in.Body.Recovery != nil && word.Recovery != "" && word.Recovery != *in.Body.Recovery
		if err != nil || word.Sequence > in.Body.Seen || untold {
			return reply(word), err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-a.closing:
			return reply(word), nil
		case <-timeout.C:
			return reply(word), nil
		case <-wake:
		case <-recovers:
		}
	}
}

// wordFor is the state of everything an attempt must know. Each part but the
// recovery only ever rises, so their sum is a sequence number.
func (a *api) wordFor(ctx context.Context, id uuid.UUID) (client.RenewResponse, error) {
	attempt, err := a.store.GetAttemptOfCall(ctx, id)
	if err != nil {
		return client.RenewResponse{}, err
	}
	job, err := a.store.GetProvisionerJob(ctx, attempt.JobID)
	if err != nil {
		return client.RenewResponse{}, err
	}
	word := client.RenewResponse{Cancel: job.Cancel, Current: attempt.Current, Revoked: attempt.Revoked}
	history, err := a.historyOf(ctx, attempt.OrganizationID)
	if err != nil {
		a.logger.WarnContext(ctx, "tell a busy provisioner of a recovery", "attempt", id, "error", err) // the lease matters more
	} else {
		word.Recovery = recoveryID(history)
	}
	for _, risen := range []bool{job.Cancel != client.CancelNone, job.Cancel == client.CancelHard, !attempt.Current, attempt.Revoked} {
		if risen {
			word.Sequence++
		}
	}
	return word, nil
}

// appendAttemptLogs stores lines without gaps and without repeats. What an
// attempt that lost its job still says is swallowed.
func (a *api) appendAttemptLogs(ctx context.Context, in *appendLogsInput) (*statusOutput[client.AppendLogsResponse], error) {
	attempt := requestFrom(ctx).attempt
	if !attempt.Current {
		return appended(http.StatusOK, in.Body.Next), nil
	}
	var expected int64
	err := a.mustTx(ctx, func(tx *store.Store) (err error) {
		expected, err = a.takeLogs(ctx, tx, attempt, in.Body)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("append to the log: %w", err)
	}
	if in.Body.Offset > expected {
		return appended(http.StatusConflict, expected), nil
	}
	a.bus.Publish(jobTopic(attempt.JobID))
	return appended(http.StatusOK, expected), nil
}

func appended(status int, expected int64) *statusOutput[client.AppendLogsResponse] {
	return &statusOutput[client.AppendLogsResponse]{Status: status, Body: client.AppendLogsResponse{Expected: expected}}
}

// takeLogs stores what follows on what the attempt has said before, and
// returns the offset that is expected next.
func (a *api) takeLogs(ctx context.Context, tx *store.Store, attempt *store.Attempt, req client.AppendLogsRequest) (int64, error) {
	if req.Offset == attempt.LogOffset && req.Next > req.Offset && !a.room.isShort() {
		stored, err := a.storeLogs(ctx, tx, *attempt, req)
		if stored || err != nil {
			return req.Next, err
		}
	}
	current, err := tx.GetAttemptOfCall(ctx, attempt.ID)
	if err != nil || !current.Current {
		return req.Next, err
	}
	expected := current.LogOffset
	onlyIntents := req.Offset == expected && req.Next == expected && (len(req.Intents) > 0 || req.PlanTold)
	if req.Offset > expected || (req.Next <= expected && !onlyIntents) {
		return expected, nil
	}
	if a.room.isShort() {
		req = a.shedLogs(current, req)
	}
	stored, err := a.storeLogs(ctx, tx, current, req)
	if err == nil && !stored {
		err = fmt.Errorf("the log of attempt %s moved although it was read in the same transaction", attempt.ID)
	}
	return req.Next, err
}

// storeLogs stores lines unless the attempt is not any more as it was read.
func (a *api) storeLogs(ctx context.Context, tx *store.Store, attempt store.Attempt, req client.AppendLogsRequest) (bool, error) {
	fresh := req.Entries
	for len(fresh) > 0 && fresh[0].Offset < attempt.LogOffset {
		fresh = fresh[1:]
	}
	intents, told, err := mergeIntents(attempt.Intents, req)
	if err != nil {
		return false, err
	}
	rows, err := tx.AdvanceAttemptLog(ctx, store.AdvanceAttemptLogParams{
		OrganizationID: attempt.OrganizationID, ID: attempt.ID, LogOffset: attempt.LogOffset, KnownIntents: attempt.Intents, NextOffset: req.Next, Intents: intents, PlanTold: told,
	})
	if err != nil || rows == 0 {
		return false, err
	}
	return true, a.insertLogs(ctx, tx, attempt.OrganizationID, attempt.JobID, &attempt.ID, fresh, req.Overflowed)
}

// putAttemptState stores one version of a state. From an attempt that lost
// its job it is kept as salvage, unless it is older than what that attempt has
// handed in: such a version may have been pruned since.
func (a *api) putAttemptState(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	state, ref, err := readState(r)
	if err == nil {
		err = a.mustWrite(func() error { return a.storeState(ctx, requestFrom(ctx).attempt, state, ref.N) })
	}
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// readState reads and checks the body against the hash in the query.
func readState(r *http.Request) (packedState, client.StateRef, error) {
	query := r.URL.Query()
	n, err := strconv.ParseInt(query.Get("n"), 10, 64)
	if err != nil || n < 1 {
		return packedState{}, client.StateRef{}, invalid("n", "Must be a whole number from 1.")
	}
	body := io.Reader(http.MaxBytesReader(nil, r.Body, client.MaxState))
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return packedState{}, client.StateRef{}, badRequest("The body is not gzip.")
		}
		body = unpacked
	}
	state, err := io.ReadAll(io.LimitReader(body, client.MaxState+1))
	if err != nil || len(state) > client.MaxState {
		return packedState{}, client.StateRef{}, badRequest("The state could not be read whole, or is over the limit.")
	}
	sum := sha256.Sum256(state)
	ref := client.StateRef{N: n, SHA256: hex.EncodeToString(sum[:])}
	if query.Get("sha256") != ref.SHA256 {
		return packedState{}, client.StateRef{}, invalid("sha256", "The body has the hash %s.", ref.SHA256)
	}
	packed, err := packState(state)
	if err != nil || len(state) == 0 {
		return packedState{}, client.StateRef{}, badRequest("This is not a whole Terraform state.")
	}
	return packed, ref, nil
}

func (a *api) storeState(ctx context.Context, attempt *store.Attempt, state packedState, n int64) error {
	if attempt.WorkspaceID == nil {
		return badRequest("Only builds of workspaces have a state.")
	}
	stored := false
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		stored = false
		have, err := tx.GetWorkspaceStateInfo(ctx, store.GetWorkspaceStateInfoParams{
			OrganizationID: attempt.OrganizationID, WorkspaceID: *attempt.WorkspaceID, Fence: attempt.Fence, N: n,
		})
		switch {
		case err == nil && have.Sha256 == state.sha256:
			return nil // the same upload again
		case err == nil:
			return conflict(fmt.Sprintf("State %d of this attempt is stored with another content.", n))
		case !store.IsNotFound(err):
			return err
		}
		current, err := tx.GetAttemptOfCall(ctx, attempt.ID)
		if err != nil {
			return err
		}
		if !current.Current && n <= current.StateN {
			return nil // a late copy: the same engine wrote a newer one since
		}
		stored = true
		if err := tx.RaiseAttemptState(ctx, store.RaiseAttemptStateParams{OrganizationID: attempt.OrganizationID, ID: attempt.ID, StateN: n}); err != nil {
			return err
		}
		_, err = a.putState(ctx, tx, state, store.InsertWorkspaceStateParams{
			WorkspaceID: *attempt.WorkspaceID, OrganizationID: attempt.OrganizationID, Fence: attempt.Fence, N: n, WorkspaceBuildID: *attempt.WorkspaceBuildID,
			AttemptID: &attempt.ID, Salvage: !current.Current,
		})
		return err
	})
	if err == nil && stored {
		a.metrics.jobs.states.WithLabelValues(a.organizationLabel(ctx, attempt.OrganizationID)).Inc()
	}
	if err == nil && !attempt.Current {
		err = a.nameLeftBehind(ctx, attempt)
	}
	return err
}
