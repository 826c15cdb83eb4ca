-- +goose Up

-- A database that is restored from a copy does not know what was done since.
-- Engine starts of builds are therefore numbered within their organization, and
-- provisioners remember the newest: organization_histories has the last one,
-- voucher is what the provisioner was given for its own.
CREATE TABLE organization_histories (
    organization_id TEXT PRIMARY KEY REFERENCES organizations (id),
    number          INTEGER NOT NULL,
    attempt_id      TEXT NOT NULL,
    witness         TEXT NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

ALTER TABLE job_attempts ADD COLUMN history INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_attempts ADD COLUMN voucher TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX job_attempts_history_key ON job_attempts (organization_id, history) WHERE history > 0;
CREATE INDEX job_attempts_workspace_history ON job_attempts (workspace_id, history) WHERE history > 0;

-- A recovery lasts from the notice that the database is an older copy until
-- the numbers above copy_number, up to witnessed, are accounted for.
CREATE TABLE recoveries (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    copy_number     INTEGER NOT NULL,
    witnessed       INTEGER NOT NULL,
    started_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    ended_by_id     TEXT
) STRICT;
CREATE UNIQUE INDEX recoveries_open_key ON recoveries (organization_id) WHERE ended_at IS NULL;
CREATE INDEX recoveries_organization ON recoveries (organization_id, started_at);

-- What provisioners report of engine starts that the copy lacks. data is the
-- sealed state of a workspace that the database does not know.
CREATE TABLE recovery_reports (
    attempt_id      TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    recovery_id     TEXT NOT NULL REFERENCES recoveries (id),
    number          INTEGER NOT NULL,
    workspace_id    TEXT NOT NULL,
    fence           INTEGER NOT NULL,
    claim           TEXT NOT NULL,
    daemon_name     TEXT NOT NULL,
    running         INTEGER NOT NULL,
    outcome         TEXT NOT NULL DEFAULT '',
    version         INTEGER NOT NULL DEFAULT 0,
    sha256          TEXT NOT NULL DEFAULT '',
    size            INTEGER NOT NULL DEFAULT 0,
    data            BLOB NOT NULL,
    reported_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX recovery_reports_organization ON recovery_reports (organization_id, recovery_id);
CREATE INDEX recovery_reports_workspace ON recovery_reports (workspace_id);

-- A recovered state came from a provisioner after the restore.
ALTER TABLE workspace_states ADD COLUMN recovered INTEGER NOT NULL DEFAULT FALSE;

-- +goose Down

ALTER TABLE workspace_states DROP COLUMN recovered;
DROP TABLE recovery_reports;
DROP TABLE recoveries;
DROP INDEX job_attempts_workspace_history;
DROP INDEX job_attempts_history_key;
ALTER TABLE job_attempts DROP COLUMN voucher;
ALTER TABLE job_attempts DROP COLUMN history;
DROP TABLE organization_histories;
