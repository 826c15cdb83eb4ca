package fairness_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/internal/fairness"
)

var noon = time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

func TestRank(t *testing.T) {
	t.Parallel()
	type jobs = []fairness.Job[string]
	for name, c := range map[string]struct {
		jobs  jobs
		usage map[string]fairness.Usage
		want  []int
	}{
		"the oldest first": {jobs{{"a", false, ago(time.Second)}, {"b", false, ago(2 * time.Second)}}, nil, []int{1, 0}},
		"who has the fewest running first": {jobs{{"a", false, ago(2 * time.Second)}, {"b", false, ago(time.Second)}},
			map[string]fairness.Usage{"a": {Running: 1, LastStarted: ago(time.Minute)}}, []int{1, 0}},
		"in turns": {jobs{{"a", false, ago(4 * time.Second)}, {"a", false, ago(3 * time.Second)}, {"b", false, ago(2 * time.Second)}, {"b", false, ago(time.Second)}},
			nil, []int{0, 2, 1, 3}},
		"automation behind people":                {jobs{{"a", true, ago(4 * time.Minute)}, {"b", false, ago(time.Second)}}, nil, []int{1, 0}},
		"automation as people after five minutes": {jobs{{"b", false, ago(time.Second)}, {"a", true, ago(5 * time.Minute)}}, nil, []int{1, 0}},
		"waiting makes up for what runs": {jobs{{"a", false, ago(16 * time.Minute)}, {"b", false, ago(time.Second)}},
			map[string]fairness.Usage{"a": {Running: 2, LastStarted: ago(16 * time.Minute)}}, []int{0, 1}},
		"but not waiting before the last was started": {jobs{{"a", false, ago(16 * time.Minute)}, {"b", false, ago(time.Second)}},
			map[string]fairness.Usage{"a": {Running: 2, LastStarted: ago(time.Minute)}}, []int{1, 0}},
		"nor that of many jobs": {jobs{{"a", false, ago(6 * time.Minute)}, {"a", false, ago(6 * time.Minute)}, {"a", false, ago(6 * time.Minute)}, {"b", false, ago(time.Second)}},
			nil, []int{0, 3, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, fairness.Rank(c.jobs, c.usage, noon))
		})
	}
}

// request is a job of the simulation.
type request struct {
	fairness.Job[int]
	lasts   time.Duration
	started time.Time
	// passed counts, for each other owner, the jobs that were started before
	// this one after its time had come.
	passed map[int]int
}

// simulation is an organization whose provisioners all take any job.
type simulation struct {
	now      time.Time
	daemons  int
	arriving []*request // by time
	waiting  []*request
	running  []*request
	usage    map[int]fairness.Usage
	// worst is the longest that an owner waited without being given anything,
	// worstPassed how often one was passed by another after their time.
	worst       time.Duration
	worstPassed int
}

// run lets time pass from event to event until nothing is left to do.
func (s *simulation) run() {
	for len(s.arriving)+len(s.waiting)+len(s.running) > 0 {
		s.handOut()
		s.advance()
	}
}

func (s *simulation) advance() {
	next := time.Time{}
	for _, r := range s.running {
		if end := r.started.Add(r.lasts); next.IsZero() || end.Before(next) {
			next = end
		}
	}
	if len(s.arriving) > 0 && (next.IsZero() || s.arriving[0].Created.Before(next)) {
		next = s.arriving[0].Created
	}
	s.now = next
	s.running = slices.DeleteFunc(s.running, func(r *request) bool {
		over := !r.started.Add(r.lasts).After(s.now)
		if over {
			u := s.usage[r.Owner]
			u.Running--
			s.usage[r.Owner] = u
		}
		return over
	})
	for len(s.arriving) > 0 && !s.arriving[0].Created.After(s.now) {
		s.waiting, s.arriving = append(s.waiting, s.arriving[0]), s.arriving[1:]
	}
}

func (s *simulation) handOut() {
	for len(s.running) < s.daemons && len(s.waiting) > 0 {
		jobs := make([]fairness.Job[int], len(s.waiting))
		for i, r := range s.waiting {
			jobs[i] = r.Job
		}
		s.start(fairness.Rank(jobs, s.usage, s.now)[0])
	}
}

func (s *simulation) start(i int) {
	r := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	for _, other := range s.heads() {
		if other.Owner != r.Owner && s.overdue(other) {
			other.passed[r.Owner]++
			s.worstPassed = max(s.worstPassed, other.passed[r.Owner])
		}
	}
	r.started = s.now
	s.worst = max(s.worst, s.now.Sub(s.since(r)))
	u := s.usage[r.Owner]
	s.usage[r.Owner] = fairness.Usage{Running: u.Running + 1, LastStarted: s.now}
	s.running = append(s.running, r)
}

// heads are the oldest waiting jobs of each owner.
func (s *simulation) heads() map[int]*request {
	heads := map[int]*request{}
	for _, r := range s.waiting {
		if h := heads[r.Owner]; h == nil || r.Created.Before(h.Created) {
			heads[r.Owner] = r
		}
	}
	return heads
}

func (s *simulation) since(r *request) time.Time {
	if last := s.usage[r.Owner].LastStarted; last.After(r.Created) {
		return last
	}
	return r.Created
}

// overdue: its owner has waited a Patience for each of their jobs that run,
// one more, and, as automation, one before that.
func (s *simulation) overdue(r *request) bool {
	patiences := s.usage[r.Owner].Running + 1
	if r.Automated {
		patiences++
	}
	return s.now.Sub(s.since(r)) >= time.Duration(patiences)*fairness.Patience
}

func drawSimulation(t *rapid.T) *simulation {
	s := &simulation{now: noon, daemons: rapid.IntRange(1, 6).Draw(t, "daemons"), usage: map[int]fairness.Usage{}}
	owners := rapid.IntRange(1, 8).Draw(t, "owners")
	greedy := rapid.Bool().Draw(t, "one asks for most")
	for range rapid.IntRange(1, 150).Draw(t, "jobs") {
		owner := rapid.IntRange(0, owners-1).Draw(t, "owner")
		if greedy && rapid.IntRange(0, 3).Draw(t, "whose") > 0 {
			owner = 0
		}
		s.arriving = append(s.arriving, &request{passed: map[int]int{}, lasts: time.Duration(rapid.IntRange(1, 40*60).Draw(t, "seconds")) * time.Second, Job: fairness.Job[int]{
			Owner: owner, Automated: rapid.IntRange(0, 4).Draw(t, "automated") == 0, Created: noon.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "at")) * time.Second),
		}})
	}
	slices.SortStableFunc(s.arriving, func(x, y *request) int { return x.Created.Compare(y.Created) })
	return s
}

// Whatever comes, an owner who has waited for their share is passed by each
// other owner once at most, so everybody is served. `go test -v` prints the
// worst that was seen.
func TestNobodyStarves(t *testing.T) {
	t.Parallel()
	var worst time.Duration
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSimulation(t)
		s.run()
		if s.worstPassed > 1 {
			t.Fatalf("an owner was passed by another one %d times after their time had come", s.worstPassed)
		}
		worst, passed = max(worst, s.worst), max(passed, s.worstPassed)
	})
	t.Logf("worst wait of an owner without being given anything: %s (jobs of 40 minutes at most); passed by another owner after their time: %d times at most", worst, passed)
}
