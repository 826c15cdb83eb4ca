package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// logBatch is how many rows of a log are read at a time.
const logBatch = 1000

// followPoll is how often a follower looks although nobody woke it.
const followPoll = askAgain

// loadJob reads a job for the caller, if the caller may read it now.
type loadJob func(context.Context) (store.ProvisionerJob, error)

// serveJobLogs answers the log routes of builds, versions and dry runs:
// section 1.7 of the reference.
func (a *api) serveJobLogs(w http.ResponseWriter, r *http.Request, load loadJob) {
	ctx, query := r.Context(), r.URL.Query()
	job, err := load(ctx)
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	after, err := logStart(job, query)
	text := query.Get("format") == "text"
	switch {
	case err != nil:
	case query.Has("follow") && text:
		err = invalid("format", "A log can be followed as JSON only.")
	case query.Has("follow"):
		a.followJobLogs(w, r, load, job, after)
		return
	case text:
		err = a.writeLogText(ctx, w, job, after)
	default:
		err = a.writeLogJSON(ctx, w, job, after)
	}
	if err != nil {
		a.writeError(ctx, w, err)
	}
}

// logStart is the row behind which a reader begins: after, or where the last
// rows begin that tail asks for. Ids count the rows of a log.
func logStart(job store.ProvisionerJob, query url.Values) (int64, error) {
	after, _, err := wholeNumber(query, "after")
	if err != nil {
		return 0, err
	}
	tail, given, err := wholeNumber(query, "tail")
	switch {
	case err != nil || !given:
		return after, err
	case tail < 0:
		return 0, invalid("tail", "%d is no number of lines.", tail)
	}
	return max(after, job.LogRows-tail), nil
}

func wholeNumber(query url.Values, name string) (n int64, given bool, err error) {
	text := query.Get(name)
	if text == "" {
		return 0, false, nil
	}
	if n, err = strconv.ParseInt(text, 10, 64); err != nil {
		err = invalid(name, "%q is not a whole number.", text)
	}
	return n, true, err
}

// eachLog calls fn with the rows behind after, in order, batch by batch.
func (a *api) eachLog(ctx context.Context, job store.ProvisionerJob, after int64, fn func(client.ProvisionerJobLog) error) (int64, error) {
	for {
		rows, err := a.store.ListJobLogs(ctx, store.ListJobLogsParams{OrganizationID: job.OrganizationID, JobID: job.ID, After: after, MaxRows: logBatch})
		if err != nil {
			return after, err
		}
		for _, row := range rows {
			if err := fn(jobLogResponse(row)); err != nil {
				return after, err
			}
			after = row.ID
		}
		if len(rows) < logBatch {
			return after, nil
		}
	}
}

