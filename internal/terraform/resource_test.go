package terraform_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/terraform"
)

const header = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
`

const richTemplate = header + `
resource "coder_agent" "main" {
  os                      = "linux"
  arch                    = "amd64"
  dir                     = "/home/coder"
  startup_script          = "echo up"
  startup_script_behavior = "blocking"
  shutdown_script         = "echo down"
  connection_timeout      = 60
  env                     = { PATH_EXTRA = "/a", KEPT = "yes" }
  display_apps {
    vscode          = false
    vscode_insiders = true
  }
  metadata {
    key          = "cpu"
    display_name = "CPU"
    script       = "top"
    interval     = 10
    timeout      = 2
  }
}
resource "coder_app" "web" {
  agent_id = coder_agent.main.id
  slug     = "web"
  url      = "http://localhost:8080"
  share    = "authenticated"
  healthcheck {
    url       = "http://localhost:8080/healthz"
    interval  = 5
    threshold = 6
  }
}
resource "coder_script" "install" {
  agent_id     = coder_agent.main.id
  display_name = "Install"
  script       = "make"
  run_on_start = true
  timeout      = 30
}
resource "coder_env" "extra" {
  agent_id       = coder_agent.main.id
  name           = "PATH_EXTRA"
  value          = "/b"
  merge_strategy = "append"
}
resource "coder_env" "new" {
  agent_id = coder_agent.main.id
  name     = "NEW"
  value    = "1"
}
resource "terraform_data" "disk" {
  input = "kept"
}
resource "terraform_data" "machine" {
  count = data.coder_workspace.me.start_count
  input = { token = coder_agent.main.token, disk = terraform_data.disk.id }
}
resource "terraform_data" "behind" {
  count = data.coder_workspace.me.start_count
  input = terraform_data.machine[0].id
}
resource "coder_metadata" "machine" {
  count       = data.coder_workspace.me.start_count
  resource_id = terraform_data.machine[0].id
  icon        = "/icon.png"
  daily_cost  = 11
  item {
    key   = "disk"
    value = terraform_data.disk.id
  }
  item {
    key       = "password"
    value     = "hunter2"
    sensitive = true
  }
}
`

func byAddress(resources []client.ProvisionedResource) map[string]client.ProvisionedResource {
	found := map[string]client.ProvisionedResource{}
	for _, resource := range resources {
		found[resource.Address] = resource
	}
	return found
}

func TestResources(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	files := map[string]string{"main.tf": richTemplate}
	p := b.plan(files, client.AcquiredJob{AccessURL: "https://coder.example.com"}, "start")
	ofPlan, err := terraform.ResourcesOfPlan(p.plan, p.graph)
	require.NoError(t, err)
	registry := "registry.terraform.io"
	if !p.graph.Configures(`provider["registry.terraform.io/coder/coder"]`) {
		registry = "registry.opentofu.org"
	}
	require.True(t, p.graph.Configures(`provider["`+registry+`/coder/coder"]`), "the graph names the providers: %v", p.graph.Nodes)
	require.False(t, p.graph.Configures(`provider["`+registry+`/coder/coder"].other`))
	require.False(t, p.graph.Configures(`provider["`+registry+`/hashicorp/null"]`))
	require.True(t, p.graph.Configures(builtin))
	require.Equal(t, []string{"terraform_data.behind", "terraform_data.disk", "terraform_data.machine"}, p.graph.Resources(), "but not what is nowhere but in the state")
	stored, err := json.Marshal(p.graph)
	require.NoError(t, err)
	graph, err := terraform.ReadGraph(stored)
	require.NoError(t, err)
	state := b.apply(files, client.AcquiredJob{AccessURL: "https://coder.example.com"}, "start")
	ofState, err := terraform.ResourcesOfState(state, graph)
	require.NoError(t, err)

	for name, resources := range map[string]map[string]client.ProvisionedResource{
		"plan": byAddress(ofPlan), "state": byAddress(ofState),
	} {
		t.Run("of a "+name, func(t *testing.T) {
			machine := resources["terraform_data.machine[0]"]
			require.Empty(t, resources["terraform_data.behind[0]"].Agents, "the nearest resource has the agent")
			require.Empty(t, resources["terraform_data.disk"].Metadata)
			require.Equal(t, "/icon.png", machine.Icon)
			require.Equal(t, 11, machine.DailyCost)
			require.Equal(t, client.WorkspaceResourceMetadata{Key: "password", Value: "hunter2", Sensitive: true}, machine.Metadata[1])
			require.Len(t, machine.Agents, 1)
			agent := machine.Agents[0]
			require.Equal(t, "main", agent.Name)
			require.Equal(t, map[string]string{"PATH_EXTRA": "/a:/b", "KEPT": "yes", "NEW": "1"}, agent.Env)
			require.Equal(t, []string{"vscode_insiders", "web_terminal", "port_forwarding_helper", "ssh_helper"}, agent.DisplayApps)
			require.Equal(t, []client.ProvisionedMetadata{{Key: "cpu", DisplayName: "CPU", Script: "top", Interval: 10, Timeout: 2}}, agent.Metadata)
			require.Equal(t, 60, agent.ConnectionTimeoutSeconds)
			require.Len(t, agent.Scripts, 3)
			require.Equal(t, "Startup Script", agent.Scripts[0].DisplayName)
			require.True(t, agent.Scripts[0].StartBlocksLogin)
			require.True(t, agent.Scripts[1].RunOnStop)
			require.Equal(t, 30, agent.Scripts[2].TimeoutSeconds)
			require.Len(t, agent.Apps, 1)
			require.Equal(t, "authenticated", agent.Apps[0].Share)
			require.Equal(t, &client.AppHealthcheck{URL: "http://localhost:8080/healthz", Interval: 5, Threshold: 6}, agent.Apps[0].Healthcheck)
			require.Equal(t, name == "state", agent.Token != "" && agent.ID != "")
		})
	}
}

func TestStopKeepsWhatStays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.plan(map[string]string{"main.tf": richTemplate}, client.AcquiredJob{}, "stop")
	resources, err := terraform.ResourcesOfPlan(p.plan, p.graph)
	require.NoError(t, err)
	found := byAddress(resources)
	require.Contains(t, found, "terraform_data.disk")
	require.NotContains(t, found, "terraform_data.machine[0]")
	for _, resource := range resources {
		require.Empty(t, resource.Agents, "an agent without its machine is nowhere")
	}
}

func TestCountedAgentsAndModules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	state, p := func() (*terraform.State, planned) {
		files := map[string]string{
			"main.tf": header + `
