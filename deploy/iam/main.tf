# The rights that Spancast needs, and no more: a service account that may read the
# change stream through a database role, and read and write its own tables. Creating
# tables and streams is for people, or for an account of its own: spancast admin
# bootstrap --print shows the statements.

variable "project" { type = string }
variable "instance" { type = string }
variable "database" { type = string }
variable "metadata_database" { type = string }
variable "role" {
  type    = string
  default = "spancast"
}
variable "namespace" {
  type    = string
  default = "spancast"
}

data "google_project" "this" {
  project_id = var.project
}

# On Cloud Run replicas run as this account.
resource "google_service_account" "spancast" {
  project    = var.project
  account_id = "spancast"
}

locals {
  # On GKE the Kubernetes service account is bound as it is.
  kubernetes = "principal://iam.googleapis.com/projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${var.project}.svc.id.goog/subject/ns/${var.namespace}/sa/spancast"
  members    = toset(["serviceAccount:${google_service_account.spancast.email}", local.kubernetes])
}

# SPANCAST_DATABASE_ROLE: only what the role was granted in the database.
resource "google_spanner_database_iam_member" "role_user" {
  for_each = local.members
  project  = var.project
  instance = var.instance
  database = var.database
  role     = "roles/spanner.fineGrainedAccessUser"
  member   = each.value
}

resource "google_spanner_database_iam_member" "role" {
  for_each = local.members
  project  = var.project
  instance = var.instance
  database = var.database
  role     = "roles/spanner.databaseRoleUser"
  member   = each.value
  condition {
    title      = "only the role of Spancast"
    expression = "resource.type == \"spanner.googleapis.com/DatabaseRole\" && resource.name.endsWith(\"/${var.role}\")"
  }
}

# The metadata database: rows, and no schema.
resource "google_project_iam_custom_role" "metadata" {
  project = var.project
  role_id = "spancastMetadata"
  title   = "Spancast metadata"
  permissions = [
    "spanner.databases.beginOrRollbackReadWriteTransaction",
    "spanner.databases.beginReadOnlyTransaction",
    "spanner.databases.read",
    "spanner.databases.select",
    "spanner.databases.write",
    "spanner.sessions.create",
    "spanner.sessions.delete",
    "spanner.sessions.get",
  ]
}

resource "google_spanner_database_iam_member" "metadata" {
  for_each = local.members
  project  = var.project
  instance = var.instance
  database = var.metadata_database
  role     = google_project_iam_custom_role.metadata.id
  member   = each.value
}

# Metrics of the Spanner client to Cloud Monitoring.
resource "google_project_iam_member" "metrics" {
  for_each = local.members
  project  = var.project
  role     = "roles/monitoring.metricWriter"
  member   = each.value
}
