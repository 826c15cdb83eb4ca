package terraform

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Salvaged is what a merge finds of one object that nobody else knows.
type Salvaged struct {
	Address string
	// ID is the object's own, where it has one that may be told: people read
	// it in logs, so one that the state marks as sensitive is left out.
	ID string
	// Deposed is the key under which the next apply destroys it; empty where
	// it has become the current object of its address.
	Deposed string
	// Held is why it was left out; empty when it was merged.
	Held string
}

// Merge puts what salvaged states hold, and nobody else knows, into a state.
type Merge struct {
	state     document
	inventory *Inventory
	serial    int64
	changed   bool
}

// MergeRules say what may be merged.
type MergeRules struct {
	// Destroying: everything in the state is about to be destroyed, so it does
	// not matter whether an object may be one that is known.
	Destroying bool
	// Provides tells whether the template configures a provider, as states
	// spell it. The engine does not even plan with a state that it cannot read.
	Provides func(provider string) bool
}

// Inventory is the managed objects of a state, as far as it matters whether
// another state holds the same ones.
type Inventory struct {
	objects []stored
}

// stored is one managed object as a state holds it.
type stored struct {
	resource map[string]json.RawMessage // without its instances
	instance map[string]json.RawMessage
	module   string
	kind     string
	name     string
	provider string
	index    string
	deposed  string
	id       string
	// secret: the state marks the id as sensitive.
	secret     bool
	attributes any
}

// document is a state file of which nothing is lost that this package does
// not know.
type document struct {
	fields    map[string]json.RawMessage
	resources []map[string]json.RawMessage
}

// NewMerge begins with a state; no bytes at all are a workspace that has none.
func NewMerge(current []byte) (*Merge, error) {
	m := &Merge{inventory: &Inventory{}}
	if len(current) == 0 {
		return m, nil
	}
	parsed, err := ParseState(current)
	if err != nil {
		return nil, err
	}
	m.serial = parsed.Serial
	if m.state, err = readDocument(current); err != nil {
		return nil, err
	}
	m.inventory, err = TakeInventory(current)
	return m, err
}

func readDocument(content []byte) (document, error) {
	d := document{}
	if err := json.Unmarshal(content, &d.fields); err != nil {
		return d, fmt.Errorf("read the state: %w", err)
	}
	if raw := d.fields["resources"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &d.resources); err != nil {
			return d, fmt.Errorf("read the state's resources: %w", err)
		}
	}
	return d, nil
}

// TakeInventory lists the managed objects of a state.
func TakeInventory(content []byte) (*Inventory, error) {
	inventory := &Inventory{}
	if len(content) == 0 {
		return inventory, nil
	}
	if _, err := ParseState(content); err != nil {
		return nil, err
	}
	d, err := readDocument(content)
	if err != nil {
		return nil, err
	}
	for _, resource := range d.resources {
		if text(resource["mode"]) != managed {
			continue
		}
		instances := []map[string]json.RawMessage{}
		if raw := resource["instances"]; len(raw) > 0 {
			if err := json.Unmarshal(raw, &instances); err != nil {
				return nil, fmt.Errorf("read the instances of a resource in the state: %w", err)
			}
		}
		for _, instance := range instances {
			if instance == nil {
				continue // JSON's null, which no engine writes, is no object
			}
			object, err := newStored(resource, instance)
			if err != nil {
				return nil, err
			}
			inventory.objects = append(inventory.objects, object)
		}
	}
	return inventory, nil
}

// text reads a JSON string; anything else is none.
func text(raw json.RawMessage) string {
	value := ""
	if json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return value
}

func newStored(resource, instance map[string]json.RawMessage) (stored, error) {
	bare := maps.Clone(resource)
	delete(bare, "instances")
	o := stored{
		resource: bare, instance: instance, module: text(resource["module"]), kind: text(resource["type"]), name: text(resource["name"]),
		provider: text(resource["provider"]), deposed: text(instance["deposed"]),
	}
	if raw := instance["index_key"]; len(raw) > 0 && string(raw) != "null" {
		o.index = compact(raw)
	}
	raw := cmp.Or(string(instance["attributes"]), string(instance["attributes_flat"]), "null")
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&o.attributes); err != nil {
		return o, fmt.Errorf("read the attributes of %s in the state: %w", o.address(), err)
	}
	if values, ok := o.attributes.(map[string]any); ok {
		switch id := values["id"].(type) {
		case string:
			o.id = id
		case json.Number:
			o.id = id.String()
		}
		o.secret = o.id != "" && isSensitive(instance["sensitive_attributes"], "id")
	}
	if identity := instance["identity"]; o.id == "" && len(identity) > 0 && string(identity) != "null" {
		o.id = compact(identity)
	}
	return o, nil
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}

