package store_test

import (
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
)

// call is one set of arguments; arg is invalid for queries without any.
type call struct {
	name string
	arg  reflect.Value
}

// cases gives the arguments of every row, and then, one at a time, arguments
// that try the limits of each parameter.
func (w *world) cases(t *testing.T, q query, m reflect.Method) []call {
	t.Helper()
	if m.Type.NumIn() == 2 {
		return []call{{name: "nothing"}}
	}
	kind := m.Type.In(2)
	var list []call
	for k := range seedRows {
		list = append(list, call{fmt.Sprint("row ", k), w.build(t, q, kind, k, nil)})
		list = append(list, call{fmt.Sprint("row ", k, " later"), w.build(t, q, kind, k, later)})
	}
	if q.isInsert() {
		list = append(list, call{"a new row", w.build(t, q, kind, 0, fresh)})
	}
	for _, p := range q.params {
		for i, value := range limits(p, fieldType(kind, q, p)) {
			change := func(name string, v any) any {
				if name == p {
					return value
				}
				if q.isInsert() {
					return fresh(name, v)
				}
				return v
			}
			list = append(list, call{fmt.Sprintf("row 0 and %s at its limit %d (%.100v)", p, i, value), w.build(t, q, kind, 0, change)})
		}
	}
	return list
}

// build makes the argument of type kind, from row k and then changed.
func (w *world) build(t *testing.T, q query, kind reflect.Type, k int, change func(name string, v any) any) reflect.Value {
	t.Helper()
	arg := reflect.New(kind).Elem()
	for _, p := range q.params {
		field := arg
		if isParams(kind, q) {
			field = arg.FieldByNameFunc(isFieldOf(p))
			require.True(t, field.IsValid(), "%s has no field for @%s", kind, p)
		}
		v := w.value(t, q, p, k)
		if change != nil {
			v = change(p, v)
		}
		set(t, field, v)
	}
	return arg
}

func isParams(kind reflect.Type, q query) bool { return kind.Name() == q.name+"Params" }

func isFieldOf(p string) func(string) bool {
	return func(field string) bool { return strings.EqualFold(field, strings.ReplaceAll(p, "_", "")) }
}

func fieldType(kind reflect.Type, q query, p string) reflect.Type {
	if isParams(kind, q) {
		field, _ := kind.FieldByNameFunc(isFieldOf(p))
		return field.Type
	}
	return kind
}

// set stores what a column would hold in a Go value, as reading it would.
func set(t *testing.T, field reflect.Value, v any) {
	t.Helper()
	switch target := field.Addr().Interface().(type) {
	case sql.Scanner:
		if id, ok := target.(*uuid.UUID); ok && v == nil {
			*id = uuid.Nil
			return
		}
		require.NoError(t, target.Scan(v))
	case **uuid.UUID:
		if v != nil {
			id := uuid.MustParse(v.(string))
			*target = &id
		}
	case **int64:
		if v != nil {
			n := v.(int64)
			*target = &n
		}
	default:
		if v != nil {
			field.Set(reflect.ValueOf(v).Convert(field.Type()))
		}
	}
}

// value is what row k has for a parameter: its own column, one of another
// table, or what is listed for parameters that are no column.
func (w *world) value(t *testing.T, q query, p string, k int) any {
	t.Helper()
	if special, ok := specials[p]; ok {
		return special(w, q, k)
	}
	if v, ok := w.rows[q.table()][k][p]; ok {
		return v
	}
	for _, table := range w.order {
		if v, ok := w.rows[table][k][p]; ok {
			return v
		}
	}
	require.Fail(t, "no value for @"+p+" of "+q.name+": add it to the specials of this test")
	return nil
}

// specials are parameters that are no column.
var specials = map[string]func(w *world, q query, k int) any{
	"role": func(_ *world, _ query, k int) any { return [2]string{"owner", "organization-admin"}[k%2] },
	"organization_ids": func(_ *world, _ query, k int) any {
		return store.JSON([]string{seedID("organizations", k%organizations), seedID("organizations", (k+1)%organizations)})
	},
	"ids":           func(w *world, q query, k int) any { return w.list(q.table(), k) },
	"user_ids":      func(w *world, _ query, k int) any { return w.list("users", k) },
	"initiator_ids": func(w *world, _ query, k int) any { return w.list("users", k) },
	"actor_ids":     func(w *world, _ query, k int) any { return w.list("users", k) },
	"workspace_ids": func(w *world, _ query, k int) any { return w.list("workspaces", k) },
	"job_ids":       func(w *world, _ query, k int) any { return w.list("provisioner_jobs", k) },
	"statuses": func(_ *world, _ query, k int) any {
		return [2]string{`[]`, `["running","canceling","pending"]`}[k%2]
	},
	"initiator":       func(_ *world, _ query, k int) any { return [2]string{"", seedID("users", k)}[k%2] },
	"owner":           ownerText,
	"seen":            func(w *world, _ query, k int) any { return w.rows["workspaces"][k]["refusal"] },
	"after_id":        func(_ *world, q query, k int) any { return [2]string{"", seedID(q.table(), k)}[k%2] },
	"before_id":       func(_ *world, _ query, k int) any { return seedID("template_versions", k) },
	"now_at":          func(_ *world, _ query, k int) any { return int64(seedBase + k*seedStep) },
	"since_at":        func(_ *world, _ query, k int) any { return int64(seedBase - 10*k*seedStep) },
	"include_expired": isOdd, "include_archived": isOdd, "overflowed": isOdd, "scheduled": isOdd,
	// What a row is known to hold when it is written.
	"known_intents": func(w *world, _ query, k int) any { return w.rows["job_attempts"][k]["intents"] },
	"before":        func(w *world, _ query, k int) any { return w.rows["organization_histories"][k]["number"] },
	"bytes_before":  func(w *world, _ query, k int) any { return w.rows["provisioner_jobs"][k]["log_bytes"] },
	"quiet_hours":   func(w *world, _ query, k int) any { return w.rows["user_settings"][k]["name"] },
	"reports_since": constant(0),
	"every":         func(*world, query, int) any { return true },
	"keep":          constant(1),
	// Salvage that a row's own time of merging is still to come for.
	"merged_at":       constant(seedBase),
	"base_fence":      constant(0),
	"protected_fence": constant(math.MaxInt64),
	"rows":            constant(3),
	"bytes":           constant(100),
	"after":           constant(0),
	"max_rows":        constant(2),
	"skip_rows":       func(_ *world, _ query, k int) any { return int64(k / 2) },
	"next_offset":     constant(1000),
	"autodelete":      constant(60_000_000),
	"log_id":          constant(77),
	"before_number":   constant(100),
	"viewer_id":       func(_ *world, _ query, k int) any { return seedID("users", k) },
	"sealed_with":     func(*world, query, int) any { return []byte("other") },
	"far_at":          func(_ *world, _ query, k int) any { return int64(seedBase + 100*seedStep) },
}

