package server

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// queueKept is how long a queue that was read serves other requests.
const queueKept = 250 * time.Millisecond

// queues keeps the organizations' queues for a moment.
type queues struct {
	mu     sync.Mutex
	queues map[uuid.UUID]keptQueue
}

type keptQueue struct {
	queue *queue
	until time.Time
}

func newQueues() *queues { return &queues{queues: map[uuid.UUID]keptQueue{}} }

func (q *queues) get(organizationID uuid.UUID) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.queues[organizationID]
	if time.Now().After(kept.until) {
		return nil
	}
	return kept.queue
}

func (q *queues) put(organizationID uuid.UUID, read *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queues[organizationID] = keptQueue{read, time.Now().Add(queueKept)}
}

func (q *queues) forget(organizationID uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.queues, organizationID)
}
