package terraform

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"coder/client"
)

// Files of a job's directory.
const (
	StateFile = "terraform.tfstate"
	PlanFile  = "terraform.tfplan"
)

func (e Engine) initArguments() []string {
	arguments := []string{"init", "-no-color", "-input=false"}
	if e.initSpeaksJSON() {
		arguments = append(arguments, "-json")
	}
	return arguments
}

// PlanArguments plan into PlanFile.
func (e Engine) PlanArguments(variablesFile string, destroy bool) []string {
	arguments := []string{e.Path, "plan", "-no-color", "-input=false", "-json", "-out=" + PlanFile}
	return withOptions(arguments, variablesFile, destroy)
}

// ApplyArguments plan and apply in one run.
func (e Engine) ApplyArguments(variablesFile string, destroy bool) []string {
	arguments := []string{e.Path, "apply", "-no-color", "-input=false", "-json", "-auto-approve"}
	return withOptions(arguments, variablesFile, destroy)
}

// ApplyPlanArguments apply PlanFile.
func (e Engine) ApplyPlanArguments() []string {
	return []string{e.Path, "apply", "-no-color", "-input=false", "-json", "-auto-approve", PlanFile}
}

// ShowArguments print PlanFile as JSON.
func (e Engine) ShowArguments() []string {
	return []string{e.Path, "show", "-no-color", "-json", PlanFile}
}

// GraphArguments print the graph of a plan as DOT.
func (e Engine) GraphArguments() []string { return []string{e.Path, "graph", "-type=plan"} }

func withOptions(arguments []string, variablesFile string, destroy bool) []string {
	if destroy {
		arguments = append(arguments, "-destroy")
	}
	if variablesFile != "" {
		arguments = append(arguments, "-var-file="+variablesFile)
	}
	return arguments
}

// WriteVariables writes the values of a job's variables for the engine, in a
// file that only its owner reads, because command lines are public.
func (p *Prepared) WriteVariables(path string, variables []client.JobVariable) error {
	values := map[string]json.RawMessage{}
	for _, variable := range variables {
		value, err := variableValue(variable.Value, p.types[variable.Name])
		if err != nil {
			return fmt.Errorf("variable %s: %w", variable.Name, err)
		}
		values[variable.Name] = value
	}
	content, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("write the variables: %w", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write the variables: %w", err)
	}
	return nil
}

// variableValue reads a value as -var would: plain text for a variable of a
// primitive type or none, an expression for every other.
func variableValue(text, kind string) (json.RawMessage, error) {
	switch strings.TrimSpace(kind) {
	case "", "string", "number", "bool":
		return json.Marshal(text)
	}
	expression, diags := hclsyntax.ParseExpression([]byte(text), "value", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, fmt.Errorf("the value is no expression of type %s: %w", kind, diags)
	}
	value, diags := expression.Value(nil)
	if diags.HasErrors() {
		return nil, fmt.Errorf("the value is no expression of type %s: %w", kind, diags)
	}
	return ctyjson.Marshal(value, value.Type())
}

// ReadState returns the state that a job's directory holds, or nothing.
func ReadState(dir string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(dir, StateFile))
	if os.IsNotExist(err) {
		return nil, nil
	}
	return content, err
}