func constant(n int64) func(*world, query, int) any {
	return func(*world, query, int) any { return n }
}

func isOdd(_ *world, _ query, k int) any { return k%2 == 1 }

// ownerText is a filter of tokens and a column of daemons.
func ownerText(w *world, q query, k int) any {
	if v, ok := w.rows[q.table()][k]["owner"]; ok {
		return v
	}
	return [2]string{"", seedID("users", k)}[k%2]
}

// list is the ids of two rows and of none.
func (w *world) list(table string, k int) any {
	rows := w.rows[table]
	return store.JSON([]any{rows[k]["id"], rows[(k+1)%seedRows]["id"], uuid.Nil})
}

// later makes an update of a row change it.
func later(name string, v any) any {
	switch name {
	case "updated_at", "confirmed_at", "completed_at", "ended_at", "engine_started_at", "lost_at":
		return int64(seedBase + 10*seedStep)
	case "latest_build_number":
		return v.(int64) + 1
	}
	return v
}

// fresh turns the values of a row into those of one that is not there yet.
func fresh(name string, v any) any {
	switch name {
	case "id":
		if _, err := uuid.Parse(fmt.Sprint(v)); err != nil {
			return "fresh"
		}
		return seedID("fresh", 0)
	case "name", "username", "email", "hash", "token_name":
		return fmt.Sprint("Fresh-", v)
	case "hashed_secret":
		return []byte("fresh")
	case "request_id":
		return seedID("requests", seedRows)
	case "job_id":
		return seedID("provisioner_jobs", seedRows)
	case "build_number", "n":
		return v.(int64) + 100
	case "is_default":
		return false
	case "user_id":
		return seedID("users", 1)
	}
	return v
}

// The first and the last microsecond that JSON can name.
const (
	yearOne  = -62_135_596_800_000_000
	year9999 = 253_402_300_799_999_999
)

// limits are values that the two databases may take differently. Pages are
// never negative.
func limits(p string, kind reflect.Type) []any {
	switch kind {
	case reflect.TypeFor[uuid.UUID]():
		return []any{seedID("unknown", 0), nil}
	case reflect.TypeFor[*uuid.UUID]():
		return []any{nil, seedID("unknown", 0)}
	case reflect.TypeFor[int64](), reflect.TypeFor[*int64]():
		if p == "max_rows" || p == "skip_rows" || p == "keep" {
			return []any{int64(0), int64(math.MaxInt64)}
		}
		return []any{int64(0), int64(-1), int64(math.MaxInt64), int64(math.MinInt64)}
	case reflect.TypeFor[int32]():
		return []any{int64(0), int64(math.MaxInt32)}
	case reflect.TypeFor[store.Time]():
		return []any{nil, int64(0), int64(-1), int64(seedBase + 1), int64(yearOne), int64(year9999)}
	case reflect.TypeFor[bool]():
		return []any{false, true}
	case reflect.TypeFor[[]byte]():
		return []any{nil, []byte{}, []byte{0}, []byte(strings.Repeat("\xff\x00", 5000))}
	case reflect.TypeFor[store.Strings]():
		return []any{`[]`, `["Ünï","\u0000"]`}
	case reflect.TypeFor[store.StringMap]():
		return []any{`{}`, `{"Ünï":"\u0000"}`}
	}
	return textLimits(p)
}

func textLimits(p string) []any {
	if p == "ids" || p == "statuses" || strings.HasSuffix(p, "_ids") {
		return []any{`[]`, `[""]`, `["ünï 日本","a'b","running"]`}
	}
	return []any{"", "ALPHA", "alpha", "delta-ıı", "DELTA-İI", "ÜMLÄUT-ñ-日本", "'; --", "a\x00b", "a\xffb", strings.Repeat("long ", 2000)}
}
