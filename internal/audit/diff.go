// Package audit tells what changed between two versions of an object, without
// telling secrets.
package audit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is what happened to one field. A secret one has neither value.
type Change struct {
	Old    any  `json:"old,omitempty"`
	New    any  `json:"new,omitempty"`
	Secret bool `json:"secret"`
}

// moving are fields that change by themselves.
var moving = []string{"updated_at", "last_seen_at", "last_used", "last_used_at"}

// secretNames and secretEndings are names under which no value is ever
// recorded, at any depth.
var (
	secretNames   = []string{"password", "secret", "token", "key", "passphrase", "credentials"}
	secretEndings = []string{"_password", "_secret", "_token", "_key", "_passphrase"}
	publicNames   = []string{"public_key", "ssh_public_key"}
)

// Diff compares two objects field by field, by the names and values of their
// JSON. nil before is a creation, nil after a deletion; these list what is
// not empty. The fields in secrets are those that changed and must not be
// shown, whether or not the objects have them.
func Diff(before, after any, secrets ...string) (map[string]Change, error) {
	old, err := fields(before)
	if err != nil {
		return nil, err
	}
	current, err := fields(after)
	if err != nil {
		return nil, err
	}
	diff := map[string]Change{}
	for name := range union(old, current) {
		switch was, is := old[name], current[name]; {
		case slices.Contains(moving, name), reflect.DeepEqual(was, is):
		case before == nil && empty(is), after == nil && empty(was):
		case isSecret(name):
			diff[name] = Change{Secret: true}
		default:
			diff[name] = Change{Old: masked(was), New: masked(is)}
		}
	}
	for _, name := range secrets {
		diff[name] = Change{Secret: true}
	}
	return diff, nil
}

func fields(v any) (map[string]any, error) {
	if v == nil {
		return nil, nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("compare %T: %w", v, err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("compare %T: it is no object: %w", v, err)
	}
	return out, nil
}

func union(x, y map[string]any) map[string]bool {
	names := make(map[string]bool, len(x)+len(y))
	for name := range x {
		names[name] = true
	}
	for name := range y {
		names[name] = true
	}
	return names
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func isSecret(name string) bool {
	name = strings.ToLower(name)
	if slices.Contains(publicNames, name) {
		return false
	}
	return slices.Contains(secretNames, name) || slices.ContainsFunc(secretEndings, func(end string) bool { return strings.HasSuffix(name, end) })
}

// masked drops secrets within a value.
func masked(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = masked(v[i])
		}
	case map[string]any:
		for name, value := range v {
			if isSecret(name) {
				v[name] = map[string]any{"secret": true}
			} else {
				v[name] = masked(value)
			}
		}
	}
	return v
}
