// Package fairness orders the jobs that wait for the provisioners of one
// organization.
package fairness

import (
	"cmp"
	"slices"
	"time"
)

// Patience is how long an automated job waits behind people's, and how long a
// person waits for what each of their running jobs costs them in rank.
const Patience = 5 * time.Minute

// Job is one that waits. Owners of any comparable kind ask for jobs.
type Job[O comparable] struct {
	Owner     O
	Automated bool
	Created   time.Time
}

// Usage is what an owner has had.
type Usage struct {
	// Running is the number of their jobs that run now.
	Running int
	// LastStarted is when the last of their jobs was started; zero for never.
	LastStarted time.Time
}

// Rank returns the places of jobs in the order in which they are to be handed
// out: first comes who has the fewest jobs running, counting those of their
// own that stand before; then who has waited longest. Automated jobs come
// behind people's until they have waited for Patience.
//
// Nobody starves: for each Patience that an owner waits without being given
// anything, one job fewer is counted for them. So an owner with n jobs running
// is passed, by somebody who has none, for n times Patience at most. Waiting
// counts for an owner and not for a job: a thousand jobs of one owner that
// have waited long pass nobody.
func Rank[O comparable](jobs []Job[O], usage map[O]Usage, now time.Time) []int {
	places := make([]place, len(jobs))
	for i := range places {
		places[i] = place{index: i, class: class(jobs[i], now)}
	}
	slices.SortStableFunc(places, func(x, y place) int {
		return cmp.Or(cmp.Compare(x.class, y.class), jobs[x.index].Created.Compare(jobs[y.index].Created))
	})
	next := map[O]int{}
	for i := range places {
		p := &places[i]
		p.turn = i
		j := jobs[p.index]
		if behind, waits := next[j.Owner]; waits {
			p.weight = behind
		} else { // once this one is started, its owner has waited for nothing
			p.weight, next[j.Owner] = weight(usage[j.Owner], j.Created, now), usage[j.Owner].Running
		}
		next[j.Owner]++
	}
	slices.SortFunc(places, func(x, y place) int {
		return cmp.Or(cmp.Compare(x.class, y.class), cmp.Compare(x.weight, y.weight), cmp.Compare(x.turn, y.turn))
	})
	order := make([]int, len(places))
	for i, p := range places {
		order[i] = p.index
	}
	return order
}

// place is what decides where a job stands: turn is its place by class and age.
type place struct{ index, class, weight, turn int }

// class is 1 for what waits behind everything else.
func class[O comparable](j Job[O], now time.Time) int {
	if j.Automated && now.Sub(j.Created) < Patience {
		return 1
	}
	return 0
}

// weight is an owner's jobs that run less the Patiences in which they waited
// and were given nothing: whole ones, so that within one the age of jobs decides.
func weight(u Usage, oldest, now time.Time) int {
	since := oldest
	if u.LastStarted.After(since) {
		since = u.LastStarted
	}
	return u.Running - int(max(0, now.Sub(since))/Patience)
}
