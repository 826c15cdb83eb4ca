package terraform

import (
	"encoding/json"
	"fmt"
	"math"

	"coder/client"
)

const typeMetadata = "coder_metadata"

// maxCost bounds what one workspace may say that it costs a day.
const maxCost = math.MaxInt32

// Pricing reads from the JSON of a plan what it will cost a day, and whether
// the template gives a cost to anything, with these values or with others.
func Pricing(planJSON []byte) (cost int, priced bool, err error) {
	parsed, err := parsePlan(planJSON)
	if err != nil {
		return 0, false, err
	}
	configuration := struct {
		Configuration struct {
			RootModule configModule `json:"root_module"`
		} `json:"configuration"`
	}{}
	if err := json.Unmarshal(planJSON, &configuration); err != nil {
		return 0, false, fmt.Errorf("read the plan's configuration: %w", err)
	}
	cost = costOf(parsed.objects())
	return cost, cost > 0 || configuration.Configuration.RootModule.priced(), nil
}

// CostOfState is the daily cost of all metadata in a state.
func CostOfState(state *State) int { return costOf(state.objects()) }

// costOf adds up the metadata, whatever it points at. A cost below zero is
// none: it must not pay for others.
func costOf(objects []object) int {
	cost := 0
	for _, o := range objects {
		if o.Mode == managed && o.Type == typeMetadata {
			cost = addCost(cost, o.Values.number("daily_cost"))
		}
	}
	return cost
}

func addCost(sum, more int) int { return min(sum+min(max(more, 0), maxCost), maxCost) }

// configModule is a module as the template declares it.
type configModule struct {
	Resources []struct {
		Mode        string                     `json:"mode"`
		Type        string                     `json:"type"`
		Expressions map[string]json.RawMessage `json:"expressions"`
	} `json:"resources"`
	ModuleCalls map[string]struct {
		Module configModule `json:"module"`
	} `json:"module_calls"`
}

func (m configModule) priced() bool {
	for _, r := range m.Resources {
		if r.Mode == managed && r.Type == typeMetadata && mayCost(r.Expressions["daily_cost"]) {
			return true
		}
	}
	for _, call := range m.ModuleCalls {
		if call.Module.priced() {
			return true
		}
	}
	return false
}

// mayCost: the expression is there, and is not the constant 0.
func mayCost(expression json.RawMessage) bool {
	if len(expression) == 0 {
		return false
	}
	constant := struct {
		Value *float64 `json:"constant_value"`
	}{}
	return json.Unmarshal(expression, &constant) != nil || constant.Value == nil || *constant.Value > 0
}

// StandingCost is what the resources in a state and those in doubt cost a
// day. The metadata of a resource comes after it, so that a build that ended
// half-way may hold one without the other: such a resource costs what the
// earlier readings, the latest first, say of its address.
func StandingCost(state []client.ProvisionedResource, doubtful []string, readings ...[]client.ProvisionedResource) int {
	said := func(address string) int {
		for _, reading := range readings {
			for _, r := range reading {
				if r.Address == address {
					return r.DailyCost
				}
			}
		}
		return 0
	}
	cost := 0
	stands := map[string]bool{}
	for _, r := range state {
		stands[r.Address] = true
		own := r.DailyCost
		if own == 0 {
			own = said(r.Address)
		}
		cost = addCost(cost, own)
	}
	for _, address := range doubtful {
		if !stands[address] {
			cost = addCost(cost, said(address))
		}
	}
	return cost
}