resource "coder_agent" "node" {
  count = 2
  os    = "linux"
  arch  = "amd64"
}
resource "terraform_data" "node" {
  count = 2
  input = coder_agent.node[count.index].token
}
module "ide" {
  source   = "./ide"
  agent_id = coder_agent.node[0].id
}
`,
			"ide/main.tf": `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
variable "agent_id" {}
resource "coder_app" "ide" {
  agent_id = var.agent_id
  slug     = "ide"
  url      = "http://localhost"
}
resource "terraform_data" "helper" {}
`,
		}
		return b.apply(files, client.AcquiredJob{}, "start"), b.plan(files, client.AcquiredJob{}, "start")
	}()
	ofState, err := terraform.ResourcesOfState(state, p.graph)
	require.NoError(t, err)
	ofPlan, err := terraform.ResourcesOfPlan(p.plan, p.graph)
	require.NoError(t, err)
	for _, resources := range [][]client.ProvisionedResource{ofState, ofPlan} {
		found := byAddress(resources)
		require.Len(t, found["terraform_data.node[0]"].Agents, 1)
		require.Len(t, found["terraform_data.node[1]"].Agents, 1)
		require.Len(t, found["terraform_data.node[0]"].Agents[0].Apps, 1)
		require.Empty(t, found["terraform_data.node[1]"].Agents[0].Apps)
		require.Equal(t, "module.ide", found["module.ide.terraform_data.helper"].ModulePath)
	}
}

func TestExtractionRefuses(t *testing.T) {
	t.Parallel()
	agent := func(name string) string {
		return `resource "coder_agent" "` + name + `" {
  os   = "linux"
  arch = "amd64"
}
resource "terraform_data" "` + name + `" {
  input = coder_agent.` + name + `.token
}
`
	}
	for name, test := range map[string]struct{ text, want string }{
		"an agent with an underscore": {agent("my_agent"), "it becomes a host name"},
		"two agents of one name":      {agent("main") + agent("Main"), "agent names are unique"},
		"two apps of one slug": {agent("main") + `
resource "coder_app" "a" {
  agent_id = coder_agent.main.id
  slug     = "web"
  url      = "http://a"
}
resource "coder_app" "b" {
  agent_id = coder_agent.main.id
  slug     = "web"
  url      = "http://b"
}
`, `the app slug "web" is used by coder_app.a already`},
		"two metadata on one resource": {agent("main") + `