func (o stored) address() string {
	return stateResource{Module: o.module, Mode: managed, Type: o.kind, Name: o.name}.address(stateInstance{IndexKey: json.RawMessage(o.index)})
}

// known tells of each object whether the other state holds the same one, and
// of which nobody can tell. An object is known by its id, first at its own
// address and then, because addresses move, at another; of what other stands
// for, each object stands for one only, because there are types whose ids are
// not unique.
func (i *Inventory) known(other *Inventory) (known, unclear []bool) {
	known, unclear = make([]bool, len(i.objects)), make([]bool, len(i.objects))
	taken := make([]bool, len(other.objects))
	claim := func(same func(mine, theirs stored) bool) {
		for at, mine := range i.objects {
			for there, theirs := range other.objects {
				if !known[at] && !taken[there] && same(mine, theirs) {
					known[at], taken[there] = true, true
				}
			}
		}
	}
	claim(func(mine, theirs stored) bool {
		if mine.address() != theirs.address() || mine.id != theirs.id {
			return false
		}
		return mine.id != "" || reflect.DeepEqual(mine.attributes, theirs.attributes)
	})
	claim(func(mine, theirs stored) bool {
		return mine.id != "" && mine.id == theirs.id && mine.kind == theirs.kind
	})
	for at, mine := range i.objects {
		unclear[at] = !known[at] && slices.ContainsFunc(other.objects, func(theirs stored) bool {
			return mine.id == "" && theirs.id == "" && mine.address() == theirs.address()
		})
	}
	return known, unclear
}

// Add merges the objects of a salvaged state that none of the states that
// know of earlier and later times holds, nor this one: what is in one of
// them was destroyed since, or is here. An object whose address is free
// becomes current, any other deposed. What it did with each is told.
func (m *Merge) Add(content []byte, known []*Inventory, rules MergeRules) ([]Salvaged, error) {
	salvage, err := TakeInventory(content)
	if err != nil {
		return nil, err
	}
	isKnown, isUnclear := make([]bool, len(salvage.objects)), make([]bool, len(salvage.objects))
	for _, other := range append([]*Inventory{m.inventory}, known...) {
		here, unclear := salvage.known(other)
		for at := range salvage.objects {
			isKnown[at], isUnclear[at] = isKnown[at] || here[at], isUnclear[at] || unclear[at]
		}
	}
	found := []Salvaged{}
	for at, object := range salvage.objects {
		if isKnown[at] {
			continue
		}
		told := Salvaged{Address: object.address()}
		if !object.secret {
			told.ID = object.id
		}
		told.Held = m.hold(object, isUnclear[at], rules)
		if told.Held == "" {
			if told.Deposed, err = m.take(object, content); err != nil {
				return nil, err
			}
		}
		found = append(found, told)
	}
	return found, nil
}

// hold says why an object cannot be merged.
func (m *Merge) hold(object stored, unclear bool, rules MergeRules) string {
	if rules.Provides != nil && !rules.Provides(object.provider) {
		return "this version of the template has no " + object.provider + ", without which nothing can be done with it"
	}
	if there := m.resource(object); there != nil && text(there["provider"]) != object.provider {
		return "what stands at its address is managed by " + text(there["provider"]) + ", and this by " + object.provider
	}
	if unclear && !rules.Destroying {
		return "it has no id, so it cannot be told whether it is what stands, or stood, at its address"
	}
	return ""
}

// resource finds the entry of an object's resource.
func (m *Merge) resource(object stored) map[string]json.RawMessage {
	for _, r := range m.state.resources {
		if text(r["mode"]) == managed && text(r["module"]) == object.module && text(r["type"]) == object.kind && text(r["name"]) == object.name {
			return r
		}
	}
	return nil
}

