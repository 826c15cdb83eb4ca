package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Time is an instant with microsecond precision, always UTC. In the database
// it is a count of microseconds since 1970, and the zero Time is NULL.
type Time struct{ time.Time }

// At cuts t to what the database keeps.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Microsecond)}
}

// Micro is the column value, for the few queries that calculate with times.
func (t Time) Micro() int64 { return t.UnixMicro() }

// Ptr is nil for the zero Time, as JSON wants it.
func (t Time) Ptr() *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t.Time
}

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = Time{}
	case int64:
		*t = Time{time.UnixMicro(v).UTC()}
	default:
		return fmt.Errorf("scan %T into store.Time: want an integer", src)
	}
	return nil
}

// Strings is a list kept as a JSON array; nil and empty are the same.
type Strings []string

// Value implements driver.Valuer.
func (s Strings) Value() (driver.Value, error) { return JSON(orEmpty([]string(s))), nil }

// Scan implements sql.Scanner.
func (s *Strings) Scan(src any) error {
	if text, ok := src.(string); ok {
		if list, ok := plainList(text); ok {
			*s = list
			return nil
		}
	}
	return scanJSON(src, (*[]string)(s))
}

// plainList reads what JSON writes for a list without escapes, as nearly all
// are: every request reads several for each organization of its caller.
func plainList(text string) ([]string, bool) {
	if text == "[]" {
		return []string{}, true
	}
	inner, begins := strings.CutPrefix(text, `["`)
	inner, ends := strings.CutSuffix(inner, `"]`)
	if !begins || !ends || strings.Contains(inner, `\`) {
		return nil, false
	}
	list := strings.Split(inner, `","`)
	return list, !slices.ContainsFunc(list, func(item string) bool { return strings.Contains(item, `"`) })
}

// StringMap is a map kept as a JSON object; nil and empty are the same.
type StringMap map[string]string

// Value implements driver.Valuer.
func (m StringMap) Value() (driver.Value, error) {
	if m == nil {
		return "{}", nil
	}
	return JSON(map[string]string(m)), nil
}

// Scan implements sql.Scanner.
func (m *StringMap) Scan(src any) error {
	if text, ok := src.(string); ok {
		if plain, ok := plainMap(text); ok {
			*m = plain
			return nil
		}
	}
	return scanJSON(src, (*map[string]string)(m))
}

// plainMap is plainList for a map: its names and values in turn.
func plainMap(text string) (map[string]string, bool) {
	if text == "{}" {
		return map[string]string{}, true
	}
	inner, begins := strings.CutPrefix(text, `{"`)
	inner, ends := strings.CutSuffix(inner, `"}`)
	if !begins || !ends || strings.Contains(inner, `\`) {
		return nil, false
	}
	pairs := strings.Split(inner, `","`)
	m := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, `":"`)
		if !ok || strings.Contains(name, `"`) || strings.Contains(value, `"`) {
			return nil, false
		}
		m[name] = value
	}
	return m, true
}

// JSON encodes a value for a column that is only read as a whole. The types
// it is used with always encode.
func JSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: encode %T: %v", v, err))
	}
	return string(b)
}

// IDs encodes ids as the list parameter of a query (json_list).
func IDs(ids []uuid.UUID) string { return JSON(orEmpty(ids)) }

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func scanJSON(src, into any) error {
	var text []byte
	switch v := src.(type) {
	case string:
		text = []byte(v)
	case []byte:
		text = v
	default:
		return fmt.Errorf("scan %T into %T: want text", src, into)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("decode column into %T: %w", into, err)
	}
	return nil
}

// Attempt is an attempt at a job as far as its calls need it.
type Attempt = GetAttemptOfCallRow
