package terraform

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// plan is the JSON that show prints of a plan, as far as the daemon reads it.
type plan struct {
	PlannedValues struct {
		RootModule planModule `json:"root_module"`
	} `json:"planned_values"`
	PriorState struct {
		Values struct {
			RootModule planModule `json:"root_module"`
		} `json:"values"`
	} `json:"prior_state"`
}

type planModule struct {
	Resources    []planResource `json:"resources"`
	ChildModules []planModule   `json:"child_modules"`
}

type planResource struct {
	Address string          `json:"address"`
	Mode    string          `json:"mode"`
	Type    string          `json:"type"`
	Name    string          `json:"name"`
	Index   json.RawMessage `json:"index"`
	Values  attributes      `json:"values"`
}

func parsePlan(content []byte) (*plan, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	parsed := &plan{}
	if err := decoder.Decode(parsed); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	return parsed, nil
}

// objects are the data sources that were read for the plan, which stand in
// its prior state, and all that the plan will make.
func (p *plan) objects() []object {
	objects := []object{}
	seen := map[string]bool{}
	p.PriorState.Values.RootModule.walk(func(r planResource) {
		if r.Mode != managed {
			seen[r.Address] = true
			objects = append(objects, r.object())
		}
	})
	p.PlannedValues.RootModule.walk(func(r planResource) {
		if !seen[r.Address] {
			objects = append(objects, r.object())
		}
	})
	return objects
}

func (m planModule) walk(visit func(planResource)) {
	for _, resource := range m.Resources {
		visit(resource)
	}
	for _, child := range m.ChildModules {
		child.walk(visit)
	}
}

func (r planResource) object() object {
	return newObject(r.Address, r.Mode, r.Type, r.Name, string(r.Index), r.Values)
}
