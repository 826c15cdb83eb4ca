package server

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

const (
	// buildTimesKept is how long statistics are shown before they are counted again.
	buildTimesKept = 10 * time.Minute
	// buildTimesWindow is how far back builds count.
	buildTimesWindow = 30 * 24 * time.Hour
)

// buildTimes keeps how long the builds of templates took, because counting
// reads every recent build of an organization and lists of templates are read often.
type buildTimes struct {
	mu            sync.Mutex
	organizations map[uuid.UUID]organizationBuildTimes
}

type organizationBuildTimes struct {
	at        time.Time
	templates map[uuid.UUID]map[string]client.TransitionStats
}

func newBuildTimes() *buildTimes {
	return &buildTimes{organizations: map[uuid.UUID]organizationBuildTimes{}}
}

// of is what is known of an authorized template, at most buildTimesKept old.
func (b *buildTimes) of(ctx context.Context, a *api, t *store.Template) (map[string]client.TransitionStats, error) {
	b.mu.Lock()
	known, ok := b.organizations[t.OrganizationID]
	b.mu.Unlock()
	if age := a.now().Sub(known.at); !ok || age < 0 || age > buildTimesKept {
		var err error
		if known, err = countBuildTimes(ctx, a, t.OrganizationID); err != nil {
			return nil, err
		}
		b.mu.Lock()
		b.organizations[t.OrganizationID] = known
		b.mu.Unlock()
	}
	stats := map[string]client.TransitionStats{}
	for _, transition := range []string{client.TransitionStart, client.TransitionStop, client.TransitionDelete} {
		stats[transition] = known.templates[t.ID][transition]
	}
	return stats, nil
}

func countBuildTimes(ctx context.Context, a *api, organizationID uuid.UUID) (organizationBuildTimes, error) {
	rows, err := a.store.ListTemplateBuildTimes(ctx, store.ListTemplateBuildTimesParams{
		OrganizationID: organizationID, SinceAt: store.At(a.now().Add(-buildTimesWindow)).Micro(),
	})
	if err != nil {
		return organizationBuildTimes{}, err
	}
	durations := map[uuid.UUID]map[string][]int64{}
	for _, row := range rows { // in order of duration within a transition
		if durations[row.TemplateID] == nil {
			durations[row.TemplateID] = map[string][]int64{}
		}
		durations[row.TemplateID][row.Transition] = append(durations[row.TemplateID][row.Transition], row.Duration/1000)
	}
	out := organizationBuildTimes{at: a.now(), templates: map[uuid.UUID]map[string]client.TransitionStats{}}
	for id, transitions := range durations {
		out.templates[id] = map[string]client.TransitionStats{}
		for transition, sorted := range transitions {
			out.templates[id][transition] = client.TransitionStats{P50: percentile(sorted, 50), P95: percentile(sorted, 95)}
		}
	}
	return out, nil
}

// percentile takes the nearest rank of a sorted list that is not empty.
func percentile(sorted []int64, percent int) *int64 {
	return &sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
