package chaos

import (
	"fmt"
	"strings"

	"coder/client"
)

// How many objects the template has of each sort.
const (
	bases = 6 // stay when the workspace stops, changed in place
	webs  = 8 // half of them replaced by a change: removed, then made again
	links = 6 // one after the other
	swaps = 4 // replaced by a change: the new one first

	started = webs + links + swaps
)

// template is the source of a workspace whose objects lie below a directory.
func template(objects string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `terraform {
  required_providers {
    coder = { source = "coder/coder" }
    chaos = { source = %q }
  }
}
data "coder_workspace" "me" {}
data "coder_parameter" "generation" {
  name    = "generation"
  type    = "number"
  mutable = true
  default = 1
}
locals {
  folder     = "%s/${data.coder_workspace.me.name}"
  on         = data.coder_workspace.me.start_count
  generation = tonumber(data.coder_parameter.generation.value)
}
`, objectSource, objects)
	resource(&b, "base", fmt.Sprint(bases), "1", "")
	resource(&b, "web", fmt.Sprintf("local.on * %d", webs), "count.index < 4 ? local.generation : 1", "depends_on = [chaos_object.base]")
	before := "web"
	for i := range links {
		name := fmt.Sprintf("link%d", i)
		resource(&b, name, "local.on", "1", fmt.Sprintf("depends_on = [chaos_object.%s]", before))
		before = name
	}
	resource(&b, "swap", fmt.Sprintf("local.on * %d", swaps), "local.generation", "depends_on = [chaos_object.link1]\n  lifecycle {\n    create_before_destroy = true\n  }")
	return b.String()
}

func resource(b *strings.Builder, name, count, generation, rest string) {
	changed := ""
	if name == "base" {
		changed = "\n  note       = \"generation ${local.generation}\""
	}
	fmt.Fprintf(b, `resource "chaos_object" %[1]q {
  count      = %[2]s
  folder     = local.folder
  address    = "chaos_object.%[1]s[${count.index}]"
  generation = %[3]s%[4]s
  before_ms  = 60 + 45 * (count.index %% 4)
  after_ms   = 180 - 40 * (count.index %% 4)
  %[5]s
}
`, name, count, generation, changed, rest)
}

// operation is what one build does to a workspace.
type operation struct {
	name       string
	transition string
	// generation, when set, is raised by the build.
	raises bool
	// writes is how many objects the build makes, changes and removes.
	writes int
}

// life is what happens to each workspace, one build after the other.
func life() []operation {
	return []operation{
		{name: "create", transition: client.TransitionStart, writes: bases + started},
		{name: "change", transition: client.TransitionStart, raises: true, writes: bases + 2*(webs/2) + 2*swaps},
		{name: "stop", transition: client.TransitionStop, writes: started},
		{name: "start", transition: client.TransitionStart, writes: started},
		{name: "delete", transition: client.TransitionDelete, writes: bases + started},
	}
}
