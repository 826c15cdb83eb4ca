# Workspaces as containers on the Docker host of the provisioner: the
# container goes when the workspace stops, the home directory stays.

terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.0.0"
    }
    docker = {
      source = "kreuzwerker/docker"
    }
  }
}

variable "docker_host" {
  type        = string
  description = "Docker host to use, such as unix:///var/run/docker.sock or ssh://build@host; empty for the provisioner's own"
  default     = ""
}

provider "coder" {}

provider "docker" {
  # null leaves it to DOCKER_HOST of the provisioner, or the default socket.
  host = var.docker_host == "" ? null : var.docker_host
}

data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}
data "coder_provisioner" "me" {}

data "coder_parameter" "image" {
  name         = "image"
  display_name = "Image"
  description  = "Container image of the workspace. It needs a shell, and curl or wget."
  type         = "string"
  default      = "codercom/enterprise-base:ubuntu"
  mutable      = true
  order        = 1
}

data "coder_parameter" "image_starts_agent" {
  name         = "image_starts_agent"
  display_name = "Image starts the agent"
  description  = "Switch on for images with coder inside, whose entry point is coder agent."
  type         = "bool"
  form_type    = "switch"
  default      = "false"
  mutable      = true
  order        = 2
}

locals {
  name = "coder-${data.coder_workspace_owner.me.name}-${lower(data.coder_workspace.me.name)}"

  # Inside a container localhost is the container. A server on the Docker host
  # is reached by this name, which the host block below makes known.
  local_name  = "/localhost|127\\.0\\.0\\.1/"
  init_script = replace(coder_agent.main.init_script, local.local_name, "host.docker.internal")
  agent_url   = replace(data.coder_workspace.me.access_url, local.local_name, "host.docker.internal")

  # To find what belongs to a workspace: docker ps --filter label=coder.workspace_name=…
  labels = {
    "coder.owner"          = data.coder_workspace_owner.me.name
    "coder.owner_id"       = data.coder_workspace_owner.me.id
    "coder.workspace_id"   = data.coder_workspace.me.id
    "coder.workspace_name" = data.coder_workspace.me.name
  }
}

resource "coder_agent" "main" {
  os   = "linux"
  arch = data.coder_provisioner.me.arch

  # Runs at each start, in the home directory.
  startup_script = <<-EOT
    set -e
    if [ ! -f ~/.home-is-set-up ]; then
      cp -rT /etc/skel ~ 2>/dev/null || true
      touch ~/.home-is-set-up
    fi
  EOT

  env = {
    GIT_AUTHOR_NAME     = coalesce(data.coder_workspace_owner.me.full_name, data.coder_workspace_owner.me.name)
    GIT_AUTHOR_EMAIL    = data.coder_workspace_owner.me.email
    GIT_COMMITTER_NAME  = coalesce(data.coder_workspace_owner.me.full_name, data.coder_workspace_owner.me.name)
    GIT_COMMITTER_EMAIL = data.coder_workspace_owner.me.email
  }

  metadata {
    key          = "load"
    display_name = "Load average"
    script       = "cut -d' ' -f1-3 /proc/loadavg"
    interval     = 60
    timeout      = 5
  }
  metadata {
    key          = "home"
    display_name = "Home disk"
    script       = "df -h ~ | awk 'NR==2 {print $3 \" of \" $2}'"
    interval     = 300
    timeout      = 5
  }
}

# No count: the volume is there until the workspace is deleted. It is named by
# id, so that a rename keeps it, and no later version of the template replaces
# it, whatever changes here.
resource "docker_volume" "home" {
  name = "coder-${data.coder_workspace.me.id}-home"

  dynamic "labels" {
    for_each = local.labels
    content {
      label = labels.key
      value = labels.value
    }
  }

  lifecycle {
    ignore_changes = all
  }
}

# start_count is 1 for a start and 0 for a stop, which removes the container.
resource "docker_container" "workspace" {
  count = data.coder_workspace.me.start_count

  name     = local.name
  hostname = data.coder_workspace.me.name
  image    = data.coder_parameter.image.value

  # The script downloads coder from the server and runs the agent.
  command = data.coder_parameter.image_starts_agent.value == "true" ? null : ["sh", "-c", local.init_script]

  env = [
    "CODER_AGENT_TOKEN=${coder_agent.main.token}",
    "CODER_AGENT_URL=${local.agent_url}",
  ]

  host {
    host = "host.docker.internal"
    ip   = "host-gateway"
  }

  volumes {
    container_path = "/home/coder"
    volume_name    = docker_volume.home.name
  }

  dynamic "labels" {
    for_each = local.labels
    content {
      label = labels.key
      value = labels.value
    }
  }
}

resource "coder_metadata" "workspace" {
  count       = data.coder_workspace.me.start_count
  resource_id = docker_container.workspace[0].id
  icon        = "/icon/docker.svg"

  item {
    key   = "Container"
    value = local.name
  }
  item {
    key   = "Image"
    value = data.coder_parameter.image.value
  }
}

resource "coder_metadata" "home" {
  resource_id = docker_volume.home.id

  item {
    key   = "Mounted at"
    value = "/home/coder"
  }
}
