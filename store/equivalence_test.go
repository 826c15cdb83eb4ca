package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// Every query runs on SQLite and on PostgreSQL over the same rows, with
// arguments that hit each row and arguments that try its limits, and must
// answer and leave behind the same.
func TestEveryQueryDoesTheSameOnBothDatabases(t *testing.T) {
	w := newWorld(t)
	stores := storetest.Both(t)
	for _, s := range stores {
		// Sealed with a nonce, so it differs.
		_, err := s.Raw().ExecContext(t.Context(), "DELETE FROM settings")
		require.NoError(t, err)
		w.insert(t, s)
	}
	methods := reflect.TypeFor[*store.Queries]()
	all := readQueries(t)
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		if m.Name == "WithTx" {
			continue
		}
		require.Contains(t, all, m.Name)
		t.Run(m.Name, func(t *testing.T) { w.compare(t, stores, all[m.Name], m) })
	}
}

// outcome is what a call answered and left in the query's table.
type outcome struct {
	Answer any
	Error  string
	Table  []string
}

func (w *world) compare(t *testing.T, stores []*store.Store, q query, m reflect.Method) {
	proved := false
	for _, c := range w.cases(t, q, m) {
		var got []outcome
		for _, s := range stores {
			got = append(got, w.run(t, s, q, m.Name, c))
		}
		for _, other := range got[1:] {
			require.Equal(t, got[0], other, "%s with %s: SQLite, then PostgreSQL", m.Name, c.name)
		}
		proved = proved || w.proves(q, got[0])
	}
	require.True(t, proved, "no arguments make this query find or change a row: bend the seed until some do")
}

// proves: the call found or changed something.
func (w *world) proves(q query, o outcome) bool {
	if o.Error != "" {
		return false
	}
	if !q.isRead() {
		return !slices.Equal(o.Table, w.dump(q.table()))
	}
	v := reflect.ValueOf(o.Answer)
	return v.Kind() != reflect.Slice || v.Len() > 0
}

var errUndo = errors.New("undo")

// run calls the query in a transaction that is rolled back.
func (w *world) run(t *testing.T, s *store.Store, q query, name string, c call) (o outcome) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx *store.Store) error {
		in := []reflect.Value{reflect.ValueOf(t.Context())}
		if c.arg.IsValid() {
			in = append(in, c.arg)
		}
		out := reflect.ValueOf(tx.Queries).MethodByName(name).Call(in)
		err, _ := out[len(out)-1].Interface().(error)
		if err != nil {
			o.Error = kindOf(err)
			return errUndo
		}
		if len(out) == 2 {
			o.Answer = sortable(q, out[0].Interface())
		}
		if !q.isRead() {
			o.Table = w.read(t, tx, q.table())
		}
		return errUndo
	})
	require.ErrorIs(t, err, errUndo, "%s with %s", name, c.name)
	return o
}

func kindOf(err error) string {
	for kind, is := range kinds(err) {
		if is {
			return kind
		}
	}
	return "error"
}

// sortable sorts what the query leaves unsorted. An empty BLOB is a nil slice
// with one driver and an empty one with the other.
func sortable(q query, answer any) any {
	v := reflect.New(reflect.TypeOf(answer)).Elem()
	v.Set(reflect.ValueOf(answer))
	fillBytes(v)
	if v.Kind() != reflect.Slice || strings.Contains(q.text, "ORDER BY") {
		return v.Interface()
	}
	list := make([]string, v.Len())
	for i := range list {
		list[i] = textOf(v.Index(i))
	}
	slices.Sort(list)
	return list
}

// textOf is %+v with what pointers point to.
func textOf(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		return "&" + textOf(v.Elem())
	case v.Kind() == reflect.Struct && v.Type().PkgPath() == "coder/store" && v.Type() != reflect.TypeFor[store.Time]():
		var b strings.Builder
		for i := range v.NumField() {
			fmt.Fprintf(&b, "%s:%s ", v.Type().Field(i).Name, textOf(v.Field(i)))
		}
		return b.String()
	}
	return fmt.Sprintf("%+v", v.Interface())
}

func fillBytes(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[[]byte]():
		if v.IsNil() {
			v.SetBytes([]byte{})
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			fillBytes(v.Index(i))
		}
	case v.Kind() == reflect.Struct && v.Type().PkgPath() == "coder/store":
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fillBytes(v.Field(i))
			}
		}
	}
}

var (
	// subselects are what is left out to find the main table: those with calls
	// in them, or, where that leaves none, the beginnings only.
	subselects = []*regexp.Regexp{regexp.MustCompile(`\(SELECT (?:[^()]|\([^()]*\))*\)`), regexp.MustCompile(`\(SELECT [^)]*\)`)}
	mainTable  = regexp.MustCompile(`\b(?:FROM|UPDATE|INTO|FROM json_list\(@\w+\) \w+\s+(?:CROSS )?JOIN) (\w+)\b[^(]`)
	statement  = regexp.MustCompile(`(?m)^(SELECT|INSERT|UPDATE|DELETE)\b`)
)

// views are those that queries read, by the table whose rows they show.
var views = map[string]string{"build_details": "workspace_builds"}

func (q query) table() string {
	for _, subselect := range subselects {
		if found := mainTable.FindStringSubmatch(subselect.ReplaceAllString(q.text, "")); found != nil {
			return cmp.Or(views[found[1]], found[1])
		}
	}
	panic("no main table in " + q.text)
}

func (q query) isRead() bool   { return statement.FindString(q.text) == "SELECT" }
func (q query) isInsert() bool { return statement.FindString(q.text) == "INSERT" }

// read gives the rows of a table as text, in the order of that text.
func (w *world) read(t *testing.T, s *store.Store, table string) (list []string) {
	t.Helper()
	names := slices.Sorted(maps.Keys(w.columns[table]))
	rows, err := s.Underlying().QueryContext(t.Context(), "SELECT "+strings.Join(names, ", ")+" FROM "+table)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		list = append(list, rowText(values))
	}
	require.NoError(t, rows.Err())
	slices.Sort(list)
	return list
}

// dump is read of the rows as they were seeded.
func (w *world) dump(table string) (list []string) {
	for _, row := range w.rows[table] {
		var values []any
		for _, name := range slices.Sorted(maps.Keys(row)) {
			values = append(values, row[name])
		}
		list = append(list, rowText(values))
	}
	slices.Sort(list)
	return list
}

func rowText(values []any) string {
	var b strings.Builder
	for _, v := range values {
		switch v := v.(type) {
		case bool:
			fmt.Fprintf(&b, "%d|", map[bool]int{true: 1}[v])
		case []byte:
			fmt.Fprintf(&b, "%q|", v)
		default:
			fmt.Fprintf(&b, "%v|", v)
		}
	}
	return b.String()
}
