package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

const (
	// aimPatience is how long a build may take to come to where the fault is aimed.
	aimPatience = 2 * time.Minute
	// endPatience is how much longer than the takeover time a build may take
	// to end after the fault is healed.
	endPatience = 3 * time.Minute
	// handInPatience is how long a daemon may take to hand in what it has of
	// an ended build: it looks through its spool every 30 s.
	handInPatience = 2 * time.Minute
)

// workspace is one that is made, built under faults and deleted.
type workspace struct {
	*lane
	name       string
	folder     string
	id         uuid.UUID
	number     int64 // of the newest build
	generation int
	// shown is the newest state that the server has shown.
	shown state
	// excused are objects outside of the state that were accounted for, or
	// reported, after an earlier build.
	excused    map[string]bool
	overlapped []string
}

func (l *lane) newWorkspace(life int) *workspace {
	name := fmt.Sprintf("w%d", life)
	return &workspace{lane: l, name: name, folder: filepath.Join(l.objects, name), generation: 1, excused: map[string]bool{}}
}

// ask asks for the next build, once, however often it has to be said.
func (w *workspace) ask(ctx context.Context, op operation) (build client.WorkspaceBuild, err error) {
	values := []client.BuildParameter{{Name: "generation", Value: fmt.Sprint(w.generation)}}
	err = w.call(ctx, "ask for the build", func(ctx context.Context) error {
		now, err := w.read(ctx)
		switch {
		case client.StatusCode(err) == http.StatusNotFound && w.number == 0:
			now, err = w.owner.CreateWorkspace(ctx, w.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &w.template.ID, Name: w.name, RichParameterValues: values})
			w.id, build = now.ID, now.LatestBuild
		case err == nil && now.LatestBuild.BuildNumber > w.number:
			w.id, build = now.ID, now.LatestBuild // it was heard before
		case err == nil:
			build, err = w.owner.CreateWorkspaceBuild(ctx, w.id, client.CreateWorkspaceBuildRequest{Transition: op.transition, RichParameterValues: values})
		}
		return err
	})
	if err == nil {
		w.number = build.BuildNumber
	}
	return build, err
}

func (w *workspace) read(ctx context.Context) (client.Workspace, error) {
	if w.id == uuid.Nil {
		return w.owner.WorkspaceByOwnerAndName(ctx, client.Me, w.name)
	}
	return w.owner.Workspace(ctx, w.id)
}

// await waits until a build has ended and no daemon has anything left to hand in.
func (w *workspace) await(ctx context.Context, id uuid.UUID) (client.WorkspaceBuild, error) {
	build, err := w.awaitEnd(ctx, id)
	if err != nil {
		return build, err
	}
	return build, poll(ctx, handInPatience, "the provisioners to hand in what they have", func() (bool, error) {
		for _, h := range w.hosts {
			if attempts, err := h.attempts(); err != nil || len(attempts) > 0 {
				return false, err
			}
		}
		return true, nil
	})
}

func (w *workspace) awaitEnd(ctx context.Context, id uuid.UUID) (build client.WorkspaceBuild, err error) {
	err = poll(ctx, w.opts.Horizon+endPatience, "the build to end", func() (bool, error) {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		read, err := w.owner.WorkspaceBuild(one, id)
		if err == nil {
			build = read
		}
		return err == nil && build.Job.Ended(), nil
	})
	return build, err
}

// run is one build under one fault, and a build after it where that failed.
func (w *workspace) run(ctx context.Context, p plan, op operation) (*result, error) {
	r := &result{Run: p.run, Workspace: w.name, Operation: op.name, Fault: p.fault.name}
	if op.raises {
		w.generation++
	}
	build, err := w.hurt(ctx, r, p, op)
	if err != nil {
		return r, r.take(err, notEnded)
	}
	r.Status = build.Job.Status
	if err := w.check(ctx, r, build); err != nil {
		return r, err
	}
	if build.Job.Status == client.JobSucceeded {
		return r, nil
	}
	return r, w.repair(ctx, r, op)
}

// hurt asks for a build, strikes when it is where the plan wants it, heals,
// and waits for the end.
func (w *workspace) hurt(ctx context.Context, r *result, p plan, op operation) (client.WorkspaceBuild, error) {
	switch {
	case p.fault.server:
		w.serverFault.Lock()
		defer w.serverFault.Unlock()
	case p.fault.beyond:
		w.serverFault.RLock()
		defer w.serverFault.RUnlock()
	}
	before, err := readLedger(w.folder)
	if err != nil {
		return client.WorkspaceBuild{}, err
	}
	build, err := w.ask(ctx, op)
	if err != nil {
		return build, err
	}
	watching, stop := context.WithCancel(ctx)
	struck, watched := make(chan time.Time, 1), &sync.WaitGroup{}
	watched.Go(func() { w.watch(watching, r, build.ID, struck) })
	defer watched.Wait()
	defer stop()
	if err := w.aim(ctx, p, op, build.ID, len(before)); err != nil {
		return build, err
	}
	if err := w.strike(ctx, r, p, op, len(before), struck); err != nil {
		return build, err
	}
	meanwhile := func() error { return nil }
	if p.meanwhile && op.transition != client.TransitionDelete {
		meanwhile = func() error { return w.goOn(ctx, r, op, build.ID) }
	}
	if err := w.heal(ctx, r, p, meanwhile); err != nil {
		return build, err
	}
	return w.await(ctx, build.ID)
}

