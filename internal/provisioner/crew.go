package provisioner

import (
	"log/slog"
	"sync"
	"time"

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
	engine  terraform.Engine
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

// findEngine asks once for all who the engine is, and again when its file was
// replaced. The first answer may have been asked for ahead.
func (c *crew) findEngine(ahead, find func() (terraform.Engine, error)) (terraform.Engine, error) {
	c.finding.Lock()
	defer c.finding.Unlock()
	if c.file != "" && fileIdentity(c.engine.Path) == c.file {
		return c.engine, nil
	}
	if ahead != nil && c.file == "" {
		if engine, err := ahead(); err == nil {
			c.engine, c.file = engine, fileIdentity(engine.Path)
			return engine, nil
		}
	}
	engine, err := find()
	if err == nil {
		c.engine, c.file = engine, fileIdentity(engine.Path)
	}
	return engine, err
}
