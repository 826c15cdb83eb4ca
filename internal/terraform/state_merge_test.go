package terraform_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/internal/enginetest"
	"coder/internal/terraform"
)

const builtin = `provider["terraform.io/builtin/terraform"]`

// thing is an object of a state, as these tests write it.
type thing struct {
	module, name, index, id, deposed, provider, kind, status, extra string
}

func (o thing) at(address string) thing {
	o.name = address
	return o
}

func stateOf(t require.TestingT, serial int, lineage string, things ...thing) []byte {
	resources := []map[string]any{}
	for _, o := range things {
		instance := map[string]any{"schema_version": 1, "attributes": map[string]any{"id": o.id, "size": json.Number("12345678901234567890")}, "private": "YQ=="}
		if o.id == "" {
			instance["attributes"] = map[string]any{"input": o.extra}
		}
		if o.index != "" {
			instance["index_key"] = json.RawMessage(o.index)
		}
		if o.deposed != "" {
			instance["deposed"] = o.deposed
		}
		if o.status != "" {
			instance["status"] = o.status
		}
		resource := map[string]any{"mode": "managed", "type": or(o.kind, "terraform_data"), "name": o.name, "provider": or(o.provider, builtin), "instances": []any{}}
		if o.module != "" {
			resource["module"] = o.module
		}
		at := slices.IndexFunc(resources, func(r map[string]any) bool {
			return r["name"] == o.name && r["type"] == resource["type"] && r["module"] == resource["module"]
		})
		if at < 0 {
			at, resources = len(resources), append(resources, resource)
		}
		resources[at]["instances"] = append(resources[at]["instances"].([]any), instance)
	}
	raw, err := json.Marshal(map[string]any{
		"version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": lineage, "outputs": map[string]any{"a<b>": 1}, "resources": resources, "future": true,
	})
	require.NoError(t, err)
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(raw)))
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// inside lists the managed objects of a state as address, key and id.
func inside(t require.TestingT, content []byte) []string {
	parsed := struct {
		Resources []struct {
			Module, Mode, Type, Name string
			Instances                []struct {
				IndexKey   json.RawMessage `json:"index_key"`
				Deposed    string
				Attributes struct{ ID string }
			}
		}
	}{}
	require.NoError(t, json.Unmarshal(content, &parsed))
	found := []string{}
	for _, r := range parsed.Resources {
		for _, i := range r.Instances {
			text := strings.TrimPrefix(r.Module+"."+r.Name, ".") + string(i.IndexKey)
			if i.Deposed != "" {
				text += "~"
			}
			found = append(found, text+"="+i.Attributes.ID)
		}
	}
	slices.Sort(found)
	return found
}

func inventories(t require.TestingT, contents ...[]byte) []*terraform.Inventory {
	all := []*terraform.Inventory{}
	for _, content := range contents {
		inventory, err := terraform.TakeInventory(content)
		require.NoError(t, err)
		all = append(all, inventory)
	}
	return all
}

// merged merges one salvaged state into another.
func merged(t require.TestingT, current, salvage []byte, rules terraform.MergeRules, known ...[]byte) ([]byte, []terraform.Salvaged) {
	m, err := terraform.NewMerge(current)
	require.NoError(t, err)
	told, err := m.Add(salvage, inventories(t, known...), rules)
	require.NoError(t, err)
	if !m.Changed() {
		return current, told
	}
	content, err := m.State()
	require.NoError(t, err)
	return content, told
}

