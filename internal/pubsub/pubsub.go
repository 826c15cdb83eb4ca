// Package pubsub wakes whoever waits for a topic. A wake-up carries nothing:
// the waiter looks at the database again, so one that is lost or doubled
// costs a look and nothing else.
package pubsub

import "sync"

// Bus is a set of topics. The zero value is not usable; call New.
type Bus struct {
	mu      sync.Mutex
	waiters map[string]map[chan struct{}]struct{}
	forward func(topic string)
}

// New makes an empty bus.
func New() *Bus { return &Bus{waiters: map[string]map[chan struct{}]struct{}{}} }

// Subscribe returns a channel that holds at most one wake-up, and a function
// that ends the subscription. Subscribe first, then look, then wait.
func (b *Bus) Subscribe(topic string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiters[topic] == nil {
		b.waiters[topic] = map[chan struct{}]struct{}{}
	}
	b.waiters[topic][c] = struct{}{}
	return c, func() { b.unsubscribe(topic, c) }
}

func (b *Bus) unsubscribe(topic string, c chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiters[topic], c)
	if len(b.waiters[topic]) == 0 {
		delete(b.waiters, topic)
	}
}

// Forward makes every Publish also go to other replicas.
func (b *Bus) Forward(fn func(topic string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forward = fn
}

// Publish wakes all who wait for the topic, here and on other replicas.
func (b *Bus) Publish(topic string) {
	b.Wake(topic)
	b.mu.Lock()
	forward := b.forward
	b.mu.Unlock()
	if forward != nil {
		forward(topic)
	}
}

// Wake wakes all who wait for the topic on this replica.
func (b *Bus) Wake(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.waiters[topic] {
		select {
		case c <- struct{}{}:
		default: // a wake-up is waiting already
		}
	}
}
