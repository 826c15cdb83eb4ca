package provisioner

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// MaxFleet is how many daemons one process may run.
const MaxFleet = 100

// Fleet is several daemons in one process, each with a row of its own at the
// server. They share cache, spool, engine and metrics; MaxJobs and IdleTimeout
// count for all of them together. Make it with NewFleet.
type Fleet struct{ daemons []*Daemon }

// FleetNames are the names of n daemons: NAME for one, else NAME-1 to NAME-n.
func FleetNames(name string, n int) []string {
	if n == 1 {
		return []string{name}
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", name, i+1)
	}
	return names
}

// NewFleet makes n daemons, up to MaxFleet. It contacts nobody.
func NewFleet(opts Options, n int) (*Fleet, error) {
	if n < 1 || n > MaxFleet {
		return nil, fmt.Errorf("start provisioner daemons: %d is not a number from 1 to %d", n, MaxFleet)
	}
	f := &Fleet{}
	for _, name := range FleetNames(opts.Name, n) {
		each := opts
		each.Name = name
		if n > 1 && opts.Logger != nil {
			each.Logger = opts.Logger.With("daemon", name)
		}
		d, err := New(each)
		if err != nil {
			return nil, err
		}
		f.daemons = append(f.daemons, d)
	}
	shared := f.daemons[0].opts
	if opts.Logger != nil {
		shared.Logger = opts.Logger
	}
	crew := newCrew(shared, n)
	for _, d := range f.daemons {
		d.crew, d.opts.Standby = crew, shared.Standby
	}
	return f, nil
}

// Drain lets each daemon finish its job and take no other.
func (f *Fleet) Drain() {
	for _, d := range f.daemons {
		d.Drain()
	}
}

// Run runs all until ctx ends, Drain is called or the server refuses one of
// them: then the others finish their jobs, and the reason is the error.
func (f *Fleet) Run(ctx context.Context) error {
	var group errgroup.Group
	for _, d := range f.daemons {
		group.Go(func() error {
			err := d.Run(ctx)
			if err != nil {
				f.Drain()
			}
			return err
		})
	}
	return group.Wait()
}
