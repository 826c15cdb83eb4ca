-- +goose Up

CREATE TABLE settings (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE users (
    id              TEXT COLLATE "C" PRIMARY KEY,
    email           TEXT COLLATE "C" NOT NULL,
    username        TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL DEFAULT '',
    avatar_url      TEXT COLLATE "C" NOT NULL DEFAULT '',
    hashed_password TEXT COLLATE "C" NOT NULL DEFAULT '',
    login_type      TEXT COLLATE "C" NOT NULL,
    status          TEXT COLLATE "C" NOT NULL,
    roles           TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    ssh_public_key  TEXT COLLATE "C" NOT NULL DEFAULT '',
    ssh_private_key BYTEA NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    last_seen_at    BIGINT,
    deleted         BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email)) WHERE deleted = FALSE;
CREATE UNIQUE INDEX users_username_key ON users (lower(username)) WHERE deleted = FALSE;

CREATE TABLE user_settings (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    name    TEXT COLLATE "C" NOT NULL,
    value   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, name)
);

CREATE TABLE api_keys (
    id               TEXT COLLATE "C" PRIMARY KEY,
    user_id          TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    hashed_secret    BYTEA NOT NULL,
    login_type       TEXT COLLATE "C" NOT NULL,
    token_name       TEXT COLLATE "C" NOT NULL DEFAULT '',
    scopes           TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    allow_list       TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    lifetime_seconds BIGINT NOT NULL,
    ip_address       TEXT COLLATE "C" NOT NULL DEFAULT '',
    workspace_id     TEXT COLLATE "C",
    last_used_at     BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);
CREATE INDEX api_keys_user ON api_keys (user_id);
CREATE INDEX api_keys_workspace ON api_keys (workspace_id) WHERE workspace_id IS NOT NULL;
CREATE UNIQUE INDEX api_keys_token_name_key ON api_keys (user_id, token_name) WHERE login_type = 'token';

