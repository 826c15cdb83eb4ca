package template_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/archive"
	"coder/internal/template"
)

func files(named ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i < len(named); i += 2 {
		out[named[i]] = &fstest.MapFile{Data: []byte(named[i+1])}
	}
	return out
}

func read(t *testing.T, named ...string) *template.Source {
	t.Helper()
	s, err := template.Read(files(named...))
	require.NoError(t, err)
	return s
}

func TestReadVariables(t *testing.T) {
	t.Parallel()
	s := read(t,
		"b.tf", `variable "last" {}`,
		"README.md", "# Hello",
		"a.tf", `
variable "region" {
  type        = string
  description = "Where"
  default     = "eu"
}
variable "zones" {
  type    = list(string)
  default = ["a", "b"]
}
variable "count2" { default = 3 }
variable "on" { default = true }
variable "null" {
  type    = string
  default = null
}
variable "token" {
  type      = "string"
  sensitive = true
  validation {
    condition     = length(var.token) > 3
    error_message = "short"
  }
}`,
		"c.tf.json", `{"variable": {"json": {"type": "number", "default": 7}}}`,
		"a_override.tf", `variable "region" { default = "us" }`,
		"modules/x.tf", `variable "inner" {`,
		".hidden.tf", `variable "hidden" {`,
	)
	require.Equal(t, "# Hello", s.Readme)
	at := func(file string, line int) template.Position { return template.Position{File: file, Line: line} }
	require.Equal(t, []template.Variable{
		{Position: at("a.tf", 2), Name: "region", Description: "Where", Type: "string", Default: "us"},
		{Position: at("a.tf", 7), Name: "zones", Type: "list(string)", Default: `["a","b"]`},
		{Position: at("a.tf", 11), Name: "count2", Default: "3"},
		{Position: at("a.tf", 12), Name: "on", Default: "true"},
		{Position: at("a.tf", 13), Name: "null", Type: "string", Required: true},
		{Position: at("a.tf", 17), Name: "token", Type: "string", Required: true, Sensitive: true},
		{Position: at("b.tf", 1), Name: "last", Required: true},
		{Position: at("c.tf.json", 1), Name: "json", Type: "number", Default: "7"},
	}, s.Variables)
	types := []string{}
	for _, v := range s.Variables {
		types = append(types, v.API("").Type)
	}
	require.Equal(t, []string{"string", "list(string)", "number", "bool", "string", "string", "string", "number"}, types)
}

func TestReadTellsFileAndLine(t *testing.T) {
	t.Parallel()
	_, err := template.Read(files("main.tf", "resource \"x\" \"y\" {\n  a = \n}\n", "z.tf", "variable {}"))
	var wrong *template.Error
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, template.Position{File: "main.tf", Line: 2}, wrong.Problems[0].Position)
	require.Regexp(t, `(?m)^main\.tf:2: Invalid expression: .+$`, err.Error())
	require.Regexp(t, `(?m)^z\.tf:1: Missing name for variable: `, err.Error())
}

func TestReadWithoutSource(t *testing.T) {
	t.Parallel()
	_, err := template.Read(files("README.md", "x", "sub/main.tf", ""))
	require.ErrorIs(t, err, template.ErrNoSource)
}

func TestReadTarIsRead(t *testing.T) {
	t.Parallel()
	fsys := files("main.tf", `variable "a" {}`, "README.md", "r", "sub/b.tf", "{")
	data, err := archive.TarFS(fsys, archive.Options{})
	require.NoError(t, err)
	fromTar, err := template.ReadTar(bytes.NewReader(data))
	require.NoError(t, err)
	direct, err := template.Read(fsys)
	require.NoError(t, err)
	require.Equal(t, direct, fromTar)
}

