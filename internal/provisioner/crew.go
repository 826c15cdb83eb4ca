package provisioner

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"coder/internal/terraform"
)

// crew is what the daemons of one process have in common: how many jobs they
// may still take, since when none of them has one, and their engine.
type crew struct {
	logger  *slog.Logger
	timeout time.Duration
	// idle is closed when all have waited for a job as long as they are to wait.
	idle chan struct{}

	mu      sync.Mutex
	limited bool
	left    int // jobs that may still be taken, if limited
	members int // daemons that have not ended
	busy    int // of these, with a job, or not waiting for one yet
	since   time.Time
	timer   *time.Timer
	ended   bool

	finding sync.Mutex
	known   terraform.Known
	file    string
}

func newCrew(opts Options, members int) *crew {
	return &crew{
		logger: opts.Logger, timeout: opts.IdleTimeout, idle: make(chan struct{}),
		limited: opts.MaxJobs > 0, left: opts.MaxJobs, members: members, busy: members,
	}
}

// claim asks for the right to one more job; it is good until a job is taken.
func (c *crew) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limited && c.left == 0 {
		return false
	}
	c.left--
	return true
}

// works says that a daemon has a job.
func (c *crew) works() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
	if c.timer != nil {
		c.timer.Stop()
	}
}

// rests says that a daemon has none any more.
func (c *crew) rests() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if c.busy == 0 && c.timeout > 0 {
		c.since = time.Now()
		c.timer = time.AfterFunc(c.timeout, c.endIfIdle)
	}
}

// endIfIdle asks again, because a job may have come while the timer fired.
func (c *crew) endIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.busy > 0 || time.Since(c.since) < c.timeout {
		return
	}
	c.ended = true
	c.logger.Info("no job has come for long: ending", "idle", c.timeout)
	close(c.idle)
}

// leaves says that a daemon has ended, and whether it was the last one.
func (c *crew) leaves() (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members--
	if c.members == 0 && c.timer != nil {
		c.timer.Stop()
	}
	return c.members == 0
}

// find asks once for all who the engine is, and again when its file was
// replaced, and reads our own binary once. The first answer of the engine may
// have been asked for ahead.
func (c *crew) find(ahead, find func() (terraform.Engine, error), hash func() (string, error)) (terraform.Known, error) {
	c.finding.Lock()
	defer c.finding.Unlock()
	if c.file != "" && terraform.FileMark(c.known.Engine.Path) == c.file {
		return c.known, nil
	}
	known := terraform.Known{Provider: c.known.Provider}
	both := &errgroup.Group{}
	both.Go(func() (err error) {
		if ahead != nil && c.file == "" {
			if known.Engine, err = ahead(); err == nil {
				return nil
			}
		}
		known.Engine, err = find()
		return err
	})
	both.Go(func() (err error) {
		if known.Provider == "" {
			known.Provider, err = hash()
		}
		return err
	})
	if err := both.Wait(); err != nil {
		return terraform.Known{}, err
	}
	c.known, c.file = known, terraform.FileMark(known.Engine.Path)
	return known, nil
}
