package server

import (
	"slices"
	"sync"

	"github.com/google/uuid"

	"coder/store"
)

// dispatcher knows the daemons of this replica that wait for a job, and wakes
// one of them for each job that comes.
type dispatcher struct {
	mu      sync.Mutex
	waiting map[uuid.UUID][]*waiter // by organization, longest waiting first
}

// waiter is one daemon's long poll.
type waiter struct {
	organization uuid.UUID
	daemon       uuid.UUID
	tags         store.StringMap
	wake         chan store.StringMap // holds the tags of the job it was woken for
}

func newDispatcher() *dispatcher { return &dispatcher{waiting: map[uuid.UUID][]*waiter{}} }

// wait enters a daemon. It must look for a job afterwards, then wait for the
// channel, and leave in the end.
func (d *dispatcher) wait(daemon store.ProvisionerDaemon) *waiter {
	w := &waiter{organization: daemon.OrganizationID, daemon: daemon.ID, tags: daemon.Tags, wake: make(chan store.StringMap, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[w.organization] = append(d.waiting[w.organization], w)
	return w
}

// post wakes one waiter that matches and has not been woken yet. Without one
// the job stays in the queue, where the next daemon that asks finds it.
func (d *dispatcher) post(organization uuid.UUID, tags store.StringMap) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waiting[organization] {
		if len(w.wake) == 0 && tagsMatch(tags, w.tags) {
			w.wake <- tags
			return
		}
	}
}

// wakeAll makes all of an organization's daemons look again.
func (d *dispatcher) wakeAll(organization uuid.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waiting[organization] {
		select {
		case w.wake <- w.tags:
		default:
		}
	}
}

// pass takes a daemon out that may not have the job it was woken for, which
// goes to another one.
func (d *dispatcher) pass(w *waiter, woken store.StringMap) {
	d.leave(w)
	if woken != nil {
		d.post(w.organization, woken)
	}
}

// leave takes a daemon out; a wake-up that it did not use goes to another one.
func (d *dispatcher) leave(w *waiter) {
	d.mu.Lock()
	d.waiting[w.organization] = slices.DeleteFunc(d.waiting[w.organization], func(o *waiter) bool { return o == w })
	if len(d.waiting[w.organization]) == 0 {
		delete(d.waiting, w.organization)
	}
	d.mu.Unlock()
	select {
	case tags := <-w.wake:
		d.post(w.organization, tags)
	default:
	}
}
