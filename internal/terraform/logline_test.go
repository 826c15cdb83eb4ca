package terraform_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/terraform"
)

func TestParseEvent(t *testing.T) {
	t.Parallel()

	t.Run("what is no event is shown as it is", func(t *testing.T) {
		t.Parallel()
		event := terraform.ParseEvent([]byte("panic: runtime error"))
		require.Equal(t, []string{"panic: runtime error"}, event.Lines)
		require.Equal(t, "info", event.Level)
		require.True(t, event.Plain)
	})

	t.Run("a diagnostic has its place and its detail", func(t *testing.T) {
		t.Parallel()
		event := terraform.ParseEvent([]byte(`{"@level":"error","@message":"Error: Invalid reference","type":"diagnostic","diagnostic":{"severity":"error","summary":"Invalid reference","detail":"First.\nSecond.","range":{"filename":"main.tf","start":{"line":7}},"snippet":{"context":"resource \"a\" \"b\"","code":"  x = y"}}}`))
		require.Equal(t, "error", event.Level)
		require.Equal(t, "main.tf:7: Invalid reference: First. Second.", event.Error)
		require.Equal(t, []string{"Error: Invalid reference", `on main.tf line 7, in resource "a" "b":`, "    x = y", "First.", "Second."}, event.Lines)
	})

	t.Run("the error of a job is short, and says nothing twice", func(t *testing.T) {
		t.Parallel()
		diagnose := func(summary, detail string) terraform.Event {
			line, err := json.Marshal(map[string]any{"@level": "error", "@message": "Error: " + summary, "diagnostic": map[string]string{"severity": "error", "summary": summary, "detail": detail}})
			require.NoError(t, err)
			return terraform.ParseEvent(line)
		}
		require.Equal(t, "Bad: why", diagnose("Bad", "why\n\nand what else could be said").Error)
		require.Equal(t, "Bad: not found in: /a, /b", diagnose("Bad", "not found in\n\n  - /a\n  - /b\n\nmore").Error)
		long := diagnose("Bad", "begun "+strings.Repeat("é", 2000)+" ended").Error
		require.Regexp(t, `^Bad: begun é+ … é+ ended$`, long)
		require.Less(t, len([]rune(long)), 450)
		announcement := diagnose("Terraform encountered problems during initialisation, including problems\nwith the configuration, described below.", "The configuration must be valid.")
		require.Empty(t, announcement.Error)
		require.NotEmpty(t, announcement.Lines)
	})

	t.Run("hooks are intents", func(t *testing.T) {
		t.Parallel()
		start := terraform.ParseEvent([]byte(`{"@level":"info","@message":"a.b: Creating...","@timestamp":"2026-01-02T03:04:05Z","type":"apply_start","hook":{"resource":{"addr":"a.b"},"action":"create"}}`))
		require.Equal(t, &client.Intent{Address: "a.b", Action: "create"}, start.Intent)
		failed := terraform.ParseEvent([]byte(`{"@level":"info","@message":"a.b: Creation errored","type":"apply_errored","hook":{"resource":{"addr":"a.b"},"action":"create"}}`))
		require.True(t, failed.Intent.Done)
		read := terraform.ParseEvent([]byte(`{"@level":"info","@message":"data.a.b: Refreshing...","type":"apply_start","hook":{"resource":{"addr":"data.a.b"},"action":"read"}}`))
		require.Nil(t, read.Intent)
	})

	t.Run("a plan tells what it wants to make", func(t *testing.T) {
		t.Parallel()
		change := func(kind, address, action string) terraform.Event {
			resource, _, _ := strings.Cut(address, ".")
			return terraform.ParseEvent(fmt.Appendf(nil, `{"@level":"info","@message":"%[2]s: Plan to %[3]s","type":%[1]q,"change":{"resource":{"addr":%[2]q,"resource_type":%[4]q},"action":%[3]q}}`, kind, address, action, resource))
		}
		require.Equal(t, &client.Intent{Address: "a.b[0]", Action: "create", Wanted: true}, change("planned_change", "a.b[0]", "create").Intent)
		require.Equal(t, &client.Intent{Address: "a.b", Action: "replace", Wanted: true}, change("planned_change", "a.b", "replace").Intent)
		require.NotEmpty(t, change("planned_change", "a.b", "replace").Lines)
		require.Nil(t, change("planned_change", "a.b", "update").Intent, "it is in the state")
		require.Nil(t, change("resource_drift", "a.b", "create").Intent, "nobody plans that")
		require.Nil(t, change("planned_change", "coder_agent.main", "create").Intent, "it is nowhere but in the state")
	})

	t.Run("a line of 10 MB is cut with a mark, as an event and as text", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("ä", 5<<20)
		message, err := json.Marshal(long)
		require.NoError(t, err)
		for _, line := range []string{long, `{"@level":"info","@message":` + string(message) + `,"type":"x"}`} {
			event := terraform.ParseEvent([]byte(line))
			require.Len(t, event.Lines, 1)
			require.LessOrEqual(t, len(event.Lines[0]), client.MaxLogLine)
			require.True(t, strings.HasPrefix(event.Lines[0], "ääää"))
			require.True(t, strings.HasSuffix(event.Lines[0], "[line cut]"))
		}
	})

	t.Run("control characters are made harmless, Unicode is kept", func(t *testing.T) {
		t.Parallel()
		for in, want := range map[string]string{
			"\x1b[31mred\x1b[0m":      "red",
			"\x1b]0;title\x07text":    "text",
			"a\x00b\x07c\x7fd":        "a�b�c�d",
			"50%\r100%":               "50% 100%",
			"tab\there":               "tab\there",
			"日本 ünï 🎉":                "日本 ünï 🎉",
			"abc\u202edef":            "abc�def",
			string([]byte{'x', 0xff}): "x�",
			"\u009b31mc1":             "�31mc1",
		} {
			require.Equal(t, []string{want}, terraform.ParseEvent([]byte(in)).Lines)
		}
	})

	t.Run("advice about the job's own directory is left out", func(t *testing.T) {
		t.Parallel()
		event := terraform.ParseEvent([]byte(`{"@level":"warn","@message":"Warning: Incomplete lock file information for providers","diagnostic":{"severity":"warning","summary":"Incomplete lock file information for providers"},"type":"diagnostic"}`))
		require.Empty(t, event.Lines)
	})
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"@level":"info","@message":"x"}`))
	f.Add([]byte("\x1b[31m"))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, shown := range terraform.ParseEvent(line).Lines {
			require.LessOrEqual(t, len(shown), client.MaxLogLine)
			require.NotContains(t, shown, "\x1b")
			require.NotContains(t, shown, "\n")
		}
	})
}

func TestWantedProvider(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]terraform.WantedProvider{
		`Finding matching versions for provider: acme/cloud, version_constraint: ">= 2.0.0"`: {Address: "acme/cloud", Constraint: ">= 2.0.0"},
		`- Finding acme/cloud versions matching ">= 2.0.0"...`:                               {Address: "acme/cloud", Constraint: ">= 2.0.0"},
		`example.test/acme/coder: Finding latest version...`:                                 {Address: "example.test/acme/coder"},
		`- Finding latest version of hashicorp/null...`:                                      {Address: "hashicorp/null"},
	} {
		line, err := json.Marshal(map[string]string{"@level": "info", "@message": message})
		require.NoError(t, err)
		require.Equal(t, &want, terraform.ParseEvent(line).Wanted, message)
	}
	require.Nil(t, terraform.ParseEvent([]byte(`{"@message":"Finding nothing"}`)).Wanted)
}

func TestParseState(t *testing.T) {
	t.Parallel()
	whole := `{"version":4,"serial":3,"lineage":"l","resources":[{"mode":"managed","type":"a","name":"b","module":"module.m","instances":[{"index_key":"k","attributes":{}},{"index_key":"k","deposed":"d1","attributes":{}},{"index_key":"t","status":"tainted","attributes":{}}]}]}`
	state, err := terraform.ParseState([]byte(whole))
	require.NoError(t, err)
	require.True(t, state.Has(`module.m.a.b["k"]`))
	require.Equal(t, []string{`module.m.a.b["t"]`}, state.Tainted())
	require.False(t, state.Empty())
	for cut := 1; cut < len(whole); cut++ {
		_, err := terraform.ParseState([]byte(whole[:cut]))
		require.Error(t, err, whole[:cut])
	}
	_, err = terraform.ParseState([]byte(whole + "x"))
	require.Error(t, err)
	_, err = terraform.ParseState([]byte(`{"version":3,"lineage":"l"}`))
	require.ErrorContains(t, err, "version 3")
	empty, err := terraform.ParseState(nil)
	require.NoError(t, err)
	require.True(t, empty.Empty())
}