CREATE TABLE organizations (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    name                 TEXT COLLATE "C" NOT NULL,
    display_name         TEXT COLLATE "C" NOT NULL,
    description          TEXT COLLATE "C" NOT NULL DEFAULT '',
    icon                 TEXT COLLATE "C" NOT NULL DEFAULT '',
    is_default           BOOLEAN NOT NULL DEFAULT FALSE,
    default_member_roles TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    shareable_workspace_owners TEXT COLLATE "C" NOT NULL DEFAULT 'everyone',
    sealing_key          BYTEA NOT NULL,
    max_daily_cost       BIGINT,
    max_running_workspaces BIGINT,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL,
    deleted              BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE UNIQUE INDEX organizations_name_key ON organizations (lower(name)) WHERE deleted = FALSE;
CREATE UNIQUE INDEX organizations_default_key ON organizations (is_default) WHERE is_default = TRUE;

CREATE TABLE organization_members (
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    user_id         TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    roles           TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX organization_members_user ON organization_members (user_id);

CREATE TABLE custom_roles (
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    name            TEXT COLLATE "C" NOT NULL,
    display_name    TEXT COLLATE "C" NOT NULL DEFAULT '',
    permissions     TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, name)
);

CREATE TABLE groups (
    id              TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    name            TEXT COLLATE "C" NOT NULL,
    display_name    TEXT COLLATE "C" NOT NULL DEFAULT '',
    avatar_url      TEXT COLLATE "C" NOT NULL DEFAULT '',
    quota_allowance BIGINT NOT NULL DEFAULT 0,
    source          TEXT COLLATE "C" NOT NULL DEFAULT 'user',
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX groups_name_key ON groups (organization_id, lower(name));

CREATE TABLE group_members (
    group_id        TEXT COLLATE "C" NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    organization_id TEXT COLLATE "C" NOT NULL,
    user_id         TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

CREATE TABLE provisioner_keys (
    id              TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    name            TEXT COLLATE "C" NOT NULL,
    tags            TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    allow_list      TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT
);
CREATE UNIQUE INDEX provisioner_keys_name_key ON provisioner_keys (organization_id, name);

-- kind is key (the key's own), join (good for one daemon to join with) or
-- daemon (what a daemon made for itself when it joined so).
CREATE TABLE provisioner_key_secrets (
    id              TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    key_id          TEXT COLLATE "C" NOT NULL REFERENCES provisioner_keys (id) ON DELETE CASCADE,
    kind            TEXT COLLATE "C" NOT NULL,
    hashed_secret   BYTEA NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT,
    used_at         BIGINT
);
CREATE UNIQUE INDEX provisioner_key_secrets_secret_key ON provisioner_key_secrets (hashed_secret);
CREATE INDEX provisioner_key_secrets_key_idx ON provisioner_key_secrets (organization_id, key_id);

CREATE TABLE provisioner_daemons (
    id              TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    key_id          TEXT COLLATE "C" NOT NULL,
    user_id         TEXT COLLATE "C",
    name            TEXT COLLATE "C" NOT NULL,
    owner           TEXT COLLATE "C" NOT NULL DEFAULT '',
    version         TEXT COLLATE "C" NOT NULL,
    api_version     TEXT COLLATE "C" NOT NULL,
    provisioners    TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    tags            TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    host_id         TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL,
    stopped_at      BIGINT,
    drained_at      BIGINT
);
CREATE UNIQUE INDEX provisioner_daemons_name_key ON provisioner_daemons (organization_id, name, owner);

CREATE TABLE files (
    id         TEXT COLLATE "C" PRIMARY KEY,
    created_by TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    hash       TEXT COLLATE "C" NOT NULL,
    mimetype   TEXT COLLATE "C" NOT NULL,
    data       BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX files_hash_key ON files (created_by, hash);

CREATE TABLE templates (
    id                             TEXT COLLATE "C" PRIMARY KEY,
    organization_id                TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    name                           TEXT COLLATE "C" NOT NULL,
    display_name                   TEXT COLLATE "C" NOT NULL DEFAULT '',
    description                    TEXT COLLATE "C" NOT NULL DEFAULT '',
    icon                           TEXT COLLATE "C" NOT NULL DEFAULT '',
    provisioner                    TEXT COLLATE "C" NOT NULL,
    active_version_id              TEXT COLLATE "C" NOT NULL,
    created_by                     TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    deprecation_message            TEXT COLLATE "C" NOT NULL DEFAULT '',
    default_ttl_ms                 BIGINT NOT NULL DEFAULT 0,
    activity_bump_ms               BIGINT NOT NULL DEFAULT 0,
    time_til_autostop_notify_ms    BIGINT NOT NULL DEFAULT 0,
    autostop_days                  TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    autostop_weeks                 BIGINT NOT NULL DEFAULT 0,
    autostart_days                 TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    failure_ttl_ms                 BIGINT NOT NULL DEFAULT 0,
    time_til_dormant_ms            BIGINT NOT NULL DEFAULT 0,
    time_til_dormant_autodelete_ms BIGINT NOT NULL DEFAULT 0,
    allow_user_cancel              BOOLEAN NOT NULL DEFAULT TRUE,
    allow_user_autostart           BOOLEAN NOT NULL DEFAULT TRUE,
    allow_user_autostop            BOOLEAN NOT NULL DEFAULT TRUE,
    require_active_version         BOOLEAN NOT NULL DEFAULT FALSE,
    max_port_share_level           TEXT COLLATE "C" NOT NULL DEFAULT 'owner',
    cors_behavior                  TEXT COLLATE "C" NOT NULL DEFAULT 'simple',
    disable_module_cache           BOOLEAN NOT NULL DEFAULT FALSE,
    user_acl                       TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    group_acl                      TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    created_at                     BIGINT NOT NULL,
    updated_at                     BIGINT NOT NULL,
    deleted                        BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE UNIQUE INDEX templates_name_key ON templates (organization_id, lower(name)) WHERE deleted = FALSE;

CREATE TABLE provisioner_jobs (
    id                  TEXT COLLATE "C" PRIMARY KEY,
    organization_id     TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    type                TEXT COLLATE "C" NOT NULL,
    provisioner         TEXT COLLATE "C" NOT NULL,
    status              TEXT COLLATE "C" NOT NULL,
    tags                TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    file_id             TEXT COLLATE "C" NOT NULL REFERENCES files (id),
    initiator_id        TEXT COLLATE "C" NOT NULL,
    automated           BOOLEAN NOT NULL DEFAULT FALSE,
    template_version_id TEXT COLLATE "C" NOT NULL,
    workspace_id        TEXT COLLATE "C",
    workspace_build_id  TEXT COLLATE "C",
    input               TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    sealed_input        BYTEA,
    error               TEXT COLLATE "C" NOT NULL DEFAULT '',
    error_code          TEXT COLLATE "C" NOT NULL DEFAULT '',
    in_doubt            TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    timings             TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    worker_id           TEXT COLLATE "C",
    attempt_id          TEXT COLLATE "C",
    attempts            BIGINT NOT NULL DEFAULT 0,
    engine_starts       BIGINT NOT NULL DEFAULT 0,
    cancel              TEXT COLLATE "C" NOT NULL DEFAULT '',
    log_rows            BIGINT NOT NULL DEFAULT 0,
    log_bytes           BIGINT NOT NULL DEFAULT 0,
    logs_overflowed     BOOLEAN NOT NULL DEFAULT FALSE,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    started_at          BIGINT,
    canceled_at         BIGINT,
    completed_at        BIGINT
);
CREATE INDEX provisioner_jobs_organization ON provisioner_jobs (organization_id, created_at);
CREATE INDEX provisioner_jobs_pending ON provisioner_jobs (organization_id, created_at) WHERE status = 'pending';
CREATE INDEX provisioner_jobs_worker ON provisioner_jobs (worker_id, started_at) WHERE worker_id IS NOT NULL;
CREATE INDEX provisioner_jobs_initiator ON provisioner_jobs (organization_id, initiator_id, started_at);
CREATE INDEX provisioner_jobs_file ON provisioner_jobs (file_id);
CREATE INDEX provisioner_jobs_active ON provisioner_jobs (status) WHERE completed_at IS NULL;

CREATE TABLE job_attempts (
    id                TEXT COLLATE "C" PRIMARY KEY,
    organization_id   TEXT COLLATE "C" NOT NULL,
    job_id            TEXT COLLATE "C" NOT NULL REFERENCES provisioner_jobs (id),
    workspace_id      TEXT COLLATE "C",
    workspace_build_id TEXT COLLATE "C",
    daemon_id         TEXT COLLATE "C" NOT NULL,
    host_id           TEXT COLLATE "C" NOT NULL DEFAULT '',
    key_id            TEXT COLLATE "C" NOT NULL,
    user_id           TEXT COLLATE "C",
    api_key_id        TEXT COLLATE "C" NOT NULL DEFAULT '',
    request_id        TEXT COLLATE "C" NOT NULL,
    number            BIGINT NOT NULL,
    fence             BIGINT NOT NULL,
    hashed_secret     BYTEA NOT NULL,
    reply             BYTEA NOT NULL,
    clocks            TEXT COLLATE "C" NOT NULL,
    current           BOOLEAN NOT NULL DEFAULT TRUE,
    revoked           BOOLEAN NOT NULL DEFAULT FALSE,
    log_offset        BIGINT NOT NULL DEFAULT 0,
    intents           TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    plan_cost         BIGINT,
    refusal           TEXT COLLATE "C" NOT NULL DEFAULT '',
    settled           TEXT COLLATE "C" NOT NULL DEFAULT '',
    settled_hash      TEXT COLLATE "C" NOT NULL DEFAULT '',
    handed_at         BIGINT NOT NULL,
    confirmed_at      BIGINT,
    engine_started_at BIGINT,
    renewed_at        BIGINT NOT NULL,
    lost_at           BIGINT,
    ended_at          BIGINT,
    expires_at        BIGINT
);
CREATE UNIQUE INDEX job_attempts_request_key ON job_attempts (daemon_id, request_id);
CREATE INDEX job_attempts_job ON job_attempts (job_id);
CREATE INDEX job_attempts_workspace ON job_attempts (workspace_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX job_attempts_current_key ON job_attempts (job_id) WHERE current = TRUE;

CREATE TABLE job_logs (
    job_id     TEXT COLLATE "C" NOT NULL REFERENCES provisioner_jobs (id),
    id         BIGINT NOT NULL,
    attempt_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    level      TEXT COLLATE "C" NOT NULL,
    stage      TEXT COLLATE "C" NOT NULL,
    output     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (job_id, id)
);

CREATE TABLE template_versions (
    id                 TEXT COLLATE "C" PRIMARY KEY,
    organization_id    TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    template_id        TEXT COLLATE "C" REFERENCES templates (id),
    job_id             TEXT COLLATE "C" NOT NULL REFERENCES provisioner_jobs (id),
    name               TEXT COLLATE "C" NOT NULL,
    message            TEXT COLLATE "C" NOT NULL DEFAULT '',
    readme             TEXT COLLATE "C" NOT NULL DEFAULT '',
    parameters         TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    presets            TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    external_auth      TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    workspace_tags     TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    graph              TEXT COLLATE "C" NOT NULL DEFAULT '',
    start_cost         BIGINT NOT NULL DEFAULT 0,
    stop_cost          BIGINT NOT NULL DEFAULT 0,
    priced             BOOLEAN NOT NULL DEFAULT FALSE,
    has_external_agent BOOLEAN NOT NULL DEFAULT FALSE,
    archived           BOOLEAN NOT NULL DEFAULT FALSE,
    created_by         TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL
);
CREATE INDEX template_versions_template ON template_versions (template_id, created_at);
CREATE INDEX template_versions_job ON template_versions (job_id);
CREATE UNIQUE INDEX template_versions_name_key ON template_versions (template_id, lower(name)) WHERE template_id IS NOT NULL;

CREATE TABLE template_version_variables (
    template_version_id TEXT COLLATE "C" NOT NULL REFERENCES template_versions (id),
    organization_id     TEXT COLLATE "C" NOT NULL,
    position            BIGINT NOT NULL,
    name                TEXT COLLATE "C" NOT NULL,
    description         TEXT COLLATE "C" NOT NULL DEFAULT '',
    type                TEXT COLLATE "C" NOT NULL DEFAULT '',
    required            BOOLEAN NOT NULL DEFAULT FALSE,
    sensitive           BOOLEAN NOT NULL DEFAULT FALSE,
    default_value       BYTEA NOT NULL,
    value               BYTEA NOT NULL,
    given               BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (template_version_id, name)
);

CREATE TABLE workspaces (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    organization_id      TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    owner_id             TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    owner_name           TEXT COLLATE "C" NOT NULL,
    template_id          TEXT COLLATE "C" NOT NULL REFERENCES templates (id),
    name                 TEXT COLLATE "C" NOT NULL,
    autostart_schedule   TEXT COLLATE "C" NOT NULL DEFAULT '',
    ttl_ms               BIGINT,
    automatic_updates    TEXT COLLATE "C" NOT NULL DEFAULT 'never',
    favorite             BOOLEAN NOT NULL DEFAULT FALSE,
    last_used_at         BIGINT NOT NULL,
    dormant_at           BIGINT,
    deleting_at          BIGINT,
    next_start_at        BIGINT,
    fence                BIGINT NOT NULL DEFAULT 0,
    daily_cost           BIGINT NOT NULL DEFAULT 0,
    running              BOOLEAN NOT NULL DEFAULT FALSE,
    refusal              TEXT COLLATE "C" NOT NULL DEFAULT '',
    retry_at             BIGINT,
    latest_build_id      TEXT COLLATE "C" NOT NULL,
    latest_build_number  BIGINT NOT NULL,
    latest_status        TEXT COLLATE "C" NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL,
    deleted              BOOLEAN NOT NULL DEFAULT FALSE
);
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
    workspace_id    TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id),
    organization_id TEXT COLLATE "C" NOT NULL,
    actor_type      TEXT COLLATE "C" NOT NULL,
    actor_id        TEXT COLLATE "C" NOT NULL,
    role            TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, actor_id)
);
CREATE INDEX workspace_acl_actor ON workspace_acl (actor_id, workspace_id);

CREATE TABLE workspace_builds (
    id                  TEXT COLLATE "C" PRIMARY KEY,
    organization_id     TEXT COLLATE "C" NOT NULL,
    workspace_id        TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id),
    template_version_id TEXT COLLATE "C" NOT NULL REFERENCES template_versions (id),
    job_id              TEXT COLLATE "C" NOT NULL REFERENCES provisioner_jobs (id),
    build_number        BIGINT NOT NULL,
    transition          TEXT COLLATE "C" NOT NULL,
    reason              TEXT COLLATE "C" NOT NULL,
    initiator_id        TEXT COLLATE "C" NOT NULL,
    preset_id           TEXT COLLATE "C",
    parameters          TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    orphan              BOOLEAN NOT NULL DEFAULT FALSE,
    log_level           TEXT COLLATE "C" NOT NULL DEFAULT '',
    on_success          TEXT COLLATE "C" NOT NULL DEFAULT '',
    daily_cost          BIGINT NOT NULL DEFAULT 0,
    standing_cost       BIGINT NOT NULL DEFAULT 0,
    standing_running    BOOLEAN NOT NULL DEFAULT FALSE,
    deadline_at         BIGINT,
    max_deadline_at     BIGINT,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL
);
CREATE UNIQUE INDEX workspace_builds_number_key ON workspace_builds (workspace_id, build_number);
CREATE UNIQUE INDEX workspace_builds_job_key ON workspace_builds (job_id);

CREATE TABLE workspace_states (
    workspace_id       TEXT COLLATE "C" NOT NULL REFERENCES workspaces (id),
    organization_id    TEXT COLLATE "C" NOT NULL,
    fence              BIGINT NOT NULL,
    n                  BIGINT NOT NULL,
    workspace_build_id TEXT COLLATE "C" NOT NULL,
    attempt_id         TEXT COLLATE "C",
    sha256             TEXT COLLATE "C" NOT NULL,
    size               BIGINT NOT NULL,
    data               BYTEA NOT NULL,
    salvage            BOOLEAN NOT NULL DEFAULT FALSE,
    created_by         TEXT COLLATE "C",
    created_at         BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, fence, n)
);
CREATE INDEX workspace_states_build ON workspace_states (workspace_build_id);

CREATE TABLE workspace_resources (
    id              TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL,
    job_id          TEXT COLLATE "C" NOT NULL REFERENCES provisioner_jobs (id),
    transition      TEXT COLLATE "C" NOT NULL,
    address         TEXT COLLATE "C" NOT NULL,
    type            TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    hide            BOOLEAN NOT NULL DEFAULT FALSE,
    icon            TEXT COLLATE "C" NOT NULL DEFAULT '',
    daily_cost      BIGINT NOT NULL DEFAULT 0,
    instance_type   TEXT COLLATE "C" NOT NULL DEFAULT '',
    module_path     TEXT COLLATE "C" NOT NULL DEFAULT '',
    metadata        BYTEA NOT NULL,
    created_at      BIGINT NOT NULL
);
CREATE INDEX workspace_resources_job ON workspace_resources (job_id);

CREATE TABLE workspace_agents (
    id                 TEXT COLLATE "C" PRIMARY KEY,
    organization_id    TEXT COLLATE "C" NOT NULL,
    resource_id        TEXT COLLATE "C" NOT NULL REFERENCES workspace_resources (id),
    job_id             TEXT COLLATE "C" NOT NULL,
    name               TEXT COLLATE "C" NOT NULL,
    hashed_token       BYTEA NOT NULL,
    spec               BYTEA NOT NULL,
    first_connected_at BIGINT,
    last_connected_at  BIGINT,
    disconnected_at    BIGINT,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL
);
CREATE INDEX workspace_agents_job ON workspace_agents (job_id);

-- Entries outlive the organization they are of; the zero organization is the deployment.

-- What is shown of a build. PostgreSQL orders at most eight joined tables as is
-- best, and these are three of them.
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
    organization_id   TEXT COLLATE "C" NOT NULL,
    seq               BIGINT NOT NULL,
    id                TEXT COLLATE "C" NOT NULL,
    created_at        BIGINT NOT NULL,
    request_id        TEXT COLLATE "C" NOT NULL,
    user_id           TEXT COLLATE "C",
    username          TEXT COLLATE "C" NOT NULL DEFAULT '',
    ip                TEXT COLLATE "C" NOT NULL DEFAULT '',
    user_agent        TEXT COLLATE "C" NOT NULL DEFAULT '',
    resource_type     TEXT COLLATE "C" NOT NULL,
    resource_id       TEXT COLLATE "C" NOT NULL,
    resource_target   TEXT COLLATE "C" NOT NULL DEFAULT '',
    resource_icon     TEXT COLLATE "C" NOT NULL DEFAULT '',
    action            TEXT COLLATE "C" NOT NULL,
    status_code       BIGINT NOT NULL,
    diff              TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    additional_fields TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    hash              BYTEA NOT NULL,
    PRIMARY KEY (organization_id, seq)
);
CREATE INDEX audit_logs_created ON audit_logs (created_at);
CREATE INDEX audit_logs_organization_created ON audit_logs (organization_id, created_at);
CREATE INDEX audit_logs_resource ON audit_logs (resource_id);

CREATE TABLE audit_heads (
    organization_id TEXT COLLATE "C" PRIMARY KEY,
    entries         BIGINT NOT NULL,
    hash            BYTEA NOT NULL,
    seal            BYTEA NOT NULL
);

CREATE TABLE leases (
    name       TEXT COLLATE "C" PRIMARY KEY,
    holder     TEXT COLLATE "C" NOT NULL,
    term       BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE FUNCTION json_list(list TEXT) RETURNS TABLE (value TEXT) AS 'SELECT json_array_elements_text(list::json)' LANGUAGE sql IMMUTABLE STRICT ROWS 20;
