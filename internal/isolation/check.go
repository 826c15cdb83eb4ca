package isolation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"coder/client"
)

// check goes through the operations.
type check struct {
	world      *world
	report     *Report
	operations []Operation
	// before are the answers to the attackers' own lists while there was
	// nothing to see yet.
	before map[string]answer
}

// attack calls every operation as every attacker, on what exists and on what
// does not.
func (c *check) attack(ctx context.Context) {
	for _, op := range c.operations {
		if op.public() {
			continue
		}
		rule := rules[op.String()]
		if err := c.known(op, rule); err != nil {
			c.report.Unproven = append(c.report.Unproven, err.Error())
			continue
		}
		if len(op.parameters()) == 0 && !rule.names {
			continue // it names nothing; lists are compared by themselves
		}
		for _, attacker := range c.world.attackersOf(op) {
			for _, pair := range c.world.pairs(op, rule, attacker) {
				c.compare(ctx, op, rule, attacker, pair)
			}
		}
	}
}

// search asks the lists for what belongs to others.
func (c *check) search(ctx context.Context) {
	there := c.world.everything(Operation{Path: "/{organization}"})
	there["organization_name"], there["template_name"], there["workspace_name"] = c.world.victim.Name, c.world.template.Name, c.world.workspace.Name
	for _, search := range searches {
		for _, attacker := range c.world.attackers {
			nowhere := values{}
			for name, value := range there {
				nowhere[name] = missing(value)
			}
			if attacker.readsUsers {
				nowhere["username"] = there["username"]
			}
			op := Operation{Method: http.MethodGet, Path: search(there)}
			c.compare(ctx, op, rule{}, attacker, pair{there: there, nowhere: nowhere, path: search})
		}
	}
}

// doors are outside of the API. Metrics name organizations and profiles hold
// what is in memory: they are not for those who sign in.
var doors = []string{"/metrics", "/api/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/healthz", "/latency-check", "/bin/", "/organizations", "/workspaces", "/templates", "/users", "/health", "/audit"}

// outside looks for the other organization behind them, before the callers have
// said its names themselves, which the audit log of their own then holds.
func (c *check) outside(ctx context.Context) {
	for _, path := range doors {
		for _, attacker := range c.world.attackers {
			r := request{method: http.MethodGet, path: path, as: attacker, outside: true}
			r.as.header = attacker.header.Clone()
			r.as.header.Set("Cookie", client.SessionCookie+"="+attacker.header.Get(client.HeaderSessionToken))
			got := c.world.call(ctx, r)
			c.report.Compared++
			if leak := c.world.marked(got, nil, attacker); leak != "" {
				c.leak(Operation{Method: r.method, Path: path}, r, got, answer{body: "nothing of the other organization, and it holds " + leak})
			}
			if strings.HasPrefix(got.body, "# HELP") || strings.HasPrefix(path, "/debug") && got.good() {
				c.leak(Operation{Method: r.method, Path: path}, r, got, answer{body: "no metrics and no profile"})
			}
		}
	}
}

// known refuses operations that nobody has said how to call.
func (c *check) known(op Operation, rule rule) error {
	for _, name := range op.parameters() {
		if _, err := c.world.object(op, name); err != nil {
			return err
		}
	}
	if op.writes() && !rule.given {
		return fmt.Errorf("%s: there is no rule how to call it: add one to internal/isolation/rules.go", op)
	}
	return nil
}

func (c *check) compare(ctx context.Context, op Operation, rule rule, attacker credential, p pair) {
	for _, form := range rule.bodies(op) {
		there, nowhere := c.request(op, rule, attacker, p.there, form, p.path), c.request(op, rule, attacker, p.nowhere, form, p.path)
		got, want := c.world.call(ctx, there), c.world.call(ctx, nowhere)
		c.report.Compared++
		if leak := c.world.marked(got, p.there, attacker); leak != "" {
			c.leak(op, there, got, answer{body: "nothing of the other organization, and it holds " + leak})
			continue
		}
		if p.uncomparable {
			continue
		}
		if x, y := normal(got, p.there.said()), normal(want, p.nowhere.said()); x != y {
			c.leak(op, there, x, y)
		}
	}
}

