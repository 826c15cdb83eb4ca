package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is one way to hurt a deployment. strike does it, heal undoes it; all
// that it kills on the host's side is started again by heal.
type fault struct {
	name string
	what string
	// shortest and longest are how long it may last.
	shortest, longest time.Duration
	// beyond the takeover time: the daemon is silent for so long that people
	// see it and the server ends its build.
	beyond bool
	// server: it takes the server down, one fault at a time.
	server bool
	// overtaken: the next build is made on another host before it is healed, always.
	// No protocol can promise that a frozen engine does nothing when it wakes
	// up after that.
	overtaken bool
	// alone: the next build is never made before it is healed.
	alone bool
	// asked: it strikes only where it is asked for by name.
	asked bool
	// mounts: it needs the right to mount a file system; sqlite: and a
	// database of the server's own.
	mounts, sqlite bool
	strike         func(context.Context, *lane) error
	heal           func(context.Context, *lane) error
}

// faults are all that there are.
func faults() []fault {
	const s = time.Second
	short := []fault{
		{name: "daemon-kill", what: "kill -9 of the daemon", longest: 3 * s, strike: killDaemon, heal: startDaemon},
		{name: "daemon-pause", what: "SIGSTOP of the daemon, SIGCONT later", shortest: s, longest: 8 * s, strike: pauseDaemon, heal: resumeDaemon},
		{name: "engine-kill", what: "kill -9 of Terraform", strike: killEngine, heal: nothing},
		{name: "engine-pause", what: "SIGSTOP of Terraform, SIGCONT later", shortest: s, longest: 4 * s, strike: signalHost(running.isEngine, "pause"), heal: signalHost(running.isEngine, "resume")},
		{name: "provider-kill", what: "kill -9 of the process that makes the resources", strike: killProvider, heal: nothing},
		{name: "supervisor-kill", what: "kill -9 of the supervisor", strike: killSupervisor, heal: nothing},
		{name: "daemon-engine-kill", what: "kill -9 of daemon and Terraform", longest: 3 * s, strike: both(killDaemon, killEngine), heal: startDaemon},
		{name: "daemon-supervisor-kill", what: "kill -9 of daemon and supervisor", longest: 3 * s, strike: both(killDaemon, killSupervisor), heal: startDaemon},
		{name: "host-crash", what: "kill -9 of all processes of the host", longest: 4 * s, strike: crashHost, heal: startDaemon},
		{name: "host-pause", what: "SIGSTOP of all processes of the host, SIGCONT later", shortest: s, longest: 8 * s, strike: freezeHost, heal: thawHost},
		{name: "server-kill", what: "kill -9 of the server", longest: 6 * s, server: true, strike: killServer, heal: startServer},
		{name: "server-pause", what: "SIGSTOP of the server, SIGCONT later", shortest: s, longest: 8 * s, server: true, strike: pauseServer, heal: resumeServer},
		{name: "reboot", what: "kill -9 of the server and of all processes of the host", longest: 4 * s, server: true, strike: both(killServer, crashHost), heal: both(startServer, startDaemon)},
		{name: "link-cut", what: "connections between daemon and server end, new ones are refused", shortest: s, longest: 15 * s, strike: setLink(link{cut: true}), heal: setLink(link{})},
		{name: "link-hang", what: "connections stay, and nothing comes through", shortest: s, longest: 15 * s, strike: setLink(link{hung: true}), heal: setLink(link{})},
		{name: "spool-lost", what: "all that is in the spool is removed; the daemon is killed later, perhaps before it has handed in, and started again", longest: 15 * s, strike: loseSpool, heal: both(killDaemon, startDaemon)},
		{name: "server-clock", what: "the wall clock of the server jumps by minutes or hours, forwards or backwards, and back later", shortest: s, longest: 8 * s, server: true, strike: jumpServer, heal: jumpServerBack},
		{name: "daemon-clock", what: "the same of the daemon", shortest: s, longest: 8 * s, strike: jumpDaemon, heal: jumpDaemonBack},
		{name: "link-slow", what: "every 16 KiB come half a second late", shortest: 4 * s, longest: 12 * s, strike: setLink(link{delay: 500 * time.Millisecond}), heal: setLink(link{})},
	}
	return append(short,
		fault{name: "disk-full", what: "no space on the disk of the spool", shortest: s, longest: 6 * s, mounts: true, strike: fillSpool, heal: freeSpool},
		fault{name: "server-full", what: "no space on the disk of the server's data", shortest: s, longest: 8 * s, server: true, mounts: true, sqlite: true, strike: fillData, heal: freeData},
		fault{name: "daemon-gone", what: "kill -9 of the daemon, back after the takeover", beyond: true, strike: killDaemon, heal: startDaemon},
		fault{name: "daemon-frozen", what: "SIGSTOP of the daemon until after the takeover", beyond: true, strike: pauseDaemon, heal: resumeDaemon},
		fault{name: "host-frozen", what: "SIGSTOP of all processes of the host until after the takeover", beyond: true, alone: true, strike: freezeHost, heal: thawHost},
		fault{name: "host-overtaken", what: "the same, and the next build is made on another host before SIGCONT; only where it is asked for", beyond: true, overtaken: true, asked: true, strike: freezeHost, heal: thawHost},
		fault{name: "host-gone", what: "kill -9 of all processes of the host, back after the takeover", beyond: true, strike: crashHost, heal: startDaemon},
		fault{name: "host-lost", what: "kill -9 of all processes of the host, and its spool is lost", beyond: true, strike: both(crashHost, loseSpool), heal: startDaemon},
		fault{name: "link-gone", what: "no link between daemon and server until after the takeover", beyond: true, strike: setLink(link{cut: true}), heal: setLink(link{})},
	)
}

