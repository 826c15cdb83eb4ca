-- +goose Up

-- A database that is restored from a copy does not know what was done since.
-- Engine starts of builds are therefore numbered within their organization, and
-- provisioners remember the newest: organization_histories has the last one,
-- voucher is what the provisioner was given for its own.
CREATE TABLE organization_histories (
    organization_id TEXT COLLATE "C" PRIMARY KEY REFERENCES organizations (id),
    number          BIGINT NOT NULL,
    attempt_id      TEXT COLLATE "C" NOT NULL,
    witness         TEXT COLLATE "C" NOT NULL,
    updated_at      BIGINT NOT NULL
);

ALTER TABLE job_attempts ADD COLUMN history BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job_attempts ADD COLUMN voucher TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX job_attempts_history_key ON job_attempts (organization_id, history) WHERE history > 0;
CREATE INDEX job_attempts_workspace_history ON job_attempts (workspace_id, history) WHERE history > 0;

-- A recovery lasts from the notice that the database is an older copy until
-- the numbers above copy_number, up to witnessed, are accounted for.
CREATE TABLE recoveries (
    id              TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    copy_number     BIGINT NOT NULL,
    witnessed       BIGINT NOT NULL,
    started_at      BIGINT NOT NULL,
    ended_at        BIGINT,
    ended_by_id     TEXT COLLATE "C"
);
CREATE UNIQUE INDEX recoveries_open_key ON recoveries (organization_id) WHERE ended_at IS NULL;
CREATE INDEX recoveries_organization ON recoveries (organization_id, started_at);

-- What provisioners report of engine starts that the copy lacks. data is the
-- sealed state of a workspace that the database does not know.
CREATE TABLE recovery_reports (
    attempt_id      TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    recovery_id     TEXT COLLATE "C" NOT NULL REFERENCES recoveries (id),
    number          BIGINT NOT NULL,
    workspace_id    TEXT COLLATE "C" NOT NULL,
    fence           BIGINT NOT NULL,
    claim           TEXT COLLATE "C" NOT NULL,
    daemon_name     TEXT COLLATE "C" NOT NULL,
    running         BOOLEAN NOT NULL,
    outcome         TEXT COLLATE "C" NOT NULL DEFAULT '',
    version         BIGINT NOT NULL DEFAULT 0,
    sha256          TEXT COLLATE "C" NOT NULL DEFAULT '',
    size            BIGINT NOT NULL DEFAULT 0,
    data            BYTEA NOT NULL,
    reported_at     BIGINT NOT NULL
);
CREATE INDEX recovery_reports_organization ON recovery_reports (organization_id, recovery_id);
CREATE INDEX recovery_reports_workspace ON recovery_reports (workspace_id);

-- A recovered state came from a provisioner after the restore.
ALTER TABLE workspace_states ADD COLUMN recovered BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down

ALTER TABLE workspace_states DROP COLUMN recovered;
DROP TABLE recovery_reports;
DROP TABLE recoveries;
DROP INDEX job_attempts_workspace_history;
DROP INDEX job_attempts_history_key;
ALTER TABLE job_attempts DROP COLUMN voucher;
ALTER TABLE job_attempts DROP COLUMN history;
DROP TABLE organization_histories;
