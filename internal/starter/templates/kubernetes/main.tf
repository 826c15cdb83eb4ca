# Workspaces as deployments in a Kubernetes namespace: the pod goes when the
# workspace stops, the home directory stays in a persistent volume claim.

terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 2.0.0"
    }
    kubernetes = {
      source = "hashicorp/kubernetes"
    }
  }
}

variable "namespace" {
  type        = string
  description = "Namespace for workspaces; it must exist, and the provisioner may create deployments and volume claims in it"
  default     = "coder-workspaces"
}

variable "use_kubeconfig" {
  type        = bool
  description = "true: use ~/.kube/config of the provisioner's host. false: the provisioner runs in the cluster and uses its service account"
  default     = false
}

variable "storage_class" {
  type        = string
  description = "Storage class of home directories; empty for the cluster's default"
  default     = ""
}

provider "coder" {}

provider "kubernetes" {
  config_path = var.use_kubeconfig ? "~/.kube/config" : null
}

data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}

data "coder_parameter" "image" {
  name         = "image"
  display_name = "Image"
  description  = "Container image of the workspace. It needs a shell, and curl or wget."
  type         = "string"
  default      = "codercom/enterprise-base:ubuntu"
  mutable      = true
  order        = 1
}

data "coder_parameter" "cpu" {
  name         = "cpu"
  display_name = "Cores"
  description  = "Most cores that the workspace may use."
  type         = "number"
  default      = 2
  mutable      = true
  order        = 2

  validation {
    min = 1
    max = 32
  }
}

data "coder_parameter" "memory" {
  name         = "memory"
  display_name = "Memory"
  description  = "Most memory that the workspace may use, in GiB."
  type         = "number"
  default      = 4
  mutable      = true
  order        = 3

  validation {
    min = 1
    max = 128
  }
}

# Claims can grow on many storage classes and shrink on none.
data "coder_parameter" "home_disk" {
  name         = "home_disk"
  display_name = "Home disk"
  description  = "Size of the home directory in GiB. It may only grow."
  type         = "number"
  default      = 10
  mutable      = true
  order        = 4

  validation {
    min       = 1
    max       = 1000
    monotonic = "increasing"
  }
}

locals {
  # By id, so that a rename keeps the volume.
  name = "coder-${data.coder_workspace.me.id}"

  labels = {
    "app.kubernetes.io/name"       = "coder-workspace"
    "app.kubernetes.io/instance"   = local.name
    "app.kubernetes.io/part-of"    = "coder"
    "app.kubernetes.io/managed-by" = "coder"
  }

  # Names of people and workspaces are no label values in every case, so they
  # are annotations.
  annotations = {
    "coder/owner"     = data.coder_workspace_owner.me.name
    "coder/workspace" = data.coder_workspace.me.name
  }
}

resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64" # of the cluster's nodes

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

# No count: the claim is there until the workspace is deleted.
resource "kubernetes_persistent_volume_claim_v1" "home" {
  metadata {
    name        = "${local.name}-home"
    namespace   = var.namespace
    labels      = local.labels
    annotations = local.annotations
  }

  # Many classes bind a volume only when a pod asks for it.
  wait_until_bound = false

  spec {
    access_modes       = ["ReadWriteOnce"]
    storage_class_name = var.storage_class == "" ? null : var.storage_class
    resources {
      requests = {
        storage = "${data.coder_parameter.home_disk.value}Gi"
      }
    }
  }
}

# start_count is 1 for a start and 0 for a stop, which removes the deployment.
resource "kubernetes_deployment_v1" "workspace" {
  count = data.coder_workspace.me.start_count

  # A pod that cannot be scheduled is shown by Kubernetes, not by a build that hangs.
  wait_for_rollout = false

  metadata {
    name        = local.name
    namespace   = var.namespace
    labels      = local.labels
    annotations = local.annotations
  }

  spec {
    replicas = 1

    strategy {
      type = "Recreate" # two pods cannot share the home directory
    }

    selector {
      match_labels = local.labels
    }

    template {
      metadata {
        labels      = local.labels
        annotations = local.annotations
      }

      spec {
        hostname = data.coder_workspace.me.name

        # The workspace has no business with the cluster's API.
        automount_service_account_token = false

        security_context {
          run_as_user     = 1000
          run_as_non_root = true
          fs_group        = 1000
        }

        container {
          name    = "workspace"
          image   = data.coder_parameter.image.value
          command = ["sh", "-c", coder_agent.main.init_script]

          env {
            name  = "CODER_AGENT_TOKEN"
            value = coder_agent.main.token
          }

          resources {
            requests = {
              cpu    = "250m"
              memory = "512Mi"
            }
            limits = {
              cpu    = data.coder_parameter.cpu.value
              memory = "${data.coder_parameter.memory.value}Gi"
            }
          }

          volume_mount {
            name       = "home"
            mount_path = "/home/coder"
          }
        }

        volume {
          name = "home"
          persistent_volume_claim {
            claim_name = kubernetes_persistent_volume_claim_v1.home.metadata[0].name
          }
        }
      }
    }
  }
}

resource "coder_metadata" "workspace" {
  count       = data.coder_workspace.me.start_count
  resource_id = kubernetes_deployment_v1.workspace[0].id
  icon        = "/icon/k8s.png"

  item {
    key   = "Namespace"
    value = var.namespace
  }
  item {
    key   = "Image"
    value = data.coder_parameter.image.value
  }
}

resource "coder_metadata" "home" {
  resource_id = kubernetes_persistent_volume_claim_v1.home.id

  item {
    key   = "Size"
    value = "${data.coder_parameter.home_disk.value} GiB"
  }
}
