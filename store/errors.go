package store

import (
	"database/sql"
	"errors"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors of opening a store, each with a message that says what to do.
var (
	// ErrNewerDatabase: the database was migrated by a later version.
	ErrNewerDatabase = errors.New("the database is from a newer version of coder")
	// ErrLocked: another server has this data directory open.
	ErrLocked = errors.New("the data directory is in use by another server")
	// ErrDeploymentKey: the deployment key is missing or is not the one that
	// sealed this database.
	ErrDeploymentKey = errors.New("wrong deployment key")
)

// IsNotFound: the row does not exist, or is not in the organization named.
func IsNotFound(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// IsConflict: a unique name or number is taken.
func IsConflict(err error) bool {
	return sqliteCode(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) || postgresCode(err, "23505")
}

// IsReferenced: the row points to one that is gone, or is still pointed to.
func IsReferenced(err error) bool {
	return sqliteCode(err, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY) || postgresCode(err, "23503")
}

// IsFull: the disk holding the database takes no more, be it for want of room,
// for a quota or a limit, or because it is broken; nothing was written.
func IsFull(err error) bool {
	return sqliteCode(err, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE) || postgresCode(err, "53100") ||
		errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// IsBusy: others had the database, or the rows, for as long as was waited, or
// two transactions met; nothing was written, and trying again is right.
func IsBusy(err error) bool {
	return sqliteCode(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT) || postgresCode(err, "40001", "40P01")
}

func sqliteCode(err error, codes ...int) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code() == code {
			return true
		}
	}
	return false
}

func postgresCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code == code {
			return true
		}
	}
	return false
}
