# A workspace that is made of nothing: no cloud, no containers, no network.
# It shows every part of a template, so copy it and put real resources in
# place of the two terraform_data ones.

terraform {
  required_providers {
    # This provider is part of the coder binary and needs no download.
    coder = {
      source  = "coder/coder"
      version = ">= 2.0.0"
    }
  }
}

provider "coder" {}

# What the build is about: names, ids, and whether it starts or stops.
data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}

# The machine that runs Terraform, here only for its architecture.
data "coder_provisioner" "me" {}

# A template variable: set by whoever pushes the template, the same for all
# of its workspaces. Secrets go here, with sensitive = true.
variable "greeting" {
  type        = string
  description = "What a workspace says first"
  default     = "Hello"
}

# Parameters are asked of whoever creates a workspace. This one cannot be
# changed later: a real disk could not be moved to another region either.
data "coder_parameter" "region" {
  name         = "region"
  display_name = "Region"
  description  = "Where the workspace lives. It stays there."
  type         = "string"
  default      = "eu"
  mutable      = false
  order        = 1

  option {
    name  = "Europe"
    value = "eu"
  }
  option {
    name  = "America"
    value = "us"
  }
}

data "coder_parameter" "cores" {
  name         = "cores"
  display_name = "Cores"
  description  = "How much work fits at once."
  type         = "number"
  default      = 2
  mutable      = true
  order        = 2

  validation {
    min   = 1
    max   = 16
    error = "Choose between {min} and {max} cores, not {value}."
  }
}

data "coder_parameter" "note" {
  name         = "note"
  display_name = "Note"
  description  = "Anything to remember about this workspace."
  type         = "string"
  default      = ""
  mutable      = true
  order        = 3
}

# A preset answers several parameters at once.
data "coder_workspace_preset" "large" {
  name        = "Large"
  description = "For the weeks before a release"
  parameters = {
    (data.coder_parameter.cores.name) = "8"
  }
}

# The agent is the program that runs inside the workspace and lets its owner
# in. Whatever real resource you add must start it with init_script, and have
# its token in the environment as CODER_AGENT_TOKEN.
resource "coder_agent" "main" {
  os   = "linux"
  arch = data.coder_provisioner.me.arch

  startup_script = <<-EOT
    echo "${var.greeting}, ${data.coder_workspace_owner.me.name}"
  EOT

  metadata {
    key          = "load"
    display_name = "Load average"
    script       = "cut -d' ' -f1-3 /proc/loadavg"
    interval     = 60
    timeout      = 5
  }
}

resource "coder_app" "docs" {
  agent_id     = coder_agent.main.id
  slug         = "docs"
  display_name = "Terraform language"
  url          = "https://opentofu.org/docs/language/"
  external     = true
}

# Stays when the workspace is stopped, like a disk. Only delete removes it.
resource "terraform_data" "home" {
  input = {
    workspace = data.coder_workspace.me.id
    region    = data.coder_parameter.region.value
  }
}

# Is there while the workspace runs: start_count is 1 for a start, 0 for a
# stop. Replace it with a container or a virtual machine.
resource "terraform_data" "workspace" {
  count = data.coder_workspace.me.start_count

  input = {
    home  = terraform_data.home.id
    agent = coder_agent.main.id
    cores = data.coder_parameter.cores.value
  }
}

# What people see about a resource.
resource "coder_metadata" "workspace" {
  count       = data.coder_workspace.me.start_count
  resource_id = terraform_data.workspace[0].id
  icon        = "/icon/memory.svg"

  item {
    key   = "Cores"
    value = data.coder_parameter.cores.value
  }
  item {
    key   = "Region"
    value = data.coder_parameter.region.value
  }
  item {
    key   = "Note"
    value = data.coder_parameter.note.value == "" ? "none" : data.coder_parameter.note.value
  }
}