func TestMerge(t *testing.T) {
	t.Parallel()
	a1, a2, b1 := thing{name: "a", id: "a1"}, thing{name: "a", id: "a2"}, thing{name: "b", id: "b1"}
	for _, c := range []struct {
		name             string
		current, salvage []thing
		known            [][]thing
		rules            terraform.MergeRules
		want             []string
		held             string
	}{
		{"a free address becomes current", []thing{a1}, []thing{a1, b1}, nil, terraform.MergeRules{}, []string{"a=a1", "b=b1"}, ""},
		{"a taken address becomes a deposed object", []thing{a1}, []thing{a2}, nil, terraform.MergeRules{}, []string{"a=a1", "a~=a2"}, ""},
		{"an address with nothing but a deposed object is free", []thing{{name: "a", id: "a1", deposed: "0a0a0a0a"}}, []thing{a2}, nil, terraform.MergeRules{}, []string{"a=a2", "a~=a1"}, ""},
		{"what is deposed stays deposed", nil, []thing{{name: "a", id: "a2", deposed: "0a0a0a0a"}}, nil, terraform.MergeRules{}, []string{"a~=a2"}, ""},
		{"under a key of its own", []thing{{name: "a", id: "a1", deposed: "0a0a0a0a"}}, []thing{{name: "a", id: "a2", deposed: "0a0a0a0a"}}, nil, terraform.MergeRules{}, []string{"a~=a1", "a~=a2"}, ""},
		{"what stood in the base does not come back", []thing{}, []thing{a1, b1}, [][]thing{{a1}}, terraform.MergeRules{}, []string{"b=b1"}, ""},
		{"what stood in a later state does not come back", []thing{}, []thing{a1, b1}, [][]thing{{}, {b1}, {}}, terraform.MergeRules{}, []string{"a=a1"}, ""},
		{"what has moved is known", []thing{a1.at("z")}, []thing{a1}, nil, terraform.MergeRules{}, []string{"z=a1"}, ""},
		{"ids that are not unique are counted", []thing{a1}, []thing{a1, a1.at("b")}, nil, terraform.MergeRules{}, []string{"a=a1", "b=a1"}, ""},
		{"each index is an address", []thing{{name: "a", index: "0", id: "x"}}, []thing{{name: "a", index: "0", id: "y"}, {name: "a", index: "1", id: "z"}, {name: "a", index: `"k"`, id: "k"}}, nil, terraform.MergeRules{}, []string{`a"k"=k`, "a0=x", "a0~=y", "a1=z"}, ""},
		{"so is each module", []thing{a1}, []thing{{module: "module.m[0]", name: "a", id: "a2"}}, nil, terraform.MergeRules{}, []string{"a=a1", "module.m[0].a=a2"}, ""},
		{"without ids, what differs at an address is left out", []thing{{name: "a", extra: "1"}}, []thing{{name: "a", extra: "2"}}, nil, terraform.MergeRules{}, []string{"a="}, "it has no id"},
		{"unless everything is destroyed", []thing{{name: "a", extra: "1"}}, []thing{{name: "a", extra: "2"}}, nil, terraform.MergeRules{Destroying: true}, []string{"a=", "a~="}, ""},
		{"a provider that is not configured holds back", []thing{a1}, []thing{b1}, nil, terraform.MergeRules{Provides: func(string) bool { return false }}, []string{"a=a1"}, "no provider["},
		{"so does another provider at the same block", []thing{{name: "a", index: "0", id: "x", provider: "other"}}, []thing{{name: "a", index: "1", id: "y"}}, nil, terraform.MergeRules{}, []string{"a0=x"}, "is managed by other"},
		{"what is only half made is taken too", nil, []thing{{name: "a", id: "half", status: "tainted"}}, nil, terraform.MergeRules{}, []string{"a=half"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			known := [][]byte{}
			for _, k := range c.known {
				known = append(known, stateOf(t, 3, "base", k...))
			}
			current := []byte(nil)
			if c.current != nil {
				current = stateOf(t, 7, "current", c.current...)
			}
			content, told := merged(t, current, stateOf(t, 9, "salvage", c.salvage...), c.rules, known...)
			require.Equal(t, c.want, inside(t, content))
			requireAddressesOnce(t, content)
			held := ""
			for _, s := range told {
				held += s.Held
			}
			require.Contains(t, held, c.held)
			require.Equal(t, c.held == "", held == "")
		})
	}
}