func (c *check) leak(op Operation, r request, got, want answer) {
	got.body, want.body = around(got.body, want.body)
	c.report.Leaks = append(c.report.Leaks, Leak{Operation: op.String(), Caller: r.as.name, Call: r.String(), Got: got.String(), Want: want.String()})
}

// around cuts two texts to where they begin to differ.
func around(x, y string) (string, string) {
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	from := max(0, i-150)
	return x[from:], y[from:]
}

func (c *check) request(op Operation, rule rule, as credential, v values, form bodyForm, path func(values) string) request {
	r := request{method: op.Method, path: fill(op, v), as: as}
	if path != nil {
		r.path = path(v)
	}
	if rule.query != nil {
		r.path += "?" + rule.query(v)
	}
	switch form {
	case bodyEmptyObject:
		r.body = "{}"
	case bodyMalformed:
		r.body = "{"
	case bodyValid:
		r.body = rule.text(v)
	}
	return r
}

func fill(op Operation, v values) string {
	parts := strings.Split(op.Path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = v[strings.Trim(part, "{}")]
		}
	}
	return strings.Join(parts, "/")
}

// ownLists are the operations that list what a caller may see: those without
// a parameter, and those of the caller's own organization.
func (c *check) ownLists() map[string]request {
	out := map[string]request{}
	for _, op := range c.operations {
		parameters := op.parameters()
		own := len(parameters) == 0 || slices.Equal(parameters, []string{"organization"})
		if op.Method != http.MethodGet || op.public() || !own {
			continue
		}
		for _, attacker := range c.world.attackersOf(op) {
			r := request{method: op.Method, path: fill(op, values{"organization": c.world.home.ID.String()}), as: attacker}
			out[r.String()] = r
		}
	}
	return out
}

// remember asks for the lists before there is anything to see.
func (c *check) remember(ctx context.Context) {
	c.before = map[string]answer{}
	for name, r := range c.ownLists() {
		c.before[name] = normal(c.world.call(ctx, r), nil)
	}
}

// compareLists asks again: whatever others have made, the lists, their counts
// and their pages are the same.
func (c *check) compareLists(ctx context.Context, logsCallers bool) {
	for name, r := range c.ownLists() {
		path, _, _ := strings.Cut(r.path, "?")
		if rules[r.method+" "+path].logsCallers != logsCallers {
			continue
		}
		got := c.world.call(ctx, r)
		c.report.Compared++
		if r.as.readsUsers && listsUsers(r.path) {
			continue
		}
		if now := normal(got, nil); now != c.before[name] {
			c.leak(Operation{Method: r.method, Path: r.path}, r, now, c.before[name])
		}
	}
}

func listsUsers(path string) bool { return path == "/users" }

// prove calls every operation as those who own the objects. Reading comes
// first, and what takes away comes last.
func (c *check) prove(ctx context.Context) {
	ordered := slices.Clone(c.operations)
	slices.SortStableFunc(ordered, func(x, y Operation) int { return rank(x) - rank(y) })
	for _, op := range ordered {
		rule := rules[op.String()]
		if op.public() || (op.writes() && !rule.given) || rule.refused != "" {
			continue
		}
		if err := c.proveOne(ctx, op, rule); err != nil {
			c.report.Unproven = append(c.report.Unproven, fmt.Sprintf("%s: %v", op, err))
		}
	}
}

func rank(op Operation) int {
	switch op.Method {
	case http.MethodGet:
		return 0
	case http.MethodDelete:
		return 2
	}
	return 1
}

func (c *check) proveOne(ctx context.Context, op Operation, rule rule) error {
	v, callers, err := c.world.provable(ctx, op, rule)
	if err != nil {
		return err
	}
	var answers []string
	for _, caller := range callers {
		got := c.world.call(ctx, c.request(op, rule, caller, v, bodyValid, nil))
		if got.good() || slices.Contains(rule.accepted, got.status) {
			return nil
		}
		answers = append(answers, fmt.Sprintf("%s: %s", caller.name, got))
	}
	return fmt.Errorf("nobody could do it: %s", strings.Join(answers, "; "))
}

// text is a valid body.
func (r rule) text(v values) string {
	if r.raw != nil {
		return r.raw(v)
	}
	if r.body == nil {
		return ""
	}
	text, err := json.Marshal(r.body(v))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