func nothing(context.Context, *lane) error { return nil }

func both(first, second func(context.Context, *lane) error) func(context.Context, *lane) error {
	return func(ctx context.Context, l *lane) error { return errors.Join(first(ctx, l), second(ctx, l)) }
}

func killDaemon(_ context.Context, l *lane) error   { return l.daemon.kill() }
func pauseDaemon(_ context.Context, l *lane) error  { return l.daemon.signal(paused) }
func resumeDaemon(_ context.Context, l *lane) error { return l.daemon.signal(resumed) }
func startDaemon(_ context.Context, l *lane) error  { return l.daemon.start(nil) }

func killServer(_ context.Context, l *lane) error    { return l.server.kill() }
func pauseServer(_ context.Context, l *lane) error   { return l.server.signal(paused) }
func resumeServer(_ context.Context, l *lane) error  { return l.server.signal(resumed) }
func startServer(ctx context.Context, l *lane) error { return l.startServer(ctx) }

func killEngine(_ context.Context, l *lane) error {
	_, err := send(l.spool, running.isEngine, killed)
	return err
}

func killProvider(_ context.Context, l *lane) error {
	_, err := send(l.spool, running.isProvider, killed)
	return err
}

func killSupervisor(_ context.Context, l *lane) error {
	_, err := send(l.spool, running.isSupervisor, killed)
	return err
}

func crashHost(ctx context.Context, l *lane) error {
	return errors.Join(l.daemon.kill(), killAll(ctx, l.spool))
}

func freezeHost(ctx context.Context, l *lane) error {
	return both(pauseDaemon, signalHost(anybody, "pause"))(ctx, l)
}

func thawHost(ctx context.Context, l *lane) error {
	return both(signalHost(anybody, "resume"), resumeDaemon)(ctx, l)
}

func signalHost(is role, how string) func(context.Context, *lane) error {
	to := paused
	if how == "resume" {
		to = resumed
	}
	return func(_ context.Context, l *lane) error {
		_, err := send(l.spool, is, to)
		return err
	}
}

func setLink(to link) func(context.Context, *lane) error {
	return func(_ context.Context, l *lane) error {
		l.proxy.set(to)
		return nil
	}
}

// Where a fault is to land, and where it did.
const (
	landsBefore  = "before"
	landsBetween = "between"
	landsAfter   = "after"
)

// plan is what the seed says of one run.
type plan struct {
	run   int
	fault fault
	lands string
	// share of the build's writes that are done when it strikes.
	share float64
	// wait a little more, so that not all strike at a write's end.
	wait time.Duration
	// lasts is how long until it is healed.
	lasts time.Duration
	// meanwhile: the next build is made on another host before it is healed.
	meanwhile bool
	// jump is how far a clock jumps.
	jump time.Duration
}

// Of five faults four are aimed between the first and the last write, and a
// little before the last, because a build goes on while the fault begins.
const (
	aimedBetween = 0.80
	aimedBefore  = 0.10
	aimedWrites  = 0.90
)

// planOf is the same for the same seed, run and list of faults. The faults
// come like cards: each short one three times before any comes again.
func planOf(seed uint64, run int, from []fault, horizon time.Duration) plan {
	deck := []fault{}
	for _, f := range from {
		deck = append(deck, f)
		if !f.beyond {
			deck = append(deck, f, f)
		}
	}
	shuffle := rand.New(rand.NewPCG(seed, uint64(run/len(deck))))
	shuffle.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	r := rand.New(rand.NewPCG(seed, 1<<32+uint64(run)))
	p := plan{run: run, fault: deck[run%len(deck)], lands: landsAfter, share: aimedWrites * r.Float64(), wait: time.Duration(r.Int64N(int64(250 * time.Millisecond)))}
	switch aim := r.Float64(); {
	case aim < aimedBetween:
		p.lands = landsBetween
	case aim < aimedBetween+aimedBefore:
		p.lands = landsBefore
		p.wait = time.Duration(r.Int64N(int64(1500 * time.Millisecond)))
	}
	p.lasts = p.fault.shortest
	if spread := p.fault.longest - p.fault.shortest; spread > 0 {
		p.lasts += time.Duration(r.Int64N(int64(spread)))
	}
	if p.fault.beyond {
		p.meanwhile = (r.IntN(2) == 0 || p.fault.overtaken) && !p.fault.alone
		p.lasts = horizon + 5*time.Second + time.Duration(r.Int64N(int64(5*time.Second)))
	}
	p.jump = jumpOf(r)
	return p
}

// FaultList names all faults for people, one a line.
func FaultList() string {
	all := faults()
	lines := make([]string, len(all))
	for i, f := range all {
		lines[i] = fmt.Sprintf("  %-23s %s", f.name, f.what)
	}
	return strings.Join(lines, "\n")
}

// selectFaults narrows the list to some names; none are all that can be promised.
func selectFaults(names []string) ([]fault, error) {
	all := faults()
	if len(names) == 0 {
		return slices.DeleteFunc(all, func(f fault) bool { return f.asked }), nil
	}
	chosen := []fault{}
	for _, name := range names {
		found := false
		for _, f := range all {
			if f.name == name {
				chosen, found = append(chosen, f), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no fault %q: give one of\n%s", name, FaultList())
		}
	}
	return chosen, nil
}
