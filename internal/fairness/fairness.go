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
	order := make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int {
		return cmp.Or(cmp.Compare(class(jobs[x], now), class(jobs[y], now)), jobs[x].Created.Compare(jobs[y].Created))
	})
	weights := make([]int, len(jobs))
	next := map[O]int{}
	for _, i := range order {
		o := jobs[i].Owner
		if _, behind := next[o]; behind {
			weights[i] = next[o]
		} else { // once this one is started, its owner has waited for nothing
			weights[i], next[o] = weight(usage[o], jobs[i].Created, now), usage[o].Running
		}
		next[o]++
	}
	slices.SortStableFunc(order, func(x, y int) int {
		return cmp.Or(cmp.Compare(class(jobs[x], now), class(jobs[y], now)), cmp.Compare(weights[x], weights[y]), jobs[x].Created.Compare(jobs[y].Created))
	})
	return order
}

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
