package chaos

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"coder/client"
)

// Kinds of problems. Each is a promise that was broken.
const (
	lostState       = "lost state"
	unknownResource = "unknown resource"
	doubleApply     = "double apply"
	notEnded        = "build did not end"
	unusable        = "workspace not usable"
)

// Problem is a broken promise.
type Problem struct {
	Run   int    `json:"run"`
	Fault string `json:"fault"`
	Kind  string `json:"kind"`
	What  string `json:"what"`
}

// result is what came of one run.
type result struct {
	Run                         int
	Workspace, Operation, Fault string
	Landed                      string
	Done, Writes                int
	Lasted                      time.Duration
	Status                      string
	// InDoubt are the resources that the build named, Doubted those of them
	// that really exist, Salvaged those that only a kept state knows.
	InDoubt, Doubted, Salvaged int
	Noticed                    time.Duration
	struck                     time.Time
	// meanwhile: the next build was made before the fault was healed; named is
	// what that one named in doubt.
	meanwhile bool
	named     []string
	// told: the build's log says that its engine ran past its fence.
	told bool

	mu       sync.Mutex
	Problems []Problem
}

func (r *result) problem(kind, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Problem{Run: r.Run, Fault: r.Fault, Kind: kind, What: r.Workspace + ", " + r.Operation + ": " + fmt.Sprintf(format, args...)}
	if !slices.Contains(r.Problems, p) {
		r.Problems = append(r.Problems, p)
	}
}

// take makes a problem of what did not come to be in time; other errors stay.
func (r *result) take(err error, kind string) error {
	var slow *slowError
	if errors.As(err, &slow) {
		r.problem(kind, "%s", err)
		return nil
	}
	return err
}

func (r *result) land(done, of int) {
	r.Done, r.Writes = done, of
	switch {
	case done == 0:
		r.Landed = landsBefore
	case done >= of:
		r.Landed = landsAfter
	default:
		r.Landed = landsBetween
	}
}

// String is the run in a line.
func (r *result) String() string {
	line := fmt.Sprintf("run %d: %s %s, %s %s the writes (%d of %d), %s: %s", r.Run, r.Operation, r.Workspace, r.Fault, r.Landed, r.Done, r.Writes, r.Lasted.Round(100*time.Millisecond), cmp.Or(r.Status, "not ended"))
	if r.meanwhile {
		line += ", built on another host meanwhile"
	}
	for _, part := range []struct {
		n    int
		what string
	}{{r.InDoubt, "named in doubt"}, {r.Doubted, "of them exist"}, {r.Salvaged, "in salvage only"}} {
		if part.n > 0 {
			line += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	for _, p := range r.Problems {
		line += "\n  " + p.Kind + ": " + p.What
	}
	return line
}

// Row is what the runs with one fault came to.
type Row struct {
	Fault string `json:"fault"`
	Runs  int    `json:"runs"`
	// Before, Between and After the writes of the build is where it landed.
	Before  int `json:"before"`
	Between int `json:"between"`
	After   int `json:"after"`
	// Succeeded are the builds that ended well all the same.
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	// InDoubt are resources that failed builds named, Exist those of them
	// that are there, Salvaged those that only a kept state knows.
	InDoubt  int `json:"in_doubt"`
	Exist    int `json:"exist"`
	Salvaged int `json:"salvaged"`

	// What must be zero.
	LostStates  int `json:"lost_states"`
	Unknown     int `json:"unknown"`
	DoubleApply int `json:"double_apply"`
	// Reported are double applies that the build's log tells of.
	Reported     int `json:"reported"`
	NotEnded     int `json:"not_ended"`
	Unusable     int `json:"unusable"`
	noticedTimes []time.Duration
}

func (row *Row) add(r *result) {
	row.Runs++
	switch r.Landed {
	case landsBefore:
		row.Before++
	case landsBetween:
		row.Between++
	case landsAfter:
		row.After++
	}
	switch r.Status {
	case client.JobSucceeded:
		row.Succeeded++
	case "":
	default:
		row.Failed++
	}
	row.InDoubt += r.InDoubt
	row.Exist += r.Doubted
	row.Salvaged += r.Salvaged
	for _, p := range r.Problems {
		switch p.Kind {
		case lostState:
			row.LostStates++
		case unknownResource:
			row.Unknown++
		case doubleApply:
			row.DoubleApply++
			if r.told {
				row.Reported++
			}
		case notEnded:
			row.NotEnded++
		case unusable:
			row.Unusable++
		}
	}
	if r.Noticed > 0 {
		row.noticedTimes = append(row.noticedTimes, r.Noticed)
	}
}

// Report is what all runs came to.
type Report struct {
	Seed     uint64 `json:"seed"`
	Database string `json:"database"`
	// Rows by fault, and the sum of all of them last.
	Rows     []Row     `json:"rows"`
	Problems []Problem `json:"problems"`
	// NoticeP50 and NoticeP99 are the times in seconds until a person who looks
	// at a build's log reads that the daemon is silent; of Noticed faults that
	// lasted long enough.
	Noticed   int     `json:"noticed"`
	NoticeP50 float64 `json:"notice_p50"`
	NoticeP99 float64 `json:"notice_p99"`
	// LeftOut are faults that this host cannot suffer.
	LeftOut []string `json:"left_out"`
	// Took is in seconds.
	Took float64 `json:"took"`
	// Kept is the directory with the logs; empty when it was removed.
	Kept string `json:"kept,omitempty"`
}

// Total is the sum of all rows.
func (r *Report) Total() Row { return r.Rows[len(r.Rows)-1] }

func newReport(opts Options, results []*result) *Report {
	report := &Report{Seed: opts.Seed, Database: "SQLite", Rows: []Row{}, Problems: []Problem{}}
	if opts.PostgresURL != "" {
		report.Database = "PostgreSQL"
	}
	total := Row{Fault: "all"}
	byFault := map[string]*Row{}
	for _, r := range results {
		if byFault[r.Fault] == nil {
			byFault[r.Fault] = &Row{Fault: r.Fault}
		}
		byFault[r.Fault].add(r)
		total.add(r)
		report.Problems = append(report.Problems, r.Problems...)
	}
	for _, f := range faults() {
		if row := byFault[f.name]; row != nil {
			report.Rows = append(report.Rows, *row)
		}
	}
	report.Rows = append(report.Rows, total)
	slices.SortStableFunc(report.Problems, func(x, y Problem) int { return cmp.Compare(x.Run, y.Run) })
	times := total.noticedTimes
	slices.Sort(times)
	if report.Noticed = len(times); len(times) > 0 {
		report.NoticeP50 = times[len(times)/2].Seconds()
		report.NoticeP99 = times[min(len(times)*99/100, len(times)-1)].Seconds()
	}
	return report
}

func (r *result) has(kind string) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == kind })
}
