package server

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// idleKept is how long an answer serves all daemons that ask the same.
const idleKept = time.Second

// idle answers what waiting daemons ask every few seconds, thousands of them
// with one key: is the key still good, and does anything wait? What it says is
// asked again, exactly, in the transaction that hands a job out.
type idle struct {
	keys    shared[string, error]
	pending shared[uuid.UUID, bool]

	mu sync.Mutex
	// begun is what the beats are counted from; next are those that are waited for.
	begun time.Time
	next  [beats]chan struct{}
}

// beats is how many times in askAgain waiting daemons look, each of them once.
// To wake a process costs more than what all of them ask then: those of one
// beat look together, and not so many that others would have to wait.
const beats = 8

func newIdle() *idle {
	return &idle{keys: newShared[string, error](), pending: newShared[uuid.UUID, bool](), begun: time.Now()}
}

// beat is closed when the daemon is to look again: at the latest after askAgain.
func (i *idle) beat(daemon uuid.UUID) <-chan struct{} {
	n := daemon[len(daemon)-1] % beats
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.next[n] == nil {
		beat := make(chan struct{})
		i.next[n] = beat
		late := (time.Since(i.begun) + time.Duration(n)*askAgain/beats) % askAgain
		time.AfterFunc(askAgain-late, func() {
			i.mu.Lock()
			i.next[n] = nil
			i.mu.Unlock()
			close(beat)
		})
	}
	return i.next[n]
}

// look tells a waiting daemon whether a job may be there for it. The error
// ends its poll: it may not wait any longer.
func (i *idle) look(ctx context.Context, a *api, d store.ProvisionerDaemon) (bool, error) {
	cred := requestFrom(ctx).daemon
	if cred.key == nil {
		return true, a.daemonAgain(ctx, d.ID)
	}
	refused, err := i.keys.get(string(cred.secret)+requestFrom(ctx).ip, func() (error, error) {
		_, err := a.keyCredential(ctx, cred.secret)
		if err != nil && client.StatusCode(err) == 0 {
			return nil, err // trouble of the server is no answer
		}
		return err, nil
	})
	if err != nil || refused != nil {
		return false, firstError(err, refused)
	}
	return i.pending.get(d.OrganizationID, func() (bool, error) {
		pending, err := a.store.CountPendingJobs(ctx, d.OrganizationID)
		return pending > 0, err
	})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// shared keeps answers for a moment; an error is not an answer.
type shared[K comparable, V any] struct {
	mu      *sync.Mutex
	answers map[K]sharedAnswer[V]
}

type sharedAnswer[V any] struct {
	value V
	until time.Time
}

func newShared[K comparable, V any]() shared[K, V] {
	return shared[K, V]{&sync.Mutex{}, map[K]sharedAnswer[V]{}}
}

func (s shared[K, V]) get(key K, ask func() (V, error)) (V, error) {
	s.mu.Lock()
	known, ok := s.answers[key]
	s.mu.Unlock()
	if ok && time.Now().Before(known.until) {
		return known.value, nil
	}
	value, err := ask()
	if err != nil {
		return value, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetOld()
	s.answers[key] = sharedAnswer[V]{value, time.Now().Add(idleKept)}
	return value, nil
}

// forget makes the next question be asked.
func (s shared[K, V]) forget(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.answers, key)
}

// forgetOld keeps what nobody asks any more from piling up.
func (s shared[K, V]) forgetOld() {
	if len(s.answers) < 1024 {
		return
	}
	now := time.Now()
	for key, answer := range s.answers {
		if now.After(answer.until) {
			delete(s.answers, key)
		}
	}
}
