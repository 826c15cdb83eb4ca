package provisioner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"coder/client"
	"coder/internal/supervisor"
)

// The spool is looked through this often for attempts that nobody reports
// for any more, and the cache is pruned this often.
const (
	spoolInterval = 30 * time.Second
	pruneInterval = 24 * time.Hour
)

// recoverSpool takes up what earlier daemons on this host left. It returns at
// once; the wait group counts the engines that still run, which are this
// daemon's jobs before it takes others.
func (d *Daemon) recoverSpool(ctx context.Context, group *errgroup.Group) *sync.WaitGroup {
	running := &sync.WaitGroup{}
	folders, err := d.spool.folders()
	if err != nil {
		d.logger.Error("look through the spool", "error", err)
	}
	for _, f := range folders {
		a, err := d.adopt(ctx, f)
		if err != nil {
			d.logger.Error("take up an earlier attempt", "folder", f.dir, "error", err)
		}
		if a == nil {
			continue
		}
		free, err := supervisor.Free(f.dir)
		if err == nil && !free {
			running.Add(1)
		}
		group.Go(func() error {
			if err == nil && !free {
				defer running.Done()
			}
			a.resume(ctx)
			return nil
		})
	}
	return running
}

// watchSpool takes up what other daemons leave, and what this one could not
// hand in, until workCtx ends.
func (d *Daemon) watchSpool(workCtx, ctx context.Context) error {
	look := time.NewTicker(spoolInterval)
	defer look.Stop()
	prune := time.NewTicker(pruneInterval)
	defer prune.Stop()
	d.prune(workCtx)
	for {
		select {
		case <-workCtx.Done():
			return nil
		case <-look.C:
			group := &errgroup.Group{}
			d.recoverSpool(ctx, group)
			if err := group.Wait(); err != nil {
				return err
			}
		case <-prune.C:
			d.prune(workCtx)
		}
	}
}

func (d *Daemon) prune(ctx context.Context) {
	cache := d.tools.Load().workshop.Cache()
	if err := errors.Join(d.spool.prune(d.now()), cache.Prune(ctx)); err != nil && ctx.Err() == nil {
		d.logger.Warn("remove what is not needed any more", "error", err)
	}
	healed, err := cache.HealAll(ctx)
	for _, item := range healed {
		d.logger.Warn("something in the cache was damaged and will be made again", "kind", item.Kind, "name", item.Name, "why", item.Detail)
	}
	if err != nil && ctx.Err() == nil {
		d.logger.Warn("read through the cache", "error", err)
	}
}

// adopt makes this daemon the one that reports for a folder; nil when there
// is nothing to report, or another daemon does.
func (d *Daemon) adopt(ctx context.Context, f *folder) (*attempt, error) {
	if f.isBeingMade(time.Now()) {
		return nil, nil
	}
	if owned, err := f.own(); err != nil || !owned {
		return nil, err
	}
	if f.has(settledFile) {
		err := d.spool.putAway(f)
		f.disown()
		return nil, err
	}
	job, err := f.job()
	if unreadable := (*fs.PathError)(nil); errors.As(err, &unreadable) && !errors.Is(err, fs.ErrNotExist) {
		f.disown()
		return nil, fmt.Errorf("read the job: %w", err)
	}
	if err != nil {
		// Cut off while it was written, and so never confirmed.
		return nil, f.remove()
	}
	a, err := d.newAttempt(ctx, f, job)
	if err != nil {
		f.disown()
		return nil, err
	}
	return a, nil
}

// resume goes on with an attempt where its daemon left it.
func (a *attempt) resume(ctx context.Context) {
	defer a.close()
	if !a.folder.has(supervisor.RunFile) {
		a.resumeUnstarted(ctx)
		return
	}
	a.logger.Info("taking up an attempt that an earlier daemon began")
	var err error
	if a.leaseSent, err = supervisor.LeaseSent(a.folder.dir); err != nil {
		a.logger.Warn("read the lease of an earlier attempt", "error", err)
	}
	ended := a.daemon.opts.Metrics.begin(a.job.Type)
	a.learn(ctx)
	a.attend(ctx)
	out := newOutput(a.journal, a.work, a.follows())
	defer out.close()
	ended(a.conclude(ctx, a.follow(supervisor.Find(a.folder.dir), out)))
}

// resumeUnstarted gives back an attempt whose engine never started.
func (a *attempt) resumeUnstarted(ctx context.Context) {
	ended := a.daemon.opts.Metrics.begin(a.job.Type)
	a.learn(ctx)
	a.attend(ctx)
	ended(a.conclude(ctx, a.failedBefore(errors.New("the provisioner daemon stopped before the engine had started"))))
}

// learn asks once whether the job was canceled meanwhile.
func (a *attempt) learn(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	sent := supervisor.Clock()
	reply, err := a.client.Renew(call, client.RenewRequest{})
	if err != nil {
		a.logger.Warn("ask about the job", "error", err)
		return
	}
	a.renewed(sent, reply)
}