func (a *api) writeLogJSON(ctx context.Context, w http.ResponseWriter, job store.ProvisionerJob, after int64) error {
	logs := []client.ProvisionerJobLog{}
	_, err := a.eachLog(ctx, job, after, func(l client.ProvisionerJobLog) error {
		logs = append(logs, l)
		return nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, logs)
	return nil
}

func (a *api) writeLogText(ctx context.Context, w http.ResponseWriter, job store.ProvisionerJob, after int64) error {
	var b strings.Builder
	_, err := a.eachLog(ctx, job, after, func(l client.ProvisionerJobLog) error {
		fmt.Fprintf(&b, "%s [%s] [%s|%s] %s\n", l.CreatedAt.Format(time.RFC3339), l.Level, l.Source, l.Stage, l.Output)
		return nil
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err = w.Write([]byte(b.String()))
	return err
}

// followJobLogs sends one row a message until the job has ended and all rows
// are out. It subscribes before it reads, so no row is missed.
func (a *api) followJobLogs(w http.ResponseWriter, r *http.Request, load loadJob, job store.ProvisionerJob, after int64) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	ctx := conn.CloseRead(r.Context())
	wake, stop := a.bus.Subscribe(jobTopic(job.ID))
	defer stop()
	admitted := time.Now()
	for {
		if time.Since(admitted) >= followPoll {
			if err := a.admitAgain(ctx, r, load); err != nil {
				_ = conn.Close(websocket.StatusPolicyViolation, closeReason(a.refusal(ctx, err))) // the last word, heard or not
				return
			}
			admitted = time.Now()
		}
		current, err := a.store.GetProvisionerJob(ctx, job.ID)
		if err != nil {
			return
		}
		after, err = a.eachLog(ctx, job, after, func(l client.ProvisionerJobLog) error { return wsjson.Write(ctx, conn, l) })
		if err != nil {
			return
		}
		if !current.CompletedAt.IsZero() {
			_ = conn.Close(websocket.StatusNormalClosure, "") // the reader has all of it
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-a.closing:
			_ = conn.Close(websocket.StatusGoingAway, "the server is stopping") // the reader comes again
			return
		case <-wake:
		case <-time.After(followPoll - time.Since(admitted)):
		}
	}
}

// admitAgain asks who follows and whether they still may: sessions and rights
// end while a log is followed.
func (a *api) admitAgain(ctx context.Context, r *http.Request, load loadJob) error {
	if err := a.authenticate(ctx, r); err != nil {
		return err
	}
	_, err := load(ctx)
	return err
}

// maxCloseReason is what a close frame has room for.
const maxCloseReason = 120

func closeReason(e *client.Error) string {
	return e.Message[:min(len(e.Message), maxCloseReason)]
}

// serverLog adds a line of the server's own to a job's log.
func (a *api) serverLog(ctx context.Context, tx *store.Store, job store.ProvisionerJob, level, stage, text string) error {
	return a.insertLogs(ctx, tx, job.OrganizationID, job.ID, nil, []client.JobLogEntry{{CreatedAt: a.now(), Source: "provisioner_daemon", Level: level, Stage: stage, Output: text}}, false)
}

// What a line weighs beside its text, so that empty ones are not free, and how
// long the name of a stage may be.
const (
	logRowCost = 32
	maxStage   = 256
)

// insertLogs appends lines under ids that rise in the order of commits,
// because the job's row is locked from their count on. What is over MaxJobLog
// is dropped and marked.
func (a *api) insertLogs(ctx context.Context, tx *store.Store, organizationID, jobID uuid.UUID, attemptID *uuid.UUID, entries []client.JobLogEntry, overflowed bool) error {
	var bytes int64
	for _, e := range entries {
		bytes += int64(len(e.Output)) + logRowCost
	}
	now := store.At(a.now())
	rows, err := tx.BumpJobLogs(ctx, store.BumpJobLogsParams{
		OrganizationID: organizationID, ID: jobID, Rows: int64(len(entries)), Bytes: bytes, BytesBefore: client.MaxJobLog - bytes, Overflowed: overflowed, UpdatedAt: now,
	})
	if store.IsNotFound(err) {
		return tx.OverflowJobLogs(ctx, store.OverflowJobLogsParams{OrganizationID: organizationID, ID: jobID, UpdatedAt: now})
	}
	if err != nil {
		return err
	}
	p := store.InsertJobLogParams{OrganizationID: organizationID, JobID: jobID, AttemptID: attemptID}
	for i, e := range entries {
		p.LogID = rows - int64(len(entries)) + int64(i) + 1
		p.CreatedAt, p.Source, p.Level, p.Stage, p.Output = store.At(e.CreatedAt), e.Source, e.Level, cutText(e.Stage, maxStage), cutLine(e.Output)
		if err := tx.InsertJobLog(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// cutLine holds MaxLogLine on this side too, and keeps NUL out, which
// PostgreSQL does not take.
func cutLine(line string) string { return cutText(line, client.MaxLogLine) }

func cutText(text string, limit int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len(cutMark)], "") + cutMark
}

const cutMark = " … (line cut)"

func jobLogResponse(l store.JobLog) client.ProvisionerJobLog {
	return client.ProvisionerJobLog{ID: l.ID, CreatedAt: l.CreatedAt.Time, Source: l.Source, Level: l.Level, Stage: l.Stage, Output: l.Output}
}