resource "coder_metadata" "a" {
  resource_id = terraform_data.main.id
}
resource "coder_metadata" "b" {
  resource_id = terraform_data.main.id
}
`, "is described by coder_metadata.a already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			p := b.plan(map[string]string{"main.tf": header + test.text}, client.AcquiredJob{}, "start")
			_, err := terraform.ResourcesOfPlan(p.plan, p.graph)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestInstanceIdentity(t *testing.T) {
	t.Parallel()
	state, err := terraform.ParseState([]byte(`{"version":4,"serial":1,"lineage":"l","resources":[
{"mode":"managed","type":"coder_agent","name":"main","instances":[{"attributes":{"id":"a1","auth":"aws-instance-identity"}}]},
{"mode":"managed","type":"aws_instance","name":"vm","instances":[{"attributes":{"id":"i-42","instance_type":"t3.small"}}]}]}`))
	require.NoError(t, err)
	graph, err := terraform.ParseDOT("digraph {\n\"[root] aws_instance.vm (expand)\" -> \"[root] coder_agent.main (expand)\"\n}")
	require.NoError(t, err)
	resources, err := terraform.ResourcesOfState(state, graph)
	require.NoError(t, err)
	require.Equal(t, "t3.small", resources[0].InstanceType)
	require.Equal(t, "i-42", resources[0].Agents[0].InstanceID)
}

func TestParameters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.plan(map[string]string{"main.tf": header + `
data "coder_parameter" "size" {
  name         = "size"
  display_name = "Size"
  description  = "How **big**, see [docs](http://d)"
  type         = "number"
  default      = 2
  mutable      = true
  order        = 2
  validation {
    min       = 1
    monotonic = "increasing"
    error     = "between {min} and {max}"
  }
}
data "coder_parameter" "region" {
  name  = "region"
  order = 1
  option {
    name  = "Europe"
    value = "eu"
    icon  = "/eu.svg"
  }
}
data "coder_workspace_preset" "small" {
  name       = "small"
  default    = true
  parameters = { size = "1", colour = "red" }
  prebuilds {
    instances = 2
  }
}
data "coder_external_auth" "hub" {
  id = "hub"
}
`}, client.AcquiredJob{}, "start")
	imported, err := terraform.ReadImport(p.plan, p.graph)
	require.NoError(t, err)
	require.Equal(t, []string{"hub"}, imported.ExternalAuth)
	require.Equal(t, []string{"colour"}, imported.Unknown)
	require.Equal(t, 2, *imported.Presets[0].Prebuilds)
	require.Equal(t, []client.BuildParameter{{Name: "colour", Value: "red"}, {Name: "size", Value: "1"}}, imported.Presets[0].Parameters)
	require.Len(t, imported.Parameters, 2)
	region, size := imported.Parameters[0], imported.Parameters[1]
	require.Equal(t, "region", region.Name)
	require.True(t, region.Required)
	require.Equal(t, "radio", region.FormType)
	require.Equal(t, "/eu.svg", region.Options[0].Icon)
	require.Equal(t, "How big, see docs", size.DescriptionPlaintext)
	require.False(t, size.Required)
	require.Equal(t, "2", size.DefaultValue)
	require.EqualValues(t, 1, *size.ValidationMin)
	require.Nil(t, size.ValidationMax)
	require.Equal(t, "increasing", size.ValidationMonotonic)
}

func TestParametersOfOneName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.plan(map[string]string{"main.tf": header + `
data "coder_parameter" "a" {
  name    = "size"
  default = "1"
}
data "coder_parameter" "b" {
  name    = "size"
  default = "1"
}
`}, client.AcquiredJob{}, "start")
	_, err := terraform.ReadImport(p.plan, p.graph)
	require.ErrorContains(t, err, "more than one is called size")
}

func TestParametersReachTheProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	job := client.AcquiredJob{
		Parameters:   []client.BuildParameter{{Name: "Größe", Value: "gro\u00df"}},
		ExternalAuth: []client.ExternalAuthToken{{ID: "hub", AccessToken: "t0ken"}},
		Metadata:     client.JobMetadata{OwnerGroups: []string{"devs"}, OwnerName: "dev1"},
	}
	state := b.apply(map[string]string{"main.tf": header + `
data "coder_workspace_owner" "me" {}
data "coder_parameter" "a" {
  name = "Größe"
}
data "coder_external_auth" "hub" {
  id = "hub"
}
resource "coder_metadata" "none" {
  resource_id = terraform_data.a.id
  item {
    key   = "all"
    value = join(" ", concat([data.coder_parameter.a.value, data.coder_external_auth.hub.access_token, data.coder_workspace_owner.me.name], data.coder_workspace_owner.me.groups))
  }
}
resource "terraform_data" "a" {}
`}, job, "start")
	graph, err := terraform.ParseDOT("digraph {\n\"[root] coder_metadata.none (expand)\" -> \"[root] terraform_data.a (expand)\"\n}")
	require.NoError(t, err)
	resources, err := terraform.ResourcesOfState(state, graph)
	require.NoError(t, err)
	require.Equal(t, "groß t0ken dev1 devs", resources[0].Metadata[0].Value)
}

// A template's resources are those of its modules too, and nothing else.
func TestResourcesOfGraph(t *testing.T) {
	t.Parallel()
	dot := "digraph {\n"
	for _, node := range []string{
		"module.m.terraform_data.in (expand)", "module.m.module.n.aws_instance.vm (expand)", "module.m.data.aws_ami.a (expand)", "module.m.check.x (expand)", "module.m.check.x (report)",
		"module.m (expand)", "module.m (close)", "module.m.var.size (expand)", "module.m.output.id (expand)", "data.aws_ami.a (expand)", "ephemeral.random_password.p (expand)",
		"local.name (expand)", "var.name", "output.name (expand)", "module.coder.coder_app.code (expand)", `provider[\"registry.terraform.io/hashicorp/aws\"].west`, "terraform_data.lonely (expand)",
	} {
		dot += fmt.Sprintf("\"[root] %s\" -> \"[root] provider[\\\"registry.terraform.io/hashicorp/aws\\\"]\"\n", node)
	}
	graph, err := terraform.ParseDOT(dot + "}")
	require.NoError(t, err)
	require.Equal(t, []string{"module.m.module.n.aws_instance.vm", "module.m.terraform_data.in", "terraform_data.lonely"}, graph.Resources())
}
