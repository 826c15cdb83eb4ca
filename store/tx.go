package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A transaction is run again when another one gets in its way, after a pause
// that doubles up to txMaxPause, so that many meeting at one row all pass.
const (
	txTries    = 100
	txPause    = time.Millisecond
	txMaxPause = 50 * time.Millisecond
)

// InTx runs fn in one transaction: all of it happens, or none, and as if no
// other transaction ran at the same time, on either database. fn may run
// again when two transactions meet, so it must change nothing but the store
// it is given, and it must use no other store: SQLite has one writer, and fn
// holds it. After a failed statement nothing more can be done in a
// transaction; fn returns that error. A transaction inside a transaction is
// the same one.
func (s *Store) InTx(ctx context.Context, fn func(tx *Store) error) error {
	if s.tx {
		return fn(s)
	}
	var err error
	pause, alone := txPause, false
	for range txTries {
		err = s.runTx(ctx, fn, alone)
		if errors.Is(err, errGroupLost) {
			alone = true
			continue
		}
		if err == nil || !IsBusy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(rand.N(pause)):
		}
		pause = min(2*pause, txMaxPause)
	}
	return fmt.Errorf("transaction met others %d times: %w", txTries, err)
}

func (s *Store) runTx(ctx context.Context, fn func(tx *Store) error, alone bool) (err error) {
	var changed []changedJob
	defer func() { s.pools.pending.note(changed) }() // also where nobody knows whether it was committed
	if s.dialect == SQLite {
		return s.pools.line.run(ctx, func(tx DBTX) error { return fn(s.inside(tx, &changed)) }, s.pools, alone)
	}
	sqlTx, err := s.pools.writer.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	done := false
	defer func() {
		if done {
			return
		}
		if rollback := sqlTx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	if err := fn(s.inside(sqlTx, &changed)); err != nil {
		return err
	}
	done = true
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

// inside is the store in a transaction, which collects what changed.
func (s *Store) inside(tx DBTX, changed *[]changedJob) *Store {
	db := portable{tx, s.texts}
	return &Store{Queries: New(db), db: db, texts: s.texts, pools: s.pools, dialect: s.dialect, keys: s.keys, tx: true, changed: changed}
}
