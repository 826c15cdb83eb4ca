package terraform

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Graph is what depends on what in a template, reduced to names. The import
// stores it with the version; builds read it with their state.
type Graph struct {
	Version int      `json:"version"`
	Nodes   []string `json:"nodes"`
	// Edges are pairs of node indexes: the first refers to the second.
	Edges [][2]int `json:"edges"`

	dependencies, dependents map[string][]string
}

const graphVersion = 1

var edgeLine = regexp.MustCompile(`^\s*"((?:[^"\\]|\\.)*)" -> "((?:[^"\\]|\\.)*)"`)

// ParseDOT reads the output of the engine's graph command. What only closes
// providers is left out: it would tie everything to everything.
func ParseDOT(dot string) (*Graph, error) {
	if !strings.Contains(dot, "digraph") {
		return nil, errors.New("read the graph: the engine printed none")
	}
	graph := &Graph{Version: graphVersion, Nodes: []string{}, Edges: [][2]int{}}
	index := map[string]int{}
	node := func(name string) int {
		at, ok := index[name]
		if !ok {
			at = len(graph.Nodes)
			index[name] = at
			graph.Nodes = append(graph.Nodes, name)
		}
		return at
	}
	for line := range strings.Lines(dot) {
		match := edgeLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		from, fromOK := nodeName(match[1])
		to, toOK := nodeName(match[2])
		if fromOK && toOK {
			graph.Edges = append(graph.Edges, [2]int{node(from), node(to)})
		}
	}
	graph.link()
	return graph, nil
}

// nodeName turns a node's id, `[root] module.a.coder_agent.main (expand)`,
// into the address of the block it stands for.
func nodeName(id string) (string, bool) {
	name := strings.ReplaceAll(id, `\"`, `"`)
	name = strings.TrimPrefix(name, "[root] ")
	name = strings.TrimSuffix(name, " (expand)")
	if name == "root" || (strings.Contains(name, "provider[") && strings.HasSuffix(name, " (close)")) {
		return "", false
	}
	return name, true
}

// ReadGraph reads a graph that an import stored.
func ReadGraph(stored json.RawMessage) (*Graph, error) {
	graph := &Graph{}
	if len(stored) == 0 {
		graph.link()
		return graph, nil
	}
	if err := json.Unmarshal(stored, graph); err != nil {
		return nil, fmt.Errorf("read the stored graph: %w", err)
	}
	if graph.Version != graphVersion {
		return nil, fmt.Errorf("read the stored graph: format %d is not known to this version; push the template again", graph.Version)
	}
	for _, edge := range graph.Edges {
		if min(edge[0], edge[1]) < 0 || max(edge[0], edge[1]) >= len(graph.Nodes) {
			return nil, errors.New("read the stored graph: an edge has no node; push the template again")
		}
	}
	graph.link()
	return graph, nil
}

func (g *Graph) link() {
	g.dependencies, g.dependents = map[string][]string{}, map[string][]string{}
	for _, edge := range g.Edges {
		from, to := g.Nodes[edge[0]], g.Nodes[edge[1]]
		g.dependencies[from] = append(g.dependencies[from], to)
		g.dependents[to] = append(g.dependents[to], from)
	}
}

// nearest walks along next from start, breadth first, and returns the
// accepted node with the smallest depth; of several, the one whose name sorts
// first.
func nearest(start string, next map[string][]string, accept func(name string) bool) (string, bool) {
	seen := map[string]bool{start: true}
	for level := []string{start}; len(level) > 0; {
		following := []string{}
		for _, name := range level {
			for _, neighbour := range next[name] {
				if !seen[neighbour] {
					seen[neighbour] = true
					following = append(following, neighbour)
				}
			}
		}
		slices.Sort(following)
		for _, name := range following {
			if accept(name) {
				return name, true
			}
		}
		level = following
	}
	return "", false
}

// noResource are the words before a name that make something else of it than a
// managed resource.
var noResource = []string{"var", "local", "output", "check", "data", "ephemeral", "provider"}

// Resources are the addresses of a template's managed resources, without the
// keys of their instances, sorted. Those of the coder provider are left out:
// they are nowhere but in the state.
func (g *Graph) Resources() []string {
	addresses := map[string]bool{}
	for _, node := range g.Nodes {
		rest := node
		for strings.HasPrefix(rest, "module.") {
			_, rest, _ = strings.Cut(strings.TrimPrefix(rest, "module."), ".")
		}
		kind, name, found := strings.Cut(rest, ".")
		if found && identifier.MatchString(kind) && identifier.MatchString(name) && !slices.Contains(noResource, kind) && !ofCoder(kind) {
			addresses[node] = true
		}
	}
	return slices.Sorted(maps.Keys(addresses))
}

var identifier = regexp.MustCompile(`^[\pL_][\pL\pN_-]*$`)

// ofCoder tells whether a type of resources is the embedded provider's.
func ofCoder(kind string) bool { return strings.HasPrefix(kind, "coder_") }