func TestProvidersAndRemoteState(t *testing.T) {
	t.Parallel()
	s := read(t, "main.tf", `
terraform {
  required_version = ">= 1.0"
  required_providers {
    coder  = { source = "coder/coder", version = "~> 2.0" }
    docker = {
      source                = "kreuzwerker/docker"
      configuration_aliases = [docker.a]
    }
    old = "1.0"
  }
  backend "local" {}
}`, "state.tf", "terraform {\n  backend \"s3\" {}\n}\nterraform {\n  cloud {\n    organization = var.x\n  }\n}")
	type provider struct{ name, source, constraint string }
	got := []provider{}
	for _, p := range s.Providers {
		got = append(got, provider{p.Name, p.Source, p.Constraint})
	}
	require.Equal(t, []provider{{"coder", "coder/coder", "~> 2.0"}, {"docker", "kreuzwerker/docker", ""}, {"old", "", "1.0"}}, got)

	lines := strings.Split(s.CheckState().Error(), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^state\.tf:2: backend "s3": .*remove this block$`, lines[0])
	require.Regexp(t, `^state\.tf:5: cloud block: `, lines[1])
	require.NoError(t, read(t, "main.tf", "").CheckState())
}

const tagSource = `
variable "env" { default = "prod" }
variable "needed" { type = string }
variable "zones" {
  type    = list(string)
  default = ["z1", "z2"]
}
variable "n" {
  type    = number
  default = 2
}
data "coder_parameter" "os" {
  name    = "operating-system"
  default = "linux"
}
data "coder_parameter" "cpu" {
  name    = "cpu"
  type    = "number"
  default = 4
}
data "coder_parameter" "bare" { name = "bare" }
data "coder_parameter" "list" {
  name    = "list"
  type    = "list(string)"
  default = jsonencode(["a"])
}
data "coder_parameter" "loop" { name = data.coder_parameter.loop.value }
data "coder_workspace_tags" "tags" {
  tags = {
TAGS
  }
}`

func TestEvaluateTags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tags                  string
		variables, parameters map[string]string
		want                  map[string]string
		err                   string
	}{
		"literals":                 {tags: "zone = \"eu\"\n \"n\" = 3\n b = true", want: map[string]string{"zone": "eu", "n": "3", "b": "true"}},
		"a default of a variable":  {tags: `env = var.env`, want: map[string]string{"env": "prod"}},
		"a value of a variable":    {tags: `env = "x-${var.env}"`, variables: map[string]string{"env": "dev"}, want: map[string]string{"env": "x-dev"}},
		"a list":                   {tags: `z = var.zones[1]`, variables: map[string]string{"zones": `["a", "b"]`}, want: map[string]string{"z": "b"}},
		"a number":                 {tags: `z = var.n + 1`, variables: map[string]string{"n": "41"}, want: map[string]string{"z": "42"}},
		"a default of a parameter": {tags: `os = data.coder_parameter.os.value`, want: map[string]string{"os": "linux"}},
		"a value by the parameter's name": {tags: `os = data.coder_parameter.os.value == "windows" ? "w" : "l"`,
			parameters: map[string]string{"operating-system": "windows"}, want: map[string]string{"os": "w"}},
		"a key that is an expression":          {tags: `(var.env) = "1"` + "\n" + `"${data.coder_parameter.cpu.value}-cores" = ""`, want: map[string]string{"prod": "1", "4-cores": ""}},
		"functions":                            {tags: `z = replace(lower(format("%s-%s", "A", join("", ["B"]))), "-", "_")`, want: map[string]string{"z": "a_b"}},
		"a variable that is not used is fine":  {tags: `a = "b"`, want: map[string]string{"a": "b"}},
		"a required variable":                  {tags: `a = var.needed`, err: `main.tf:30: workspace tag a: var.needed has neither a value nor a default`},
		"a parameter without default":          {tags: `a = data.coder_parameter.bare.value`, err: `parameter "bare" has neither a value nor a default`},
		"an unknown variable":                  {tags: `a = var.nope`, err: "var.nope is not declared"},
		"an unknown parameter":                 {tags: `a = data.coder_parameter.nope.value`, err: "data.coder_parameter.nope is not declared"},
		"a list parameter":                     {tags: `a = data.coder_parameter.list.value`, err: "string, number and bool only"},
		"another attribute":                    {tags: `a = data.coder_parameter.os.id`, err: "data.coder_parameter.os.id cannot be used here"},
		"a local":                              {tags: `a = local.x`, err: "local.x cannot be used here"},
		"another data source":                  {tags: `a = data.coder_workspace_owner.me.name`, err: "cannot be used here"},
		"a key twice":                          {tags: "a = 1\n(lower(\"A\")) = 2", err: `main.tf:31: workspace tag (lower("A")): the key "a" is there twice`},
		"an empty key":                         {tags: `"" = 2`, err: "the key is empty"},
		"null":                                 {tags: `a = null`, err: "null"},
		"a map as value":                       {tags: `a = {}`, err: "no string, number or boolean"},
		"a function that reads files":          {tags: `a = file("/etc/passwd")`, err: "no function named \"file\""},
		"a number that is none":                {tags: `a = var.n`, variables: map[string]string{"n": "many"}, err: `variable "n": "many" is no number`},
		"a list that is none":                  {tags: `a = var.zones[0]`, variables: map[string]string{"zones": "a,b"}, err: "no expression of type list(string)"},
		"a parameter that names itself":        {tags: `a = data.coder_parameter.loop.value`, err: "cannot be used here"},
		"a loop":                               {tags: `a = join("", [for x in [1, 2] : x])`, err: "Loop"},
		"a width that fills the memory":        {tags: `a = format("%999999999s", "x")`, err: "four digits"},
		"a list that is deeper than the stack": {tags: `a = var.zones[0]`, variables: map[string]string{"zones": strings.Repeat("[", 1<<20)}, err: "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := read(t, "main.tf", strings.Replace(tagSource, "TAGS", c.tags, 1))
			require.True(t, s.HasTags())
			got, err := s.EvaluateTags(c.variables, c.parameters)
			if c.err == "" {
				require.NoError(t, err)
				require.Equal(t, c.want, got)
				return
			}
			require.ErrorContains(t, err, c.err)
			var wrong *template.Error
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, "main.tf", wrong.Problems[0].File)
		})
	}
}

func TestTagsThatAreNoMap(t *testing.T) {
	t.Parallel()
	_, err := template.Read(files("main.tf", "data \"coder_workspace_tags\" \"t\" {\n  tags = var.x\n}"))
	require.ErrorContains(t, err, "main.tf:2: Workspace tags are no map")
	s := read(t, "main.tf", `data "coder_workspace_tags" "t" { tags = { "zone" = var.z } }`)
	require.Equal(t, map[string]string{`"zone"`: "var.z"}, s.TagExpressions())
	tags, err := read(t, "main.tf", "").EvaluateTags(nil, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]string{}, tags)
}

// Source that is small and would take the stack, the memory or for ever.
func TestHostileSourceIsRefusedQuickly(t *testing.T) {
	t.Parallel()
	started := time.Now()
	loops := strings.Repeat("[for x in [1,2,3,4,5,6,7,8,9,10] : ", 30) + "x" + strings.Repeat("]", 30)
	for name, fsys := range map[string]fstest.MapFS{
		"brackets":           files("a.tf", "x = "+strings.Repeat("[", 100_000)),
		"hidden brackets":    files("a.tf", "x = "+strings.Repeat("[ # ]\n", 20_000)),
		"parentheses":        files("a.tf", "x = "+strings.Repeat("(", 100_000)),
		"templates":          files("a.tf", "x = "+strings.Repeat(`"${`, 100_000)),
		"not not not":        files("a.tf", "x = "+strings.Repeat("!", 100_000)+"true"),
		"minus":              files("a.tf", "x = "+strings.Repeat("-", 100_000)+"1"),
		"a very long sum":    files("a.tf", "x = 1"+strings.Repeat("+1", 50_000)),
		"conditions":         files("a.tf", "x = "+strings.Repeat("true ? 1 : ", 20_000)+"1"),
		"blocks":             files("a.tf", strings.Repeat("a {\n", 40_000)),
		"JSON":               files("a.tf.json", strings.Repeat("[", 1_000_000)),
		"JSON with strings":  files("a.tf.json", strings.Repeat(`{"]}":`, 100_000)),
		"loops in a default": files("a.tf", "variable \"x\" {\n  default = "+loops+"\n}"),
		"a large file":       files("a.tf", strings.Repeat("#", 1<<20+1)),
	} {
		_, err := template.Read(fsys)
		var wrong *template.Error
		require.ErrorAs(t, err, &wrong, name)
		require.Contains(t, err.Error(), "a.tf", name)
	}
	require.Less(t, time.Since(started), 5*time.Minute, "a guard against sources that take for ever, not a measurement")
}

