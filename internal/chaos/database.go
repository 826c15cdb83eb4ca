package chaos

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the drivers that the server uses
	_ "modernc.org/sqlite"
)

// keptSalvage reads the hashes of the states that the server keeps as salvage
// of a workspace.
func (d *deployment) keptSalvage(ctx context.Context, workspace uuid.UUID) (hashes []string, err error) {
	driver, source, query := "sqlite", "file:"+filepath.Join(d.dir, "data", "coder.db")+"?mode=ro&_pragma=busy_timeout(10000)", "?"
	if d.opts.PostgresURL != "" {
		driver, source, query = "pgx", d.opts.PostgresURL, "$1"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("read which states are kept: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, "SELECT sha256 FROM workspace_states WHERE salvage AND workspace_id = "+query, workspace.String())
	if err != nil {
		return nil, fmt.Errorf("read which states are kept: %w", err)
	}
	defer rows.Close() //nolint:errcheck // it was only read
	for rows.Next() {
		var hash string
		if err := rows.Scan(&hash); err != nil {
			return nil, fmt.Errorf("read which states are kept: %w", err)
		}
		hashes = append(hashes, hash)
	}
	return hashes, rows.Err()
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
