package store_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// column is what both databases tell of one. Default is without PostgreSQL's
// casts.
type column struct {
	Type    string
	NotNull bool
	Default string
}

// sqliteType maps PostgreSQL's types to what the same column is on SQLite.
var sqliteType = map[string]string{"text": "TEXT", "bigint": "INTEGER", "boolean": "INTEGER", "bytea": "BLOB"}

func TestBothMigrationsMakeTheSameTables(t *testing.T) {
	schemas := map[store.Dialect]map[string]column{}
	keys := map[store.Dialect]map[string]string{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if s.Dialect() == store.SQLite {
			schemas[s.Dialect()], keys[s.Dialect()] = sqliteColumns(t, s.Raw()), sqliteKeys(t, s.Raw())
			return
		}
		schemas[s.Dialect()], keys[s.Dialect()] = postgresColumns(t, s.Raw()), postgresKeys(t, s.Raw())
	})
	require.Greater(t, len(schemas[store.SQLite]), 200)
	if schemas[store.PostgreSQL] != nil {
		require.Equal(t, schemas[store.PostgreSQL], schemas[store.SQLite], "columns: PostgreSQL's, then SQLite's")
		require.Equal(t, keys[store.PostgreSQL], keys[store.SQLite], "keys and indexes: PostgreSQL's, then SQLite's")
	}
}

func TestSQLiteTablesAreStrict(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	loose := texts(t, s.Raw(), `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0
		AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	require.Empty(t, loose, "write STRICT after these tables")
}

// A database of PostgreSQL may sort in any language. Names, pages and
// "the same name" must not depend on it.
func TestPostgreSQLComparesTextByBytes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if s.Dialect() != store.PostgreSQL {
			return
		}
		loose := texts(t, s.Raw(), `SELECT table_name || '.' || column_name FROM information_schema.columns
			WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`)
		require.Empty(t, loose, `write TEXT COLLATE "C" for these columns`)
	})
}

func texts(t *testing.T, db *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		list = append(list, text)
	}
	require.NoError(t, rows.Err())
	return list
}

func sqliteColumns(t *testing.T, db *sql.DB) map[string]column {
	return columns(t, db, `SELECT m.name || '.' || c.name, c.type, c."notnull" OR c.pk > 0, COALESCE(c.dflt_value, '')
		FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%'`)
}

func postgresColumns(t *testing.T, db *sql.DB) map[string]column {
	found := columns(t, db, `SELECT table_name || '.' || column_name, data_type, is_nullable = 'NO', COALESCE(column_default, '')
		FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
		WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'goose_%'`)
	for name, c := range found {
		require.Contains(t, sqliteType, c.Type, name)
		c.Type = sqliteType[c.Type]
		c.Default, _, _ = strings.Cut(c.Default, "::")
		c.Default = strings.Trim(c.Default, "()")
		found[name] = c
	}
	return found
}

func columns(t *testing.T, db *sql.DB, query string) map[string]column {
	t.Helper()
	found := map[string]column{}
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var c column
		require.NoError(t, rows.Scan(&name, &c.Type, &c.NotNull, &c.Default))
		c.Default = strings.ToLower(c.Default)
		found[name] = c
	}
	require.NoError(t, rows.Err())
	return found
}

// sqliteKeys gives every index and foreign key, by name or by column, in the
// words of its definition.
func sqliteKeys(t *testing.T, db *sql.DB) map[string]string {
	return pairs(t, db, `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL
		UNION ALL SELECT m.name || ' primary', (SELECT group_concat(name, ', ') FROM (SELECT c.name FROM pragma_table_info(m.name) c WHERE c.pk > 0 ORDER BY c.pk))
		FROM sqlite_master m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%'
		UNION ALL SELECT m.name || '.' || f."from", f."table" || '.' || f."to" || ' ' || f.on_delete
		FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`)
}

func postgresKeys(t *testing.T, db *sql.DB) map[string]string {
	return pairs(t, db, `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT LIKE '%_pkey' AND tablename NOT LIKE 'goose_%'
		UNION ALL SELECT c.conrelid::regclass || ' primary', (SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k(num, n)
			JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num)
		FROM pg_constraint c WHERE c.contype = 'p' AND c.connamespace = current_schema()::regnamespace AND c.conrelid::regclass::text NOT LIKE 'goose_%'
		UNION ALL SELECT c.conrelid::regclass || '.' || a.attname, c.confrelid::regclass || '.' || r.attname || CASE c.confdeltype WHEN 'c' THEN ' CASCADE' ELSE ' NO ACTION' END
		FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] JOIN pg_attribute r ON r.attrelid = c.confrelid AND r.attnum = c.confkey[1]
		WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace`)
}

func pairs(t *testing.T, db *sql.DB, query string) map[string]string {
	t.Helper()
	// PostgreSQL writes definitions in its own words.
	plain := strings.NewReplacer("USING btree ", "", "public.", "", `"`, "", "(", " ", ")", " ", "::text", "")
	found := map[string]string{}
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name, definition string
		require.NoError(t, rows.Scan(&name, &definition))
		found[strings.Trim(name, `"`)] = strings.ToLower(strings.Join(strings.Fields(plain.Replace(definition)), " "))
	}
	require.NoError(t, rows.Err())
	return found
}