func TestReadTFVars(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"terraform.tfvars":      "a = \"hcl\"\nb = 2\nlist = [\"x\", \"y\"]\non = true\nobj = { k = 1 }\nnone = null\n",
		"terraform.tfvars.json": `{"a": "json", "c": 1.50}`,
		"z.auto.tfvars":         `b = 3`,
		"b.auto.tfvars.json":    `{"b": 4, "d": {"k": ["v"]}}`,
		"other.tfvars":          `a = "never"`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	names, err := template.VariablesFiles(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"terraform.tfvars", "terraform.tfvars.json", "b.auto.tfvars.json", "z.auto.tfvars"}, names)
	values, err := template.ReadTFVars(dir)
	require.NoError(t, err)
	require.Equal(t, []client.VariableValue{
		{Name: "a", Value: "json"}, {Name: "b", Value: "3"}, {Name: "c", Value: "1.5"}, {Name: "d", Value: `{"k":["v"]}`},
		{Name: "list", Value: `["x","y"]`}, {Name: "obj", Value: `{"k":1}`}, {Name: "on", Value: "true"},
	}, values)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "z.auto.tfvars"), []byte("b = 3\nc = local.x\n"), 0o600))
	_, err = template.ReadTFVars(dir)
	require.ErrorContains(t, err, "z.auto.tfvars:2: ")
}

