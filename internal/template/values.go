package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"gopkg.in/yaml.v3"

	"coder/client"
	"coder/internal/archive"
)

// VariablesFiles are the names of the files in dir that Terraform would read
// for values by itself, in ascending precedence. They are never pushed.
func VariablesFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read template directory: %w", err)
	}
	var fixed, auto []string
	for _, e := range entries {
		switch {
		case e.IsDir() || !archive.IsVariablesFile(e.Name()):
		case strings.HasPrefix(e.Name(), "terraform.tfvars"):
			fixed = append(fixed, e.Name())
		default:
			auto = append(auto, e.Name())
		}
	}
	return append(fixed, auto...), nil
}

// ReadTFVars reads the values of dir's VariablesFiles, sorted by name. Where
// two files set a variable, the later one of the precedence wins. Values that
// are no strings are JSON.
func ReadTFVars(dir string) ([]client.VariableValue, error) {
	names, err := VariablesFiles(dir)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read variables: %w", err)
		}
		if err := parseTFVars(name, content, values); err != nil {
			return nil, err
		}
	}
	return sortedValues(values), nil
}

func parseTFVars(name string, content []byte, values map[string]string) error {
	file, diags := parseFile(name, content, strings.HasSuffix(name, ".json"))
	if err := templateError(diags); err != nil {
		return err
	}
	attributes, diags := file.Body.JustAttributes()
	for _, a := range attributes {
		value, valueDiags := evaluate(a.Expr, nil)
		diags = append(diags, valueDiags...)
		if valueDiags.HasErrors() || value.IsNull() {
			continue
		}
		text, err := valueText(value)
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: err.Error(), Subject: &a.NameRange})
		}
		values[a.Name] = text
	}
	return templateError(diags)
}

// ParseVariablesFile reads a YAML or JSON map of variable values, as
// --variables-file takes it, sorted by name. Scalars are taken as written,
// lists and maps become JSON, null is no value.
func ParseVariablesFile(name string, content []byte) ([]client.VariableValue, error) {
	var document map[string]yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("variables file %s is no YAML map of names to values: %w", name, err)
	}
	values := map[string]string{}
	for variable, node := range document {
		text, given, err := nodeText(node)
		if err != nil {
			return nil, fmt.Errorf("variables file %s: variable %q: %w", name, variable, err)
		}
		if given {
			values[variable] = text
		}
	}
	return sortedValues(values), nil
}

// ReadVariablesFile is ParseVariablesFile for a file.
func ReadVariablesFile(path string) ([]client.VariableValue, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("variables file %s does not exist", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read variables: %w", err)
	}
	return ParseVariablesFile(path, content)
}

func nodeText(node yaml.Node) (text string, given bool, err error) {
	if node.Kind == yaml.AliasNode {
		node = *node.Alias
	}
	if node.Kind == yaml.ScalarNode {
		return node.Value, node.Tag != "!!null", nil
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return "", false, err
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return "", false, fmt.Errorf("the value cannot be written as JSON: %w", err)
	}
	return string(encoded), true, nil
}

// ParseVariable reads name=value, as --variable takes it.
func ParseVariable(text string) (client.VariableValue, error) {
	name, value, ok := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return client.VariableValue{}, fmt.Errorf("variable %q: write it as name=value", text)
	}
	return client.VariableValue{Name: name, Value: value}, nil
}

// MergeValues joins lists of values, sorted by name; later lists win.
func MergeValues(lists ...[]client.VariableValue) []client.VariableValue {
	values := map[string]string{}
	for _, list := range lists {
		for _, v := range list {
			values[v.Name] = v.Value
		}
	}
	return sortedValues(values)
}

func sortedValues(values map[string]string) []client.VariableValue {
	out := make([]client.VariableValue, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, client.VariableValue{Name: name, Value: values[name]})
	}
	return out
}
