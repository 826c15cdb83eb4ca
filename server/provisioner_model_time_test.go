package server_test

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/client"
)

// advance lets time go by: daemons that are alive renew, replicas that run look
// at the leases. It goes on until for each attempt it is clear what must be.
func (m *model) advance(rt *rapid.T, d time.Duration) {
	for left := d; left > 0 || m.unclear(); left -= modelStep {
		require.Greater(rt, left, -20*modelSlack, "time never becomes clear")
		m.clock.Advance(modelStep)
		for _, a := range m.attempts {
			if a.current && a.confirmed && a.daemon.alive && m.clock.Now().Sub(a.renewed) >= 8*time.Second {
				m.renew(rt, a, m.running()[rapid.IntRange(0, len(m.running())-1).Draw(rt, "renews at")])
			}
			if a.current && !a.confirmed && a.job.Fence%2 == 0 { // which keeps nothing
				_, err := m.running()[0].client(rt, client.Options{}).Attempt(a.job.AttemptID, a.job.Secret).Renew(context.Background(), client.RenewRequest{})
				require.NoError(rt, err)
			}
		}
		for i, r := range m.replicas {
			if r.stopped {
				continue
			}
			m.look(rt, r)
			for _, a := range m.attempts {
				a.quiet[i] += modelStep
			}
		}
		m.expire()
	}
}

// look is a turn of one replica's loop.
func (m *model) look(rt *rapid.T, r *modelReplica) {
	require.NoError(rt, r.live.Load().LookAtLeases(context.Background()))
	for _, a := range m.attempts {
		a.revoked = a.revoked || a.current && a.daemon.gone
	}
}

// silence is the longest for which a replica that runs has not heard of an attempt.
func (m *model) silence(a *modelAttempt) time.Duration {
	longest := time.Duration(0)
	for i, r := range m.replicas {
		if !r.stopped {
			longest = max(longest, a.quiet[i])
		}
	}
	return longest
}

func (a *modelAttempt) limit() time.Duration {
	switch {
	case !a.confirmed:
		return modelConfirm
	case !a.started:
		return modelLease
	}
	return modelHorizon
}

// unclear tells whether renewals may be on their way for an attempt that would
// else have ended or been called lost.
func (m *model) unclear() bool {
	for _, a := range m.attempts {
		if !a.current {
			continue
		}
		limits := []time.Duration{a.limit()}
		if a.started && !a.lost {
			limits = append(limits, modelLease)
		}
		for _, limit := range limits {
			if q := m.silence(a); q+a.early >= limit && q < limit+modelSlack {
				return true
			}
		}
	}
	return false
}

// expire is what silence makes of attempts.
func (m *model) expire() {
	for _, a := range m.attempts {
		if !a.current {
			continue
		}
		q := m.silence(a)
		if a.started && q >= modelLease+modelSlack && !a.lost {
			a.lost, a.everLost = true, true
			a.build.lost++
		}
		if q < a.limit()+modelSlack {
			continue
		}
		switch {
		case !a.confirmed:
			a.build.attempts--
			a.requeue(client.OutcomeUnconfirmed)
		case !a.started && a.build.attempts < 3+a.build.starts:
			a.requeue(client.OutcomeTakenBack)
		case !a.started && a.build.cancel != "":
			a.end(client.OutcomeTakenBack, client.JobCanceled)
		case !a.started:
			a.end(client.OutcomeTakenBack, client.JobFailed)
		default:
			if a.plan == nil || a.plan.Granted {
				a.build.doubts = a.unknown()
			}
			a.end(client.OutcomeTakenOver, client.JobFailed)
		}
	}
}

// heard notes a renewal, which reaches each replica.
func (m *model) heard(a *modelAttempt) {
	a.renewed, a.early, a.lost = m.clock.Now(), 0, false
	for i := range a.quiet {
		a.quiet[i] = 0
	}
}

// stop is a process that runs no more for a while, as under SIGSTOP or in a
// paused machine; what it had not written of renewals is unknown to others.
func (m *model) stop(r *modelReplica) {
	r.stopped = true
	m.forgets()
}

func (m *model) forgets() {
	if len(m.replicas) == 1 {
		return
	}
	for _, a := range m.attempts {
		if m.clock.Now().Sub(a.renewed) <= modelSlack {
			a.early = modelSlack
		}
	}
}

// resume lets a stopped process go on: of what passed meanwhile a moment counts
// as silence, which may be the one that an attempt had left.
func (m *model) resume(rt *rapid.T, r *modelReplica) {
	if !r.stopped {
		return
	}
	r.stopped = false
	m.look(rt, r)
	for i, other := range m.replicas {
		if other == r {
			for _, a := range m.attempts {
				a.quiet[i] += modelStep
			}
		}
	}
	m.advance(rt, 0)
}

// restart is a process that was killed and started again. It has heard of everybody.
func (m *model) restart(rt *rapid.T, i int) {
	m.forgets()
	m.replicas[i].start(rt, m.clock)
	for _, a := range m.attempts {
		a.quiet[i] = 0
	}
	m.look(rt, m.replicas[i])
}
