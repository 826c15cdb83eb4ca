package provisioner

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"coder/client"
	"coder/internal/terraform"
)

// engineWork is what the engine's output says it has begun and ended.
type engineWork struct {
	mu sync.Mutex
	// made by address: what the engine has begun to create and is not known
	// to be in a state that the server holds.
	made map[string]making
	// failed are creations that ended with an error, and silenced tells that a
	// provider has died: then nobody knows what came of them.
	failed   map[string]making
	silenced bool
	// planned are the creations that the plan wants, and unseen tells that nobody
	// has seen how far its apply came.
	planned map[string]string
	unseen  bool
	// before is the state that the job began with, stored the newest one that
	// the server has taken.
	before, stored *terraform.State
	started        map[string]time.Time
	timings        []client.StageTiming
	stage          string
	errors         []string
	// wanted are the providers that init has looked for.
	wanted []terraform.WantedProvider
	// touched: something was begun to be made, changed or removed.
	touched bool
}

// making is a resource that the engine creates or has created. That it is
// done is not enough to know it: OpenTofu writes its state every 20 s only.
type making struct {
	action string
	done   bool
	id     string
}

func newEngineWork() *engineWork {
	return &engineWork{made: map[string]making{}, failed: map[string]making{}, planned: map[string]string{}, started: map[string]time.Time{}, stage: "plan"}
}

func (w *engineWork) note(event terraform.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if event.Error != "" {
		w.errors = append(w.errors, event.Error)
		w.silenced = w.silenced || slices.ContainsFunc(providerDied, func(word string) bool { return strings.Contains(event.Error, word) })
	}
	if event.Wanted != nil {
		w.wanted = append(w.wanted, *event.Wanted)
	}
	if event.Intent != nil && event.Intent.Wanted {
		w.planned[event.Intent.Address] = event.Intent.Action
	}
	if event.Hook != nil {
		w.time(*event.Hook)
		w.track(*event.Hook)
		w.touched = w.touched || event.Intent != nil
	}
	if event.Planned {
		w.stage = "apply"
	}
}

// loseSight: the apply was let on, and what it printed is lost.
func (w *engineWork) loseSight() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unseen, w.touched = true, true
}

func (w *engineWork) hasTouched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.touched
}

// makes tells whether an action brings something into the world.
func makes(action string) bool { return action == "create" || action == "replace" }

// track follows what is made. A failed creation is over: what came of it, if
// anything, the engine has in its state. What is removed at an address is
// never what was made there: a replacement may be made before it.
func (w *engineWork) track(hook terraform.Hook) {
	switch {
	case makes(hook.Action) && !hook.Failed:
		w.made[hook.Resource] = making{action: hook.Action, done: hook.Done, id: hook.ID}
	case makes(hook.Action):
		w.failed[hook.Resource] = making{action: hook.Action}
		delete(w.made, hook.Resource)
	}
}

// providerDied is what engines say of a provider that ended while it worked:
// that it did not respond, that the request was cancelled, or that it returned
// an unexpected error. The last two name the call.
var providerDied = []string{"Plugin did not respond", "(*GRPCProvider)."}

// taken notes the newest state that the server has.
func (w *engineWork) taken(stored *terraform.State) []client.Intent {
	w.mu.Lock()
	w.stored = stored
	w.mu.Unlock()
	return w.fulfilled()
}

// fulfilled returns the intents that the newest state on the server fulfils,
// each once. The state may arrive there before the engine's line about it is
// read, or after: ask when either is news.
func (w *engineWork) fulfilled() []client.Intent {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before == nil || w.stored == nil {
		return nil
	}
	intents := []client.Intent{}
	for _, address := range slices.Sorted(maps.Keys(w.made)) {
		made := w.made[address]
		if made.done && w.stored.Records(address, made.id, w.before) {
			delete(w.made, address)
			intents = append(intents, client.Intent{Address: address, Action: made.action, Done: true})
		}
	}
	return intents
}

// maxTimings bounds what one job reports about its resources.
const maxTimings = 5000

func (w *engineWork) time(hook terraform.Hook) {
	key := hook.Action + " " + hook.Resource
	if !hook.Done {
		w.started[key] = hook.At
		return
	}
	started, ok := w.started[key]
	if !ok || len(w.timings) >= maxTimings {
		return
	}
	delete(w.started, key)
	w.timings = append(w.timings, client.StageTiming{
		StartedAt: started, EndedAt: hook.At, Stage: w.stage, Source: hook.Provider,
		Action: hook.Action, Resource: hook.Resource,
	})
}

// doubtful are the resources that were begun and are not in the final state.
// What is updated or destroyed is in the state as long as it is not gone, and
// so is known.
func (w *engineWork) doubtful(before, final *terraform.State) []client.DoubtfulResource {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubtful := []client.DoubtfulResource{}
	open := maps.Clone(w.made)
	if w.silenced {
		maps.Copy(open, w.failed)
	}
	for _, address := range slices.Sorted(maps.Keys(open)) {
		made := open[address]
		if final.Records(address, made.id, before) {
			continue
		}
		doubtful = append(doubtful, client.DoubtfulResource{Address: address, Action: made.action, ID: made.id})
	}
	if w.unseen {
		for _, address := range slices.Sorted(maps.Keys(w.planned)) {
			if !final.Records(address, "", before) {
				doubtful = append(doubtful, client.DoubtfulResource{Address: address, Action: w.planned[address], Grounds: client.GroundsPlanned})
			}
		}
	}
	return doubtful
}

// newlyTainted are the resources that this attempt left to be made again.
func newlyTainted(before, after *terraform.State) []string {
	old := before.Tainted()
	return slices.DeleteFunc(after.Tainted(), func(address string) bool { return slices.Contains(old, address) })
}

// headline is the error of a failed engine in a line or a few.
func (w *engineWork) headline() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errors) > 3 {
		return strings.Join(w.errors[:3], "; ") + "; and more, see the log"
	}
	return strings.Join(w.errors, "; ")
}

func (w *engineWork) resourceTimings() []client.StageTiming {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.timings)
}
