package store

import (
	"fmt"
	"strings"
)

// maxRows stands for "no limit" where an offset needs one.
const maxRows = 1 << 40

// Filter narrows, orders and pages one of the long lists. Conditions are
// written with ? for each parameter; they are never built from input.
type Filter struct {
	conditions []string
	args       []any
	order      string
	limit      int64
	offset     int64
}

// Where adds a condition in SQL that both databases speak.
func (f *Filter) Where(condition string, args ...any) *Filter {
	f.conditions = append(f.conditions, condition)
	f.args = append(f.args, args...)
	return f
}

// OrderBy sorts before the query's own order.
func (f *Filter) OrderBy(order string) *Filter {
	f.order = order
	return f
}

// Page takes limit rows from offset on; limit 0 is no limit.
func (f *Filter) Page(limit, offset int64) *Filter {
	f.limit, f.offset = limit, offset
	return f
}

func (f *Filter) sql(before int) (string, []any) {
	var b strings.Builder
	n := before
	for _, condition := range f.conditions {
		b.WriteString(" AND (")
		for _, r := range condition {
			if r != '?' {
				b.WriteRune(r)
				continue
			}
			n++
			fmt.Fprintf(&b, "$%d", n)
		}
		b.WriteString(")")
	}
	return b.String(), f.args
}

// Filtered runs a list query of the Queries with the filter put in.
func (s *Store) Filtered(f Filter) *Queries { return New(filtered{DBTX: s.db, filter: f}) }
