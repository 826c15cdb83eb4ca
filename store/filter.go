package store

import (
	"fmt"
	"slices"
	"strings"
)

// Filter narrows one of the long lists. Conditions are written with ? for
// each parameter; they are never built from input. A copy of a Filter is
// independent of it.
type Filter struct {
	conditions []string
	args       []any
}

// Where adds a condition in SQL that both databases speak.
func (f *Filter) Where(condition string, args ...any) *Filter {
	f.conditions = append(slices.Clip(f.conditions), condition)
	f.args = append(slices.Clip(f.args), args...)
	return f
}

// Empty tells whether there are no conditions.
func (f *Filter) Empty() bool { return len(f.conditions) == 0 }

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

// Filtered runs a list query of the Queries with the filter put in. It panics
// for a query that has no place for one, rather than list everything.
func (s *Store) Filtered(f Filter) *Queries { return New(filtered{DBTX: s.db, filter: f}) }
