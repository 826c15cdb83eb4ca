package terraform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// managed is the mode of resources, as opposed to data sources.
const managed = "managed"

// State is a Terraform state file, as far as the daemon reads it.
type State struct {
	Version   int             `json:"version"`
	Serial    int64           `json:"serial"`
	Lineage   string          `json:"lineage"`
	Resources []stateResource `json:"resources"`
}

type stateResource struct {
	Module    string          `json:"module"`
	Mode      string          `json:"mode"`
	Type      string          `json:"type"`
	Name      string          `json:"name"`
	Instances []stateInstance `json:"instances"`
}

type stateInstance struct {
	IndexKey   json.RawMessage `json:"index_key"`
	Status     string          `json:"status"`
	Deposed    string          `json:"deposed"`
	Attributes attributes      `json:"attributes"`
}

// ParseState reads a whole state file. Anything cut off, empty or of another
// version is an error; no bytes at all are an empty state.
func ParseState(content []byte) (*State, error) {
	if len(content) == 0 {
		return &State{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	state := &State{}
	if err := decoder.Decode(state); err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("read the state: there is something behind its end")
	}
	if state.Version != 4 {
		return nil, fmt.Errorf("read the state: format version %d, not 4", state.Version)
	}
	if state.Lineage == "" {
		return nil, errors.New("read the state: it has no lineage")
	}
	return state, nil
}

// Empty tells whether the state holds no managed resource.
func (s *State) Empty() bool {
	for _, resource := range s.Resources {
		if resource.Mode == managed && len(resource.Instances) > 0 {
			return false
		}
	}
	return true
}

// Has tells whether a managed resource is current at an address: a deposed
// object there does not count.
func (s *State) Has(address string) bool {
	_, found := s.current(address)
	return found
}

func (s *State) current(address string) (attributes, bool) {
	for _, resource := range s.Resources {
		for _, instance := range resource.Instances {
			if resource.Mode == managed && instance.Deposed == "" && resource.address(instance) == address {
				return instance.Attributes, true
			}
		}
	}
	return nil, false
}

// Records tells whether the state holds what was made at an address after
// before: that there is something is not enough, because it may be what stood
// there earlier. id is that of the made thing, where it is known.
func (s *State) Records(address, id string, before *State) bool {
	now, found := s.current(address)
	if !found {
		return false
	}
	if id != "" && now.text("id") != "" {
		return id == now.text("id")
	}
	earlier, was := before.current(address)
	if !was {
		return true
	}
	if earlier.text("id") != "" && now.text("id") != "" {
		return earlier.text("id") != now.text("id")
	}
	return !reflect.DeepEqual(earlier, now)
}

// Tainted lists the addresses of resources that the next apply destroys and
// makes again.
func (s *State) Tainted() []string {
	addresses := []string{}
	for _, resource := range s.Resources {
		for _, instance := range resource.Instances {
			if resource.Mode == managed && instance.Status == "tainted" {
				addresses = append(addresses, resource.address(instance))
			}
		}
	}
	return addresses
}

func (r stateResource) address(instance stateInstance) string {
	address := r.Type + "." + r.Name
	if r.Mode != managed {
		address = "data." + address
	}
	if r.Module != "" {
		address = r.Module + "." + address
	}
	if len(instance.IndexKey) > 0 {
		address += "[" + string(instance.IndexKey) + "]"
	}
	return address
}

func (s *State) objects() []object {
	objects := []object{}
	for _, resource := range s.Resources {
		for _, instance := range resource.Instances {
			if instance.Deposed != "" {
				continue
			}
			objects = append(objects, newObject(resource.address(instance), resource.Mode, resource.Type, resource.Name, string(instance.IndexKey), instance.Attributes))
		}
	}
	return objects
}

// attributes are a resource's values, numbers being json.Number.
type attributes map[string]any

func (a attributes) text(name string) string {
	value, _ := a[name].(string)
	return value
}

func (a attributes) truth(name string) bool {
	value, _ := a[name].(bool)
	return value
}

func (a attributes) number(name string) int {
	number, ok := a[name].(json.Number)
	if !ok {
		return 0
	}
	value, err := strconv.ParseFloat(number.String(), 64)
	if err != nil {
		return 0
	}
	return int(value)
}

// blocks reads nested blocks, which are lists of objects even when there can
// be only one.
func (a attributes) blocks(name string) []attributes {
	list, _ := a[name].([]any)
	blocks := []attributes{}
	for _, entry := range list {
		if block, ok := entry.(map[string]any); ok {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

func (a attributes) texts(name string) map[string]string {
	object, _ := a[name].(map[string]any)
	texts := map[string]string{}
	for key, value := range object {
		if text, ok := value.(string); ok {
			texts[key] = text
		}
	}
	return texts
}
