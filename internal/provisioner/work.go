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
	mu      sync.Mutex
	open    map[string]client.Intent
	started map[string]time.Time
	timings []client.StageTiming
	stage   string
	errors  []string
}

func newEngineWork() *engineWork {
	return &engineWork{open: map[string]client.Intent{}, started: map[string]time.Time{}, stage: "plan"}
}

func (w *engineWork) note(event terraform.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if event.Error != "" {
		w.errors = append(w.errors, event.Error)
	}
	if intent := event.Intent; intent != nil {
		if intent.Done {
			delete(w.open, intent.Address)
		} else {
			w.open[intent.Address] = *intent
		}
	}
	if event.Hook != nil {
		w.time(*event.Hook)
	}
	if event.Planned {
		w.stage = "apply"
	}
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

// doubtful are the resources that were begun and not ended, and are not in
// the state. What is updated or destroyed is in the state as long as it is
// not gone, and so is known.
func (w *engineWork) doubtful(final *terraform.State) []client.DoubtfulResource {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubtful := []client.DoubtfulResource{}
	for _, address := range slices.Sorted(maps.Keys(w.open)) {
		intent := w.open[address]
		if (intent.Action == "create" || intent.Action == "replace") && !final.Has(address) {
			doubtful = append(doubtful, client.DoubtfulResource{
				Address: address, Action: intent.Action, Planned: intent.Planned,
			})
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
