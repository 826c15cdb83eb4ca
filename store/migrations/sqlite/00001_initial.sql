-- +goose Up

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id              TEXT PRIMARY KEY,
    email           TEXT NOT NULL,
    username        TEXT NOT NULL,
    name            TEXT NOT NULL DEFAULT '',
    avatar_url      TEXT NOT NULL DEFAULT '',
    hashed_password TEXT NOT NULL DEFAULT '',
    login_type      TEXT NOT NULL,
    status          TEXT NOT NULL,
    roles           TEXT NOT NULL DEFAULT '[]',
    ssh_public_key  TEXT NOT NULL DEFAULT '',
    ssh_private_key BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    last_seen_at    INTEGER,
    deleted         INTEGER NOT NULL DEFAULT FALSE
) STRICT;
CREATE UNIQUE INDEX users_email_key ON users (lower(email)) WHERE deleted = FALSE;
CREATE UNIQUE INDEX users_username_key ON users (lower(username)) WHERE deleted = FALSE;

CREATE TABLE user_settings (
    user_id TEXT NOT NULL REFERENCES users (id),
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT;

CREATE TABLE api_keys (
    id               TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL REFERENCES users (id),
    hashed_secret    BLOB NOT NULL,
    login_type       TEXT NOT NULL,
    token_name       TEXT NOT NULL DEFAULT '',
    scopes           TEXT NOT NULL DEFAULT '[]',
    allow_list       TEXT NOT NULL DEFAULT '[]',
    lifetime_seconds INTEGER NOT NULL,
    ip_address       TEXT NOT NULL DEFAULT '',
    workspace_id     TEXT,
    last_used_at     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_user ON api_keys (user_id);
CREATE INDEX api_keys_workspace ON api_keys (workspace_id) WHERE workspace_id IS NOT NULL;
CREATE UNIQUE INDEX api_keys_token_name_key ON api_keys (user_id, token_name) WHERE login_type = 'token';

CREATE TABLE organizations (
    id                   TEXT PRIMARY KEY,
    name                 TEXT NOT NULL,
    display_name         TEXT NOT NULL,
    description          TEXT NOT NULL DEFAULT '',
    icon                 TEXT NOT NULL DEFAULT '',
    is_default           INTEGER NOT NULL DEFAULT FALSE,
    default_member_roles TEXT NOT NULL DEFAULT '[]',
    shareable_workspace_owners TEXT NOT NULL DEFAULT 'everyone',
    sealing_key          BLOB NOT NULL,
    max_daily_cost       INTEGER,
    max_running_workspaces INTEGER,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    deleted              INTEGER NOT NULL DEFAULT FALSE
) STRICT;
CREATE UNIQUE INDEX organizations_name_key ON organizations (lower(name)) WHERE deleted = FALSE;
CREATE UNIQUE INDEX organizations_default_key ON organizations (is_default) WHERE is_default = TRUE;

CREATE TABLE organization_members (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    user_id         TEXT NOT NULL REFERENCES users (id),
    roles           TEXT NOT NULL DEFAULT '[]',
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) STRICT;
CREATE INDEX organization_members_user ON organization_members (user_id);

CREATE TABLE custom_roles (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL,
    display_name    TEXT NOT NULL DEFAULT '',
    permissions     TEXT NOT NULL DEFAULT '[]',
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, name)
) STRICT;

CREATE TABLE groups (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL,
    display_name    TEXT NOT NULL DEFAULT '',
    avatar_url      TEXT NOT NULL DEFAULT '',
    quota_allowance INTEGER NOT NULL DEFAULT 0,
    source          TEXT NOT NULL DEFAULT 'user',
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX groups_name_key ON groups (organization_id, lower(name));

CREATE TABLE group_members (
    group_id        TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL,
    user_id         TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (group_id, user_id)
) STRICT;
CREATE INDEX group_members_user ON group_members (user_id);

CREATE TABLE provisioner_keys (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL,
    tags            TEXT NOT NULL DEFAULT '{}',
    allow_list      TEXT NOT NULL DEFAULT '[]',
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX provisioner_keys_name_key ON provisioner_keys (organization_id, name);

-- kind is key (the key's own), join (good for one daemon to join with) or
-- daemon (what a daemon made for itself when it joined so).
CREATE TABLE provisioner_key_secrets (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    key_id          TEXT NOT NULL REFERENCES provisioner_keys (id) ON DELETE CASCADE,
    kind            TEXT NOT NULL,
    hashed_secret   BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    used_at         INTEGER
) STRICT;
CREATE UNIQUE INDEX provisioner_key_secrets_secret_key ON provisioner_key_secrets (hashed_secret);
CREATE INDEX provisioner_key_secrets_key_idx ON provisioner_key_secrets (organization_id, key_id);

CREATE TABLE provisioner_daemons (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    key_id          TEXT NOT NULL,
    user_id         TEXT,
    name            TEXT NOT NULL,
    owner           TEXT NOT NULL DEFAULT '',
    version         TEXT NOT NULL,
    api_version     TEXT NOT NULL,
    provisioners    TEXT NOT NULL DEFAULT '[]',
    tags            TEXT NOT NULL DEFAULT '{}',
    host_id         TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    last_seen_at    INTEGER NOT NULL,
    stopped_at      INTEGER,
    drained_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX provisioner_daemons_name_key ON provisioner_daemons (organization_id, name, owner);

CREATE TABLE files (
    id         TEXT PRIMARY KEY,
    created_by TEXT NOT NULL REFERENCES users (id),
    hash       TEXT NOT NULL,
    mimetype   TEXT NOT NULL,
    data       BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX files_hash_key ON files (created_by, hash);

CREATE TABLE templates (
    id                             TEXT PRIMARY KEY,
    organization_id                TEXT NOT NULL REFERENCES organizations (id),
    name                           TEXT NOT NULL,
    display_name                   TEXT NOT NULL DEFAULT '',
    description                    TEXT NOT NULL DEFAULT '',
    icon                           TEXT NOT NULL DEFAULT '',
    provisioner                    TEXT NOT NULL,
    active_version_id              TEXT NOT NULL,
    created_by                     TEXT NOT NULL REFERENCES users (id),
    deprecation_message            TEXT NOT NULL DEFAULT '',
    default_ttl_ms                 INTEGER NOT NULL DEFAULT 0,
    activity_bump_ms               INTEGER NOT NULL DEFAULT 0,
    time_til_autostop_notify_ms    INTEGER NOT NULL DEFAULT 0,
    autostop_days                  TEXT NOT NULL DEFAULT '[]',
    autostop_weeks                 INTEGER NOT NULL DEFAULT 0,
    autostart_days                 TEXT NOT NULL DEFAULT '[]',
    failure_ttl_ms                 INTEGER NOT NULL DEFAULT 0,
    time_til_dormant_ms            INTEGER NOT NULL DEFAULT 0,
    time_til_dormant_autodelete_ms INTEGER NOT NULL DEFAULT 0,
    allow_user_cancel              INTEGER NOT NULL DEFAULT TRUE,
    allow_user_autostart           INTEGER NOT NULL DEFAULT TRUE,
    allow_user_autostop            INTEGER NOT NULL DEFAULT TRUE,
    require_active_version         INTEGER NOT NULL DEFAULT FALSE,
    max_port_share_level           TEXT NOT NULL DEFAULT 'owner',
    cors_behavior                  TEXT NOT NULL DEFAULT 'simple',
    disable_module_cache           INTEGER NOT NULL DEFAULT FALSE,
    user_acl                       TEXT NOT NULL DEFAULT '{}',
    group_acl                      TEXT NOT NULL DEFAULT '{}',
    created_at                     INTEGER NOT NULL,
    updated_at                     INTEGER NOT NULL,
    deleted                        INTEGER NOT NULL DEFAULT FALSE
) STRICT;
CREATE UNIQUE INDEX templates_name_key ON templates (organization_id, lower(name)) WHERE deleted = FALSE;

CREATE TABLE provisioner_jobs (
    id                  TEXT PRIMARY KEY,
    organization_id     TEXT NOT NULL REFERENCES organizations (id),
    type                TEXT NOT NULL,
    provisioner         TEXT NOT NULL,
    status              TEXT NOT NULL,
    tags                TEXT NOT NULL DEFAULT '{}',
    file_id             TEXT NOT NULL REFERENCES files (id),
    initiator_id        TEXT NOT NULL,
    automated           INTEGER NOT NULL DEFAULT FALSE,
    template_version_id TEXT NOT NULL,
    workspace_id        TEXT,
    workspace_build_id  TEXT,
    input               TEXT NOT NULL DEFAULT '{}',
    sealed_input        BLOB,
    error               TEXT NOT NULL DEFAULT '',
    error_code          TEXT NOT NULL DEFAULT '',
    in_doubt            TEXT NOT NULL DEFAULT '[]',
    timings             TEXT NOT NULL DEFAULT '[]',
    worker_id           TEXT,
    attempt_id          TEXT,
    attempts            INTEGER NOT NULL DEFAULT 0,
    engine_starts       INTEGER NOT NULL DEFAULT 0,
    cancel              TEXT NOT NULL DEFAULT '',
    log_rows            INTEGER NOT NULL DEFAULT 0,
    log_bytes           INTEGER NOT NULL DEFAULT 0,
    logs_overflowed     INTEGER NOT NULL DEFAULT FALSE,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    started_at          INTEGER,
    canceled_at         INTEGER,
    completed_at        INTEGER
) STRICT;
CREATE INDEX provisioner_jobs_organization ON provisioner_jobs (organization_id, created_at);
CREATE INDEX provisioner_jobs_pending ON provisioner_jobs (organization_id, created_at) WHERE status = 'pending';
CREATE INDEX provisioner_jobs_worker ON provisioner_jobs (worker_id, started_at) WHERE worker_id IS NOT NULL;
CREATE INDEX provisioner_jobs_initiator ON provisioner_jobs (organization_id, initiator_id, started_at);
CREATE INDEX provisioner_jobs_file ON provisioner_jobs (file_id);
CREATE INDEX provisioner_jobs_active ON provisioner_jobs (status) WHERE completed_at IS NULL;

CREATE TABLE job_attempts (
    id                TEXT PRIMARY KEY,
    organization_id   TEXT NOT NULL,
    job_id            TEXT NOT NULL REFERENCES provisioner_jobs (id),
    workspace_id      TEXT,
    workspace_build_id TEXT,
    daemon_id         TEXT NOT NULL,
    host_id           TEXT NOT NULL DEFAULT '',
    key_id            TEXT NOT NULL,
    user_id           TEXT,
    api_key_id        TEXT NOT NULL DEFAULT '',
    request_id        TEXT NOT NULL,
    number            INTEGER NOT NULL,
    fence             INTEGER NOT NULL,
    hashed_secret     BLOB NOT NULL,
    reply             BLOB NOT NULL,
    clocks            TEXT NOT NULL,
    current           INTEGER NOT NULL DEFAULT TRUE,
    revoked           INTEGER NOT NULL DEFAULT FALSE,
    log_offset        INTEGER NOT NULL DEFAULT 0,
    intents           TEXT NOT NULL DEFAULT '{}',
    plan_cost         INTEGER,
    refusal           TEXT NOT NULL DEFAULT '',
    settled           TEXT NOT NULL DEFAULT '',
    settled_hash      TEXT NOT NULL DEFAULT '',
    handed_at         INTEGER NOT NULL,
    confirmed_at      INTEGER,
    engine_started_at INTEGER,
    renewed_at        INTEGER NOT NULL,
    lost_at           INTEGER,
    ended_at          INTEGER,
    expires_at        INTEGER
) STRICT;
CREATE UNIQUE INDEX job_attempts_request_key ON job_attempts (daemon_id, request_id);
CREATE INDEX job_attempts_job ON job_attempts (job_id);
CREATE INDEX job_attempts_workspace ON job_attempts (workspace_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX job_attempts_current_key ON job_attempts (job_id) WHERE current = TRUE;

CREATE TABLE job_logs (
    job_id     TEXT NOT NULL REFERENCES provisioner_jobs (id),
    id         INTEGER NOT NULL,
    attempt_id TEXT,
    created_at INTEGER NOT NULL,
    source     TEXT NOT NULL,
    level      TEXT NOT NULL,
    stage      TEXT NOT NULL,
    output     TEXT NOT NULL,
    PRIMARY KEY (job_id, id)
) STRICT;

CREATE TABLE template_versions (
    id                 TEXT PRIMARY KEY,
    organization_id    TEXT NOT NULL REFERENCES organizations (id),
    template_id        TEXT REFERENCES templates (id),
    job_id             TEXT NOT NULL REFERENCES provisioner_jobs (id),
    name               TEXT NOT NULL,
    message            TEXT NOT NULL DEFAULT '',
    readme             TEXT NOT NULL DEFAULT '',
    parameters         TEXT NOT NULL DEFAULT '[]',
    presets            TEXT NOT NULL DEFAULT '[]',
    external_auth      TEXT NOT NULL DEFAULT '[]',
    workspace_tags     TEXT NOT NULL DEFAULT '{}',
    graph              TEXT NOT NULL DEFAULT '',
    start_cost         INTEGER NOT NULL DEFAULT 0,
    stop_cost          INTEGER NOT NULL DEFAULT 0,
    priced             INTEGER NOT NULL DEFAULT FALSE,
    has_external_agent INTEGER NOT NULL DEFAULT FALSE,
    archived           INTEGER NOT NULL DEFAULT FALSE,
    created_by         TEXT NOT NULL REFERENCES users (id),
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX template_versions_template ON template_versions (template_id, created_at);
CREATE INDEX template_versions_job ON template_versions (job_id);
CREATE UNIQUE INDEX template_versions_name_key ON template_versions (template_id, lower(name)) WHERE template_id IS NOT NULL;

CREATE TABLE template_version_variables (
    template_version_id TEXT NOT NULL REFERENCES template_versions (id),
    organization_id     TEXT NOT NULL,
    position            INTEGER NOT NULL,
    name                TEXT NOT NULL,
    description         TEXT NOT NULL DEFAULT '',
    type                TEXT NOT NULL DEFAULT '',
    required            INTEGER NOT NULL DEFAULT FALSE,
    sensitive           INTEGER NOT NULL DEFAULT FALSE,
    default_value       BLOB NOT NULL,
    value               BLOB NOT NULL,
    given               INTEGER NOT NULL DEFAULT FALSE,
    PRIMARY KEY (template_version_id, name)
) STRICT;

CREATE TABLE workspaces (
    id                   TEXT PRIMARY KEY,
    organization_id      TEXT NOT NULL REFERENCES organizations (id),
    owner_id             TEXT NOT NULL REFERENCES users (id),
    owner_name           TEXT NOT NULL,
    template_id          TEXT NOT NULL REFERENCES templates (id),
    name                 TEXT NOT NULL,
    autostart_schedule   TEXT NOT NULL DEFAULT '',
    ttl_ms               INTEGER,
    automatic_updates    TEXT NOT NULL DEFAULT 'never',
    favorite             INTEGER NOT NULL DEFAULT FALSE,
    last_used_at         INTEGER NOT NULL,
    dormant_at           INTEGER,
    deleting_at          INTEGER,
    next_start_at        INTEGER,
    fence                INTEGER NOT NULL DEFAULT 0,
    daily_cost           INTEGER NOT NULL DEFAULT 0,
    running              INTEGER NOT NULL DEFAULT FALSE,
    refusal              TEXT NOT NULL DEFAULT '',
    retry_at             INTEGER,
    latest_build_id      TEXT NOT NULL,
    latest_build_number  INTEGER NOT NULL,
    latest_status        TEXT NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    deleted              INTEGER NOT NULL DEFAULT FALSE
) STRICT;
CREATE UNIQUE INDEX workspaces_name_key ON workspaces (owner_id, lower(name)) WHERE deleted = FALSE;
CREATE INDEX workspaces_organization ON workspaces (organization_id, owner_id) WHERE deleted = FALSE;
CREATE INDEX workspaces_favorite ON workspaces (owner_id) WHERE favorite = TRUE AND deleted = FALSE;
CREATE INDEX workspaces_list ON workspaces ((CASE WHEN latest_status = 'running' THEN 0 ELSE 1 END), owner_name, lower(name), id) WHERE deleted = FALSE;
CREATE INDEX workspaces_organization_list ON workspaces (organization_id, (CASE WHEN latest_status = 'running' THEN 0 ELSE 1 END), owner_name, lower(name), id) WHERE deleted = FALSE;
CREATE INDEX workspaces_cost ON workspaces (organization_id, owner_id, daily_cost) WHERE deleted = FALSE AND daily_cost > 0;
CREATE INDEX workspaces_running ON workspaces (organization_id) WHERE deleted = FALSE AND running = TRUE;
CREATE INDEX workspaces_template ON workspaces (template_id) WHERE deleted = FALSE;
CREATE INDEX workspaces_template_users ON workspaces (organization_id, template_id, owner_id) WHERE deleted = FALSE;

CREATE TABLE workspace_acl (
    workspace_id    TEXT NOT NULL REFERENCES workspaces (id),
    organization_id TEXT NOT NULL,
    actor_type      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    role            TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, actor_id)
) STRICT;
CREATE INDEX workspace_acl_actor ON workspace_acl (actor_id, workspace_id);

CREATE TABLE workspace_builds (
    id                  TEXT PRIMARY KEY,
    organization_id     TEXT NOT NULL,
    workspace_id        TEXT NOT NULL REFERENCES workspaces (id),
    template_version_id TEXT NOT NULL REFERENCES template_versions (id),
    job_id              TEXT NOT NULL REFERENCES provisioner_jobs (id),
    build_number        INTEGER NOT NULL,
    transition          TEXT NOT NULL,
    reason              TEXT NOT NULL,
    initiator_id        TEXT NOT NULL,
    preset_id           TEXT,
    parameters          TEXT NOT NULL DEFAULT '[]',
    orphan              INTEGER NOT NULL DEFAULT FALSE,
    log_level           TEXT NOT NULL DEFAULT '',
    on_success          TEXT NOT NULL DEFAULT '',
    daily_cost          INTEGER NOT NULL DEFAULT 0,
    standing_cost       INTEGER NOT NULL DEFAULT 0,
    standing_running    INTEGER NOT NULL DEFAULT FALSE,
    deadline_at         INTEGER,
    max_deadline_at     INTEGER,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX workspace_builds_number_key ON workspace_builds (workspace_id, build_number);
CREATE UNIQUE INDEX workspace_builds_job_key ON workspace_builds (job_id);

CREATE TABLE workspace_states (
    workspace_id       TEXT NOT NULL REFERENCES workspaces (id),
    organization_id    TEXT NOT NULL,
    fence              INTEGER NOT NULL,
    n                  INTEGER NOT NULL,
    workspace_build_id TEXT NOT NULL,
    attempt_id         TEXT,
    sha256             TEXT NOT NULL,
    size               INTEGER NOT NULL,
    data               BLOB NOT NULL,
    salvage            INTEGER NOT NULL DEFAULT FALSE,
    created_by         TEXT,
    created_at         INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, fence, n)
) STRICT;
CREATE INDEX workspace_states_build ON workspace_states (workspace_build_id);

CREATE TABLE workspace_resources (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    job_id          TEXT NOT NULL REFERENCES provisioner_jobs (id),
    transition      TEXT NOT NULL,
    address         TEXT NOT NULL,
    type            TEXT NOT NULL,
    name            TEXT NOT NULL,
    hide            INTEGER NOT NULL DEFAULT FALSE,
    icon            TEXT NOT NULL DEFAULT '',
    daily_cost      INTEGER NOT NULL DEFAULT 0,
    instance_type   TEXT NOT NULL DEFAULT '',
    module_path     TEXT NOT NULL DEFAULT '',
    metadata        BLOB NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX workspace_resources_job ON workspace_resources (job_id);

CREATE TABLE workspace_agents (
    id                 TEXT PRIMARY KEY,
    organization_id    TEXT NOT NULL,
    resource_id        TEXT NOT NULL REFERENCES workspace_resources (id),
    job_id             TEXT NOT NULL,
    name               TEXT NOT NULL,
    hashed_token       BLOB NOT NULL,
    spec               BLOB NOT NULL,
    first_connected_at INTEGER,
    last_connected_at  INTEGER,
    disconnected_at    INTEGER,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX workspace_agents_job ON workspace_agents (job_id);

-- Entries outlive the organization they are of; the zero organization is the deployment.

-- What is shown of a build.
CREATE VIEW build_details AS
SELECT b.id, b.organization_id, b.workspace_id, b.template_version_id, b.build_number, b.transition, b.reason, b.initiator_id, b.preset_id,
    b.daily_cost, b.deadline_at, b.max_deadline_at, b.created_at, b.updated_at,
    j.id AS job_id, j.status AS job_status, j.provisioner, j.tags, j.file_id, j.worker_id, j.initiator_id AS job_initiator_id, j.error, j.error_code, j.logs_overflowed,
    j.created_at AS job_created_at, j.started_at, j.canceled_at, j.completed_at,
    v.name AS version_name, v.has_external_agent, CAST(COALESCE((SELECT i.username FROM users i WHERE i.id = b.initiator_id), '') AS TEXT) AS initiator_name
FROM workspace_builds b
JOIN provisioner_jobs j ON j.id = b.job_id
JOIN template_versions v ON v.id = b.template_version_id;

CREATE TABLE audit_logs (
    organization_id   TEXT NOT NULL,
    seq               INTEGER NOT NULL,
    id                TEXT NOT NULL,
    created_at        INTEGER NOT NULL,
    request_id        TEXT NOT NULL,
    user_id           TEXT,
    username          TEXT NOT NULL DEFAULT '',
    ip                TEXT NOT NULL DEFAULT '',
    user_agent        TEXT NOT NULL DEFAULT '',
    resource_type     TEXT NOT NULL,
    resource_id       TEXT NOT NULL,
    resource_target   TEXT NOT NULL DEFAULT '',
    resource_icon     TEXT NOT NULL DEFAULT '',
    action            TEXT NOT NULL,
    status_code       INTEGER NOT NULL,
    diff              TEXT NOT NULL DEFAULT '{}',
    additional_fields TEXT NOT NULL DEFAULT '{}',
    hash              BLOB NOT NULL,
    PRIMARY KEY (organization_id, seq)
) STRICT;
CREATE INDEX audit_logs_created ON audit_logs (created_at);
CREATE INDEX audit_logs_organization_created ON audit_logs (organization_id, created_at);
CREATE INDEX audit_logs_resource ON audit_logs (resource_id);

CREATE TABLE audit_heads (
    organization_id TEXT PRIMARY KEY,
    entries         INTEGER NOT NULL,
    hash            BLOB NOT NULL,
    seal            BLOB NOT NULL
) STRICT;

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    term       INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