func TestMergeKeepsTheRestOfTheState(t *testing.T) {
	t.Parallel()
	content, told := merged(t, stateOf(t, 7, "current", thing{name: "a", id: "a1"}), stateOf(t, 9, "salvage", thing{name: "a", id: "a2", status: "tainted"}), terraform.MergeRules{})
	require.Len(t, told, 1)
	require.Regexp(t, `^[0-9a-f]{8}$`, told[0].Deposed)
	parsed, err := terraform.ParseState(content)
	require.NoError(t, err)
	require.Equal(t, "current", parsed.Lineage)
	require.EqualValues(t, 10, parsed.Serial)
	require.Contains(t, string(content), `"future":true`)
	require.Contains(t, string(content), `"a<b>":1`, "no escapes for HTML")
	require.Contains(t, string(content), `12345678901234567890`, "numbers keep their digits")
	require.Contains(t, string(content), `"status":"tainted"`)
	require.Contains(t, string(content), `"schema_version":1`)

	data := strings.ReplaceAll(string(stateOf(t, 9, "salvage", thing{name: "a", id: "a2"})), `"managed"`, `"data"`)
	content, told = merged(t, stateOf(t, 7, "current"), []byte(data), terraform.MergeRules{})
	require.Empty(t, told, "data sources are not merged")
	require.Equal(t, stateOf(t, 7, "current"), content)

	content, _ = merged(t, nil, stateOf(t, 9, "salvage", thing{name: "a", id: "a2"}), terraform.MergeRules{})
	parsed, err = terraform.ParseState(content)
	require.NoError(t, err)
	require.Equal(t, "salvage", parsed.Lineage, "of a workspace that has no state")
	require.NotContains(t, string(content), "a<b>", "outputs are what an apply says")
}

// What is told of an object stands in a log that more people read than may read
// the state.
func TestMergeTellsNoSensitiveID(t *testing.T) {
	t.Parallel()
	marked := func(paths string) []byte {
		return []byte(strings.ReplaceAll(string(stateOf(t, 9, "salvage", thing{name: "a", id: "a2"})), `"private":`, `"sensitive_attributes":`+paths+`,"private":`))
	}
	for paths, id := range map[string]string{
		`[]`: "a2", `[[{"type":"get_attr","value":"size"}]]`: "a2",
		`[[{"type":"get_attr","value":"size"}],[{"type":"get_attr","value":"id"}]]`: "", `[[]]`: "", `"of another form"`: "",
	} {
		content, told := merged(t, stateOf(t, 7, "current"), marked(paths), terraform.MergeRules{})
		require.Len(t, told, 1, paths)
		require.Equal(t, id, told[0].ID, paths)
		require.Contains(t, string(content), `"id":"a2"`, "it is merged whole")
	}
}

// A state that is whole JSON and of no engine must not stop a workspace's builds.
func TestMergeOfNullInstances(t *testing.T) {
	t.Parallel()
	salvage := strings.ReplaceAll(string(stateOf(t, 9, "salvage", thing{name: "a", id: "a2"})), `"instances":[`, `"instances":[null,null,`)
	_, told := merged(t, stateOf(t, 7, "current", thing{name: "a", id: "a1"}), []byte(salvage), terraform.MergeRules{Destroying: true})
	require.Len(t, told, 1)
	require.Equal(t, "a2", told[0].ID)
}

