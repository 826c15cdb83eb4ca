package terraform

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"coder/client"
)

// ResourcesOfState reads what a state holds: the resources with the agents,
// apps, scripts and metadata that belong to them.
func ResourcesOfState(state *State, graph *Graph) ([]client.ProvisionedResource, error) {
	return extract(state.objects(), graph)
}

// ResourcesOfPlan reads the same from the JSON of a plan, where ids and
// tokens are not known yet.
func ResourcesOfPlan(planJSON []byte, graph *Graph) ([]client.ProvisionedResource, error) {
	parsed, err := parsePlan(planJSON)
	if err != nil {
		return nil, err
	}
	return extract(parsed.objects(), graph)
}

// extraction is one reading of a plan's or state's objects.
type extraction struct {
	objects []object
	graph   *Graph
	agents  []*agentEntry
	// metadata by the address of its target.
	metadata map[string]object
}

type agentEntry struct {
	object
	agent client.ProvisionedAgent
	env   map[string]string
}

func extract(objects []object, graph *Graph) ([]client.ProvisionedResource, error) {
	slices.SortStableFunc(objects, func(a, b object) int { return strings.Compare(a.Address, b.Address) })
	e := &extraction{objects: objects, graph: graph, metadata: map[string]object{}}
	for _, step := range []func() error{
		e.readAgents, e.readApps, e.readScripts, e.readEnvironment, e.readDevcontainers, e.readMetadata,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return e.resources()
}

// each visits the managed objects of one type.
func (e *extraction) each(kind string, visit func(object) error) error {
	for _, o := range e.objects {
		if o.Mode != managed || o.Type != kind {
			continue
		}
		if err := visit(o); err != nil {
			return fmt.Errorf("%s: %w", o.Address, err)
		}
	}
	return nil
}

// isPart: these describe agents and resources and are none themselves.
func isPart(kind string) bool {
	return slices.Contains([]string{"coder_agent", "coder_agent_instance", "coder_app", "coder_script", typeMetadata}, kind)
}

func (e *extraction) resources() ([]client.ProvisionedResource, error) {
	resources := []client.ProvisionedResource{}
	agentsOf, err := e.attachAgents()
	if err != nil {
		return nil, err
	}
	for _, o := range e.objects {
		if o.Mode != managed || isPart(o.Type) {
			continue
		}
		resource := client.ProvisionedResource{
			Address: o.Address, Type: o.Type, Name: o.Name, ModulePath: o.Module,
			InstanceType: instanceType(o), Metadata: []client.WorkspaceResourceMetadata{},
			Agents: nonNil(agentsOf[o.Address]),
		}
		if metadata, ok := e.metadata[o.Address]; ok {
			describe(&resource, metadata.Values)
		}
		resources = append(resources, resource)
	}
	return resources, nil
}

func describe(resource *client.ProvisionedResource, metadata attributes) {
	resource.Hide = metadata.truth("hide")
	resource.Icon = metadata.text("icon")
	resource.DailyCost = metadata.number("daily_cost")
	for _, item := range metadata.blocks("item") {
		resource.Metadata = append(resource.Metadata, client.WorkspaceResourceMetadata{
			Key: item.text("key"), Value: item.text("value"), Sensitive: item.truth("sensitive"),
		})
	}
}

func instanceType(o object) string {
	switch o.Type {
	case "google_compute_instance":
		return o.Values.text("machine_type")
	case "aws_instance", "aws_spot_instance_request":
		return o.Values.text("instance_type")
	case "azurerm_linux_virtual_machine", "azurerm_windows_virtual_machine":
		return o.Values.text("size")
	}
	return ""
}

// isHost tells whether there is a resource of this label that an agent can
// run in or metadata can describe.
func (e *extraction) isHost(label string) bool {
	return slices.ContainsFunc(e.objects, func(o object) bool {
		return o.Label == label && o.Mode == managed && !strings.HasPrefix(o.Type, "coder_")
	})
}

// instance picks, of the objects with one label, the one with the given key;
// else the first.
func (e *extraction) instance(label, key string) object {
	first := object{}
	for _, o := range e.objects {
		if o.Label != label {
			continue
		}
		if o.Key == key {
			return o
		}
		if first.Address == "" {
			first = o
		}
	}
	return first
}

// attachAgents puts each agent to the resource that it runs in: the nearest
// that refers to it. An agent that nothing refers to runs nowhere and is left out.
func (e *extraction) attachAgents() (map[string][]client.ProvisionedAgent, error) {
	attached := map[string][]client.ProvisionedAgent{}
	for _, entry := range e.agents {
		label, found := nearest(entry.Label, e.graph.dependents, e.isHost)
		if !found {
			continue
		}
		host := e.instance(label, entry.Key)
		entry.agent.InstanceID = e.instanceID(entry, host)
		attached[host.Address] = append(attached[host.Address], entry.agent)
	}
	for _, agents := range attached {
		slices.SortStableFunc(agents, func(a, b client.ProvisionedAgent) int {
			return cmp.Or(cmp.Compare(a.Order, b.Order), strings.Compare(a.Name, b.Name))
		})
	}
	return attached, nil
}

// instanceID is what an agent that signs in by its machine's identity is
// known by.
func (e *extraction) instanceID(entry *agentEntry, host object) string {
	if entry.agent.Auth == "" || entry.agent.Auth == "token" {
		return ""
	}
	for _, o := range e.objects {
		if o.Mode == managed && o.Type == "coder_agent_instance" && e.agentOf(o) == entry {
			return o.Values.text("instance_id")
		}
	}
	attribute := map[string]string{
		"google_compute_instance": "instance_id", "aws_instance": "id",
		"aws_spot_instance_request":       "spot_instance_id",
		"azurerm_linux_virtual_machine":   "virtual_machine_id",
		"azurerm_windows_virtual_machine": "virtual_machine_id",
	}[host.Type]
	return host.Values.text(attribute)
}

// agentOf finds the agent that an app, script or the like belongs to: by id
// where ids are known, else by the graph.
func (e *extraction) agentOf(o object) *agentEntry {
	if id := o.Values.text("agent_id"); id != "" {
		for _, entry := range e.agents {
			if entry.agent.ID == id {
				return entry
			}
		}
		return nil
	}
	label, found := nearest(o.Label, e.graph.dependencies, func(name string) bool {
		return slices.ContainsFunc(e.agents, func(entry *agentEntry) bool { return entry.Label == name })
	})
	if !found {
		return nil
	}
	var first *agentEntry
	for _, entry := range e.agents {
		switch {
		case entry.Label != label:
		case entry.Key == o.Key:
			return entry
		case first == nil:
			first = entry
		}
	}
	return first
}

func (e *extraction) readMetadata() error {
	return e.each(typeMetadata, func(o object) error {
		target, found := e.metadataTarget(o)
		if !found {
			return nil
		}
		if other, taken := e.metadata[target.Address]; taken {
			return fmt.Errorf("%s is described by %s already; a resource has one coder_metadata", target.Address, other.Address)
		}
		e.metadata[target.Address] = o
		return nil
	})
}

func (e *extraction) metadataTarget(o object) (object, bool) {
	label, found := nearest(o.Label, e.graph.dependencies, e.isHost)
	if !found {
		return object{}, false
	}
	if id := o.Values.text("resource_id"); id != "" {
		for _, candidate := range e.objects {
			if candidate.Label == label && candidate.Values.text("id") == id {
				return candidate, true
			}
		}
	}
	return e.instance(label, o.Key), true
}

var agentName = regexp.MustCompile(`(?i)^[a-z0-9](-?[a-z0-9])*$`)

// checkAgentName: agents are host names.
func checkAgentName(name string) error {
	if !agentName.MatchString(name) {
		return fmt.Errorf("%q cannot be an agent's name: it becomes a host name, so use letters, digits and single hyphens between them", name)
	}
	return nil
}
