package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Bounds of what shares a commit, so that the first of it does not wait long.
const (
	groupMembers = 64
	groupAge     = 10 * time.Millisecond
	groupYields  = 3
)

// errHalfWay: a panic, or a test that has ended.
var errHalfWay = errors.New("transaction was left half-way")

// errGroupLost: what a transaction shared its commit with took it down. It is
// run again by itself.
var errGroupLost = errors.New("the shared commit was lost")

// line is where transactions of SQLite wait for its one writer. Those that
// wait when another has done its part go on in the same database transaction,
// each behind a savepoint, and share its commit and the disk's sync: none is
// told that it is done before that. So a busy server's pace is not that of its disk.
type line struct {
	mu      sync.Mutex
	busy    bool
	waiting []chan *group // gets the group to join, or nil to begin one
}

// group is one database transaction and those who share it.
type group struct {
	transaction
	begun   time.Time
	members int
	// lost is what took all of it down.
	lost error
	done chan struct{}
}

// run has fn done in a transaction of its own or in a shared one, and returns
// when that is committed. With alone nobody shares it.
func (l *line) run(ctx context.Context, fn func(tx DBTX) error, p *pools, alone bool) error {
	g, err := l.turn(ctx)
	if err != nil {
		return err
	}
	if g != nil && alone {
		g.commit()
		g = nil
	}
	if g == nil {
		if g, err = begin(p); err != nil {
			l.next()
			return err
		}
	}
	err = l.member(ctx, g, fn, alone)
	<-g.done
	switch {
	case err != nil:
		return err
	case g.lost != nil && g.members > 1:
		return errGroupLost
	case g.lost != nil:
		return fmt.Errorf("commit transaction: %w", g.lost)
	}
	return nil
}

// member has fn done as a part of the group, takes back what it did if it
// fails, and lets the next one go on in any case.
func (l *line) member(ctx context.Context, g *group, fn func(tx DBTX) error, alone bool) error {
	err := errHalfWay
	defer func() {
		if err != nil {
			g.undo()
		}
		l.leave(g, alone)
	}()
	if err = g.enter(); err == nil {
		err = errHalfWay
		err = g.call(ctx, fn)
	}
	return err
}

func (g *group) call(ctx context.Context, fn func(tx DBTX) error) error {
	part := &transaction{pools: g.pools, tx: g.tx}
	err := fn(part)
	g.fresh = append(g.fresh, part.fresh...)
	switch {
	case err != nil:
		return err
	case part.err != nil:
		return fmt.Errorf("transaction went on after a failed statement: %w", part.err)
	case ctx.Err() != nil:
		return fmt.Errorf("commit transaction: %w", errors.Join(ctx.Err(), context.Cause(ctx)))
	}
	return g.exit()
}

// turn waits until it is this caller's turn, with the group to join if there is one.
func (l *line) turn(ctx context.Context) (*group, error) {
	l.mu.Lock()
	if !l.busy {
		l.busy = true
		l.mu.Unlock()
		return nil, nil
	}
	mine := make(chan *group, 1)
	l.waiting = append(l.waiting, mine)
	l.mu.Unlock()
	select {
	case g := <-mine:
		return g, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	at := slices.Index(l.waiting, mine)
	if at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
	}
	l.mu.Unlock()
	if at < 0 {
		return <-mine, nil // the turn has come, and call sees that nobody wants it any more
	}
	return nil, fmt.Errorf("begin transaction: %w", errors.Join(ctx.Err(), context.Cause(ctx)))
}

// leave gives the turn to the next one: in the same group while it is small
// and young, else after its commit. Before that it lets run whoever can, for
// they may come to wait, and what joins costs no commit of its own. On a busy
// server a third of the commits is left, and an idle one loses no time.
func (l *line) leave(g *group, alone bool) {
	for range groupYields {
		if alone || g.tx == nil || g.members == groupMembers || time.Since(g.begun) > groupAge {
			break
		}
		if l.pass(g) {
			return
		}
		runtime.Gosched()
	}
	g.commit()
	l.next()
}

// pass gives the turn to the next one who waits, if there is one.
func (l *line) pass(g *group) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return false
	}
	l.waiting[0] <- g
	l.waiting = l.waiting[1:]
	return true
}

// next lets the next one begin a group.
func (l *line) next() {
	if l.pass(nil) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
}

func begin(p *pools) (*group, error) {
	tx, err := p.writer.BeginTx(context.Background(), nil)
	if err != nil {
		return nil, fmt.Errorf("begin transaction: %w", err)
	}
	return &group{transaction: transaction{pools: p, tx: tx}, begun: time.Now(), done: make(chan struct{})}, nil
}

// enter marks what a member takes back if it fails; of the first one that is
// the whole transaction.
func (g *group) enter() error {
	if g.members++; g.members == 1 {
		return nil
	}
	return g.exec("SAVEPOINT member")
}

func (g *group) exit() error {
	if g.members == 1 {
		return nil
	}
	return g.exec("RELEASE member")
}

// undo takes back what the last member did. Where that fails, because SQLite
// has given up all of it, everybody has lost theirs.
func (g *group) undo() {
	if g.members > 1 {
		err := g.exec("ROLLBACK TO member")
		if err == nil {
			err = g.exec("RELEASE member")
		}
		if err == nil {
			return
		}
		g.lost = err
	}
	_ = g.tx.Rollback() // nothing stands without a commit
	g.tx = nil
}

// commit ends the group and tells its members.
func (g *group) commit() {
	if g.tx != nil {
		g.lost = g.tx.Commit()
		g.tx = nil
	}
	close(g.done)
	g.prepareFresh(context.Background())
}

func (g *group) exec(statement string) error {
	_, err := g.ExecContext(context.Background(), statement)
	return err
}
