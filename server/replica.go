package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"coder/store"
)

// replicaChannel carries wake-ups between the replicas of a PostgreSQL deployment.
const replicaChannel = "coder_wake"

// relay passes wake-ups to and from other replicas. On SQLite there are none.
func (a *api) relay(ctx context.Context) error {
	if a.store.Dialect() != store.PostgreSQL {
		return nil
	}
	outgoing := make(chan string, 1024)
	a.bus.Forward(func(topic string) {
		select {
		case outgoing <- topic:
		default: // a flood; the others' own polls find what happened
		}
	})
	go a.supervise(ctx, "replica wake-ups", a.listenReplicas)
	for {
		select {
		case <-ctx.Done():
			return nil
		case topic := <-outgoing:
			if err := a.store.Notify(ctx, replicaChannel, a.replica+" "+topic); err != nil && ctx.Err() == nil {
				a.logger.WarnContext(ctx, "wake-up not sent to other replicas", "error", err)
			}
		}
	}
}

// listenReplicas wakes here what was published elsewhere.
func (a *api) listenReplicas(ctx context.Context) error {
	return a.store.PostgresConn(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "LISTEN "+replicaChannel); err != nil {
			return fmt.Errorf("listen for wake-ups: %w", err)
		}
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return fmt.Errorf("wait for wake-ups: %w", err)
			}
			replica, topic, _ := strings.Cut(n.Payload, " ")
			if replica == a.replica {
				continue
			}
			a.bus.Wake(topic)
			if id, err := uuid.Parse(strings.TrimPrefix(topic, postedTopic)); err == nil && strings.HasPrefix(topic, postedTopic) {
				a.dispatch.wakeAll(id)
			}
		}
	})
}
