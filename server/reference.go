package server

import (
	"cmp"
	"slices"

	"coder/internal/password"
)

// Operation is one row of the API's table, for the reference.
type Operation struct {
	Method, Path, Summary, Permission string
}

// Reference lists every operation under /api/v2, by path and method. It needs
// no database: the table is the same for every deployment.
func Reference() []Operation {
	a := &api{limits: newLimits(0), passwords: password.NewHasher()}
	r := newRouter(a)
	a.routes(r)
	operations := make([]Operation, len(r.entries))
	for i, e := range r.entries {
		operations[i] = Operation{Method: e.Method, Path: e.Path, Summary: e.Summary, Permission: e.Permission.String()}
	}
	slices.SortFunc(operations, func(x, y Operation) int { return cmp.Or(cmp.Compare(x.Path, y.Path), cmp.Compare(x.Method, y.Method)) })
	return operations
}
