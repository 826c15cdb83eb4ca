package store

import (
	"context"
	"errors"
	"fmt"
)

// txTries is how often a transaction is run when another one gets in its way.
const txTries = 5

// InTx runs fn in one transaction: all of it happens, or none. fn may run
// again when two transactions meet, so it must change nothing but the store
// it is given. A transaction inside a transaction is the same one.
func (s *Store) InTx(ctx context.Context, fn func(tx *Store) error) error {
	if s.tx {
		return fn(s)
	}
	var err error
	for range txTries {
		if err = s.runTx(ctx, fn); err == nil || !isSerialization(err) {
			return err
		}
	}
	return fmt.Errorf("transaction met others %d times: %w", txTries, err)
}

func (s *Store) runTx(ctx context.Context, fn func(tx *Store) error) (err error) {
	sqlTx, err := s.pools.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	done := false
	defer func() {
		if !done {
			err = errors.Join(err, sqlTx.Rollback())
		}
	}()
	db := &transaction{pools: s.pools, tx: sqlTx}
	inner := &Store{Queries: New(db), db: db, pools: s.pools, dialect: s.dialect, keys: s.keys, tx: true}
	if err := fn(inner); err != nil {
		return err
	}
	done = true
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}