// take adds an object, and tells its deposed key.
func (m *Merge) take(object stored, from []byte) (string, error) {
	if err := m.begin(from); err != nil {
		return "", err
	}
	object.instance = maps.Clone(object.instance)
	if key := m.deposedKey(object); key != "" {
		object.deposed, object.instance["deposed"] = key, json.RawMessage(`"`+key+`"`)
	}
	entry := m.resource(object)
	if entry == nil {
		entry = maps.Clone(object.resource)
		m.state.resources = append(m.state.resources, entry)
	}
	instances := []json.RawMessage{}
	if raw := entry["instances"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &instances); err != nil {
			return "", fmt.Errorf("read the instances of %s in the state: %w", object.address(), err)
		}
	}
	instance, err := encode(object.instance)
	if err != nil {
		return "", err
	}
	if entry["instances"], err = encode(append(instances, instance)); err != nil {
		return "", err
	}
	m.inventory.objects = append(m.inventory.objects, object)
	m.changed = true
	return object.deposed, nil
}

// begin raises the serial above that of the salvaged state. Where there was
// none before, that state says what else is in the new one.
func (m *Merge) begin(from []byte) error {
	parsed, err := ParseState(from)
	if err != nil {
		return err
	}
	m.serial = max(m.serial, parsed.Serial)
	if m.state.fields != nil {
		return nil
	}
	source, err := readDocument(from)
	if err != nil {
		return err
	}
	m.state.fields = map[string]json.RawMessage{"outputs": json.RawMessage("{}"), "check_results": json.RawMessage("null")}
	for _, name := range []string{"version", "terraform_version", "lineage"} {
		if raw := source.fields[name]; raw != nil {
			m.state.fields[name] = raw
		}
	}
	return nil
}

// deposedKey is empty where the object can be the current one of its address.
// Else it is eight hex digits that no other object there has, and the same
// ones each time.
func (m *Merge) deposedKey(object stored) string {
	occupied, keys := false, map[string]bool{}
	for _, other := range m.inventory.objects {
		if other.address() == object.address() {
			occupied, keys[other.deposed] = occupied || other.deposed == "", true
		}
	}
	key := object.deposed
	if key == "" && !occupied {
		return ""
	}
	for seed := 0; key == "" || keys[key]; seed++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", object.address(), object.id, seed))
		key = hex.EncodeToString(sum[:4])
	}
	return key
}

// Changed tells whether anything was merged.
func (m *Merge) Changed() bool { return m.changed }

// State is the merged state, under a serial that no part of it had.
func (m *Merge) State() ([]byte, error) {
	fields := maps.Clone(m.state.fields)
	fields["serial"] = fmt.Appendf(nil, "%d", m.serial+1)
	var err error
	if fields["resources"], err = encode(m.state.resources); err != nil {
		return nil, err
	}
	raw, err := encode(fields)
	if err != nil {
		return nil, err
	}
	if _, err := ParseState(raw); err != nil {
		return nil, fmt.Errorf("merge salvage into the state: %w", err)
	}
	return raw, nil
}

// encode writes JSON as engines do, without escapes for HTML.
func encode(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("write the state: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// Managed counts the managed objects of a state, deposed ones among them.
func (s *State) Managed() int {
	count := 0
	for _, resource := range s.Resources {
		if resource.Mode == managed {
			count += len(resource.Instances)
		}
	}
	return count
}

// Configures tells whether a template has a provider configuration that
// states spell so. A template's graph names them all; the engine makes an
// empty one for a root provider that the template only asks for.
func (g *Graph) Configures(provider string) bool {
	if strings.Contains(provider, `["terraform.io/builtin/`) {
		return true
	}
	implied := strings.HasPrefix(provider, "provider[") && strings.HasSuffix(provider, "]")
	return slices.ContainsFunc(g.Nodes, func(node string) bool {
		return node == provider || (implied && strings.Contains(node, provider))
	})
}

// Providers lists the provider configurations of a state's managed objects.
func (i *Inventory) Providers() map[string]bool {
	providers := map[string]bool{}
	for _, object := range i.objects {
		providers[object.provider] = true
	}
	return providers
}

// List names the objects as address=id, deposed ones as address~=id, sorted.
func (i *Inventory) List() []string {
	list := []string{}
	for _, object := range i.objects {
		mark := "="
		if object.deposed != "" {
			mark = "~="
		}
		list = append(list, object.address()+mark+object.id)
	}
	slices.Sort(list)
	return list
}