// aim waits until the build is where the fault is to land; one that has ended
// meanwhile is there too.
func (w *workspace) aim(ctx context.Context, p plan, op operation, build uuid.UUID, skip int) error {
	done := 0
	switch p.lands {
	case landsBetween:
		done = 1 + int(p.share*float64(op.writes-1))
	case landsAfter:
		done = op.writes
	}
	asked := time.Now()
	err := poll(ctx, aimPatience, "", func() (bool, error) {
		entries, err := readLedger(w.folder)
		if err != nil || writes(entries[skip:]) >= done {
			return true, err
		}
		if time.Since(asked) < time.Second {
			return false, nil
		}
		asked = time.Now()
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		now, err := w.owner.WorkspaceBuild(one, build)
		return err == nil && now.Job.Ended(), nil
	})
	var slow *slowError
	if err != nil && !errors.As(err, &slow) {
		return err
	}
	return pause(ctx, p.wait)
}

// strike hurts, and notes where that landed.
func (w *workspace) strike(ctx context.Context, r *result, p plan, op operation, skip int, struck chan<- time.Time) error {
	entries, err := readLedger(w.folder)
	if err != nil {
		return err
	}
	if err := w.aimAt(p.run); err != nil {
		return err
	}
	w.jump = p.jump
	r.land(writes(entries[skip:]), op.writes)
	r.struck = time.Now()
	if p.fault.beyond {
		struck <- r.struck
	}
	return p.fault.strike(ctx, w.lane)
}

// heal undoes a fault when it has lasted as long as planned, whatever came of it.
func (w *workspace) heal(ctx context.Context, r *result, p plan, meanwhile func() error) error {
	err := pause(ctx, p.lasts)
	if err == nil {
		err = meanwhile()
	}
	r.Lasted = time.Since(r.struck)
	if healed := p.fault.heal(context.WithoutCancel(ctx), w.lane); healed != nil || err != nil {
		return errors.Join(err, healed)
	}
	for _, h := range w.hosts {
		if h.daemon.fell() {
			return fmt.Errorf("the %s ended by itself; see %s", h.daemon.name, h.daemon.log)
		}
	}
	return nil
}

// goOn makes the next build while the host of the one that was taken over is
// still away. What that host hands in later must not disturb it.
func (w *workspace) goOn(ctx context.Context, r *result, op operation, id uuid.UUID) error {
	build, err := w.awaitEnd(ctx, id)
	if err != nil || build.Job.Status == client.JobSucceeded {
		return r.take(err, notEnded)
	}
	r.meanwhile = true
	if build, err = w.ask(ctx, op); err == nil {
		build, err = w.awaitEnd(ctx, build.ID)
	}
	if err != nil {
		return r.take(err, unusable)
	}
	meanwhile, err := w.inDoubt(ctx, build)
	if err != nil {
		return err
	}
	r.named = meanwhile.exact
	if build.Job.Status != client.JobSucceeded {
		r.problem(unusable, "the build on another host %s: %s", build.Job.Status, build.Job.Error)
	}
	return nil
}

func pause(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
		return nil
	}
}

// repair shows that the workspace is usable: the same build, without a fault.
func (w *workspace) repair(ctx context.Context, r *result, op operation) error {
	build, err := w.ask(ctx, op)
	if err != nil {
		return r.take(err, unusable)
	}
	if build, err = w.await(ctx, build.ID); err != nil {
		return r.take(err, unusable)
	}
	if build.Job.Status != client.JobSucceeded {
		r.problem(unusable, "the build after it %s: %s", build.Job.Status, build.Job.Error)
	}
	return w.check(ctx, r, build)
}

// bury deletes a workspace whose life was cut short.
func (w *workspace) bury(ctx context.Context, r *result) error {
	if w.id == uuid.Nil {
		return nil
	}
	for _, op := range life() {
		if op.transition == client.TransitionDelete {
			return w.repair(ctx, r, op)
		}
	}
	return nil
}

// leftOver reports what a deleted workspace has left and nobody named.
func (w *workspace) leftOver(r *result) error {
	objects, err := readObjects(w.folder)
	if err != nil {
		return err
	}
	for id, address := range objects {
		if !w.excused[id] {
			r.problem(unknownResource, "%s (%s) exists although the workspace is deleted", address, id)
		}
	}
	return nil
}