// Every object that only salvage holds is in the merged state once, everything
// else is as it was, and merging again changes nothing.
func TestMergeLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		next := 0
		draw := func(label string) []thing {
			things, taken := []thing{}, map[string]bool{}
			for range rapid.IntRange(0, 6).Draw(t, label) {
				o := thing{
					module: rapid.SampledFrom([]string{"", "module.m"}).Draw(t, "module"), name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"),
					index: rapid.SampledFrom([]string{"", "0", "1", `"x"`}).Draw(t, "index"), id: fmt.Sprint("id", next),
				}
				next++
				if at := o.module + o.name + o.index; taken[at] {
					o.deposed = fmt.Sprintf("%08x", next)
				} else {
					taken[at] = true
				}
				things = append(things, o)
			}
			return things
		}
		current, base, fresh := draw("current"), draw("base"), draw("fresh")
		salvage := slices.Concat(fresh, base) // what it made, and what it found
		serial := rapid.IntRange(0, 9).Draw(t, "serial")
		before := stateOf(t, 5, "current", current...)
		raw := stateOf(t, serial, "salvage", salvage...)
		content, told := merged(t, before, raw, terraform.MergeRules{}, stateOf(t, 4, "base", base...))

		require.Len(t, told, len(fresh))
		ids := func(things []string) []string {
			found := []string{}
			for _, text := range things {
				_, id, _ := strings.Cut(text, "=")
				found = append(found, id)
			}
			slices.Sort(found)
			return found
		}
		want := []string{}
		for _, o := range slices.Concat(current, fresh) {
			want = append(want, o.id)
		}
		slices.Sort(want)
		require.Equal(t, want, ids(inside(t, content)))
		for _, o := range inside(t, before) {
			require.Contains(t, inside(t, content), o, "nothing that stood is moved")
		}
		requireAddressesOnce(t, content)
		again, told := merged(t, content, raw, terraform.MergeRules{}, stateOf(t, 4, "base", base...))
		require.Empty(t, told)
		require.Equal(t, content, again)
	})
}

// requireAddressesOnce: one current object at an address, and each key once.
func requireAddressesOnce(t require.TestingT, content []byte) {
	parsed := struct {
		Resources []struct {
			Module, Name string
			Instances    []struct {
				IndexKey json.RawMessage `json:"index_key"`
				Deposed  string
			}
		}
	}{}
	require.NoError(t, json.Unmarshal(content, &parsed))
	seen := map[string]bool{}
	for _, r := range parsed.Resources {
		for _, i := range r.Instances {
			at := r.Module + "/" + r.Name + "/" + string(i.IndexKey) + "/" + i.Deposed
			require.False(t, seen[at], at)
			seen[at] = true
		}
	}
}

// Both engines take a merged state for their own: what another attempt made
// where something stands is destroyed, and what stands alone stays.
func TestEnginesTakeAMergedState(t *testing.T) {
	t.Parallel()
	for _, engine := range enginetest.Paths(t) {
		t.Run(filepath.Base(engine), func(t *testing.T) {
			t.Parallel()
			const source = `resource "terraform_data" "a" {}
resource "terraform_data" "b" { count = 2 }
`
			run := func(dir string, words ...string) string {
				t.Helper()
				cmd := exec.Command(engine, words...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE="+os.DevNull)
				said, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", said)
				return string(said)
			}
			apply := func(source string, before []byte) (state []byte, said string) {
				t.Helper()
				dir := t.TempDir()
				require.NoError(t, os.WriteFile(filepath.Join(dir, "main.tf"), []byte(source), 0o600))
				path := filepath.Join(dir, terraform.StateFile)
				if before != nil {
					require.NoError(t, os.WriteFile(path, before, 0o600))
				}
				run(dir, "init", "-input=false", "-no-color")
				said = run(dir, "apply", "-auto-approve", "-input=false", "-no-color")
				state, err := os.ReadFile(path)
				require.NoError(t, err)
				return state, said
			}
			current, _ := apply(`resource "terraform_data" "a" {}`, nil)
			salvage, _ := apply(source, nil)
			content, told := merged(t, current, salvage, terraform.MergeRules{})
			require.Len(t, told, 3)
			final, said := apply(source, content)
			require.Contains(t, said, "0 added, 0 changed, 1 destroyed")
			require.Equal(t, kept(t, content), inside(t, final))
			next, said := apply(source, final)
			require.Contains(t, said, "0 added, 0 changed, 0 destroyed")
			require.Equal(t, inside(t, final), inside(t, next))
		})
	}
}

// kept is what is inside a state without what is deposed.
func kept(t *testing.T, content []byte) []string {
	t.Helper()
	return slices.DeleteFunc(inside(t, content), func(thing string) bool { return strings.Contains(thing, "~=") })
}