func TestVariablesFile(t *testing.T) {
	t.Parallel()
	values, err := template.ParseVariablesFile("v.yaml", []byte("a: \"1.10\"\nb: 1.10\nc: [x, 2]\nd:\ne: true\nf: {k: v}\n"))
	require.NoError(t, err)
	require.Equal(t, []client.VariableValue{
		{Name: "a", Value: "1.10"}, {Name: "b", Value: "1.10"}, {Name: "c", Value: `["x",2]`}, {Name: "e", Value: "true"}, {Name: "f", Value: `{"k":"v"}`},
	}, values)
	_, err = template.ParseVariablesFile("v.yaml", []byte("- a\n"))
	require.ErrorContains(t, err, "v.yaml is no YAML map")
	_, err = template.ReadVariablesFile(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorContains(t, err, "does not exist")

	v, err := template.ParseVariable("k=v=w")
	require.NoError(t, err)
	require.Equal(t, client.VariableValue{Name: "k", Value: "v=w"}, v)
	for _, bad := range []string{"k", "=v", ""} {
		_, err = template.ParseVariable(bad)
		require.ErrorContains(t, err, "name=value")
	}
	require.Equal(t, []client.VariableValue{{Name: "a", Value: "2"}, {Name: "b", Value: "1"}},
		template.MergeValues([]client.VariableValue{{Name: "b", Value: "1"}, {Name: "a", Value: "1"}}, []client.VariableValue{{Name: "a", Value: "2"}}))
}

// The file is right when Terraform makes of it what it makes of -var.
func TestVariablesFileMeansWhatTerraformsFlagMeans(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := `
variable "s" { type = string }
variable "n" { type = number }
variable "b" { type = bool }
variable "l" { type = list(string) }
variable "m" { type = map(number) }
variable "any" { type = any }
variable "untyped" {}
output "all" { value = jsonencode([var.s, var.n, var.b, var.l, var.m, var.any, var.untyped]) }
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.tf"), []byte(source), 0o600))
	s := read(t, "main.tf", source)
	given := []client.VariableValue{
		{Name: "s", Value: "${x} \"q\"\nünï"}, {Name: "n", Value: "1.50"}, {Name: "b", Value: "true"}, {Name: "l", Value: `["a", "b"]`},
		{Name: "m", Value: `{ a = 1 }`}, {Name: "any", Value: `{"k": [1, "x", null]}`}, {Name: "untyped", Value: `["as text"]`}, {Name: "gone", Value: "x"},
	}
	content, err := s.VariablesFile(given)
	require.NoError(t, err)
	path := filepath.Join(dir, "values.json")
	require.NoError(t, os.WriteFile(path, content, 0o600))

	apply := func(state string, args ...string) string {
		state = filepath.Join(dir, state)
		cmd := exec.Command("terraform", append([]string{"apply", "-auto-approve", "-input=false", "-no-color", "-state=" + state}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		var document struct {
			Outputs struct{ All struct{ Value string } }
		}
		text, err := os.ReadFile(state)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &document))
		return document.Outputs.All.Value
	}
	var flags []string
	for _, v := range given[:len(given)-1] {
		flags = append(flags, "-var", v.Name+"="+v.Value)
	}
	require.Equal(t, apply("flags", flags...), apply("file", "-var-file="+path))

	_, err = s.VariablesFile([]client.VariableValue{{Name: "l", Value: "a,b"}})
	require.ErrorContains(t, err, `variable "l": the value is no expression of type list(string)`)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(tagSource), []byte(`{"variable": {"x": {"default": "y"}}}`), "v")
	f.Fuzz(func(t *testing.T, native, asJSON []byte, value string) {
		s, err := template.Read(fstest.MapFS{"a.tf": {Data: native}, "b.tf.json": {Data: asJSON}})
		if err != nil {
			return
		}
		values := map[string]string{}
		var list []client.VariableValue
		for _, v := range s.Variables {
			values[v.Name] = value
			list = append(list, client.VariableValue{Name: v.Name, Value: value})
		}
		_, _ = s.EvaluateTags(values, map[string]string{"os": value})
		if data, err := s.VariablesFile(list); err == nil {
			require.True(t, json.Valid(data))
		}
	})
}

func TestParseReadme(t *testing.T) {
	t.Parallel()
	matter, body, err := template.ParseReadme("---\r\ndisplay_name: A box\r\nicon: /icon/x.svg\ntags: [a, b]\nother: 1\n---\n\n# Text\n---\n")
	require.NoError(t, err)
	require.Equal(t, template.FrontMatter{DisplayName: "A box", Icon: "/icon/x.svg", Tags: []string{"a", "b"}}, matter)
	require.Equal(t, "# Text\n---\n", body)
	for _, plain := range []string{"", "# Text", "---\nnever closed: true\n"} {
		matter, body, err = template.ParseReadme(plain)
		require.NoError(t, err)
		require.Equal(t, template.FrontMatter{}, matter)
		require.Equal(t, plain, body)
	}
	_, _, err = template.ParseReadme("---\n- a\n---\n")
	require.ErrorContains(t, err, "README.md is no YAML map")
}
