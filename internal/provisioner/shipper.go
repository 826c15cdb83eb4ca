package provisioner

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"coder/client"
)

// A batch of log lines is sent when it is this old or this long.
const (
	batchAge   = 250 * time.Millisecond
	batchLines = 100
	batchBytes = 1 << 20
)

// shipper sends an attempt's journal to the server, in order and without
// gaps. It keeps no lines in memory: the file is the queue.
type shipper struct {
	attempt *client.Attempt
	journal *journal
	logger  *slog.Logger
	file    *os.File
	// at is the byte position in the file behind what was acknowledged, and
	// offset the log offset there.
	at     int64
	offset int64
	// sent is the offset up to which all was acknowledged, for others to see.
	sent atomic.Int64
	// hurry is closed when everything is to be sent without delay, and soon
	// asks for that once.
	hurry, soon chan struct{}
	// done is closed when run has returned.
	done chan struct{}
	err  error
}

func newShipper(attempt *client.Attempt, journal *journal, path string, logger *slog.Logger) (*shipper, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &shipper{
		attempt: attempt, journal: journal, logger: logger, file: file,
		hurry: make(chan struct{}), soon: make(chan struct{}, 1), done: make(chan struct{}),
	}, nil
}

// run sends until ctx ends, or until finish was called and everything is sent.
func (s *shipper) run(ctx context.Context) {
	defer close(s.done)
	defer s.file.Close()
	wait := newBackoff()
	for {
		added := s.journal.added()
		batch, behind, err := s.read()
		if err != nil {
			s.err = err
			return
		}
		if batch == nil {
			if !s.await(ctx, added) {
				return
			}
			continue
		}
		err = s.send(ctx, batch, behind)
		switch {
		case isFinal(err):
			s.err = err
			return
		case ctx.Err() != nil:
			s.err = context.Cause(ctx)
			return
		case err != nil:
			s.logger.Warn("send the job's log: no success, trying again", "error", err)
			wait.sleep(ctx)
			continue
		}
		wait = newBackoff()
		s.gather(ctx, len(batch.Entries))
	}
}

// await waits for more; false when there will be none.
func (s *shipper) await(ctx context.Context, added <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-added:
		return true
	case <-s.hurry:
		select {
		case <-added:
			return true
		default:
			return false
		}
	}
}

// gather lets lines come together, unless there are many already. The first
// line after a silence has gone at once.
func (s *shipper) gather(ctx context.Context, sent int) {
	if sent >= batchLines {
		return
	}
	timer := time.NewTimer(batchAge)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.hurry:
	case <-s.soon:
	case <-timer.C:
	}
}

// reach waits until the log is acknowledged up to an offset, as soon as can be,
// or will not be any more.
func (s *shipper) reach(ctx context.Context, offset int64) {
	ticker := time.NewTicker(tailSoon)
	defer ticker.Stop()
	for s.sent.Load() < offset {
		select {
		case s.soon <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-ticker.C:
		}
	}
}

// read makes the next batch; nil when all is sent.
func (s *shipper) read() (*client.AppendLogsRequest, int64, error) {
	batch := &client.AppendLogsRequest{Offset: s.offset, Next: s.offset, Entries: []client.JobLogEntry{}}
	empty := true
	behind, err := readRecords(s.file, s.at, func(r record, next int64) bool {
		full := len(batch.Entries) >= batchLines || next-s.at > batchBytes
		if full && !empty {
			return false
		}
		empty = false
		batch.Overflowed = batch.Overflowed || r.Overflowed
		batch.PlanTold = batch.PlanTold || r.PlanTold
		if r.Intent != nil {
			batch.Intents = append(batch.Intents, *r.Intent)
		}
		if r.Entry != nil {
			batch.Entries = append(batch.Entries, *r.Entry)
			batch.Next = r.Entry.Offset + int64(len(r.Entry.Output)) + entryOverhead
		}
		return true
	})
	if err != nil || empty {
		return nil, 0, err
	}
	return batch, behind, nil
}

// send hands a batch in and goes where the server wants to go on: behind it,
// or back to what it has not.
func (s *shipper) send(ctx context.Context, batch *client.AppendLogsRequest, behind int64) error {
	reply, err := s.attempt.AppendLogs(ctx, *batch)
	if err != nil {
		return err
	}
	s.sent.Store(reply.Expected)
	if reply.Expected == batch.Next {
		s.at, s.offset = behind, batch.Next
		return nil
	}
	return s.seek(reply.Expected)
}

// seek finds the byte position of a log offset.
func (s *shipper) seek(offset int64) error {
	s.offset = offset
	at, err := readRecords(s.file, 0, func(r record, _ int64) bool {
		return r.Entry == nil || r.Entry.Offset < offset
	})
	s.at = at
	return err
}

// finish sends what is left and waits for that. The result is the error that
// kept it from being sent.
func (s *shipper) finish(ctx context.Context) error {
	close(s.hurry)
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
