package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"coder/client"
	"coder/store"
)

// A start that nobody waits for and that no budget admits is tried again after
// a pause that doubles from refusalPause to refusalMaxPause, refusalTries
// times in all: three quarters of an hour, which is less than lateStart.
const (
	refusalPause    = time.Minute
	refusalMaxPause = 15 * time.Minute
	refusalTries    = 7
)

// noteRefusal says on the workspace and in the server's log that an automatic
// start was not admitted, and when it is tried again. The results tell whether
// it is, and whether this pass was the one that noted it: of several that were
// refused at once only one counts, and one that was stopped for a while writes
// over nothing.
func (a *api) noteRefusal(ctx context.Context, tx *store.Store, l life, reason string, refused *client.Error) (again, noted bool, err error) {
	w, now := l.workspace, a.now()
	r := client.WorkspaceRefusal{Reason: reason, Message: refusalSentence(refused), At: now.UTC(), Tries: l.refusals(now) + 1}
	regular, retry := w.NextStartAt, store.Time{}
	if reason == client.BuildReasonAutostart {
		regular = nextStart(w.AutostartSchedule, l.template, now)
	}
	next := regular
	if again = r.Tries < refusalTries; again {
		retry = store.At(now.Add(min(refusalPause<<(r.Tries-1), refusalMaxPause)))
		if reason == client.BuildReasonAutostart && (regular.IsZero() || retry.Before(regular.Time)) {
			next = retry
		}
	}
	rows, err := tx.SetWorkspaceRefusal(ctx, store.SetWorkspaceRefusalParams{
		OrganizationID: w.OrganizationID, ID: w.ID, LatestBuildID: l.build.ID, Seen: w.Refusal, Refusal: store.JSON(r), RetryAt: retry, NextStartAt: next,
	})
	if err != nil || rows == 0 {
		return false, false, err
	}
	level := slog.LevelInfo
	if r.Tries == 1 {
		level = slog.LevelWarn
	}
	a.logger.Log(ctx, level, "automatic start not admitted", "workspace", w.ID, "organization", w.OrganizationID, "reason", reason,
		"refusal", refused.Message, "tries", r.Tries, "again", again)
	return again, true, nil
}

// stillDue fails with a conflict when another pass has dealt meanwhile with
// what this one found due.
func stillDue(ctx context.Context, tx *store.Store, l life) error {
	w, err := workspaceOfLoop(ctx, tx, l.workspace.ID)
	if err != nil {
		return err
	}
	build, err := latestBuildOf(ctx, tx, w)
	if err != nil {
		return err
	}
	if build.ID != l.build.ID || w.Refusal != l.workspace.Refusal || w.NextStartAt != l.workspace.NextStartAt || build.OnSuccess != l.build.OnSuccess {
		return conflict("Another pass has looked at this workspace meanwhile.")
	}
	return nil
}

// refusals counts the refusals in a row, of which this try is the next.
func (l life) refusals(now time.Time) int {
	since := now.Sub(l.workspace.RetryAt.Time)
	if l.workspace.RetryAt.IsZero() || since < 0 || since > lateStart {
		return 0
	}
	var before client.WorkspaceRefusal
	if json.Unmarshal([]byte(l.workspace.Refusal), &before) != nil {
		return 0
	}
	return before.Tries
}

// rests: a start that was refused is not tried again yet. A time far ahead was
// stored by a wrong clock.
func (l life) rests(now time.Time) bool {
	retry := l.workspace.RetryAt.Time
	return retry.After(now) && retry.Before(now.Add(lateStart))
}

// workspaceRefusal is what the API shows of it; nil when the newest start was
// not refused.
func workspaceRefusal(refusal string, retryAt store.Time, now time.Time) *client.WorkspaceRefusal {
	var r client.WorkspaceRefusal
	if refusal == "" || json.Unmarshal([]byte(refusal), &r) != nil {
		return nil
	}
	if retryAt.After(now) {
		r.RetryAt = retryAt.Ptr()
	}
	return &r
}
