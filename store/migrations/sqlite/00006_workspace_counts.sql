-- +goose Up
-- What long lists tell beside their rows: how many there are. Triggers keep it,
-- so that no list counts a hundred thousand rows for that.
CREATE TABLE workspace_counts (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    template_id     TEXT NOT NULL REFERENCES templates (id),
    shard           TEXT NOT NULL,
    workspaces      INTEGER NOT NULL,
    users           INTEGER NOT NULL,
    PRIMARY KEY (organization_id, template_id, shard)
) STRICT;

CREATE TABLE template_users (
    template_id TEXT NOT NULL REFERENCES templates (id),
    owner_id    TEXT NOT NULL REFERENCES users (id),
    workspaces  INTEGER NOT NULL,
    PRIMARY KEY (template_id, owner_id)
) STRICT;

INSERT INTO template_users (template_id, owner_id, workspaces)
SELECT template_id, owner_id, count(*) FROM workspaces WHERE deleted = FALSE GROUP BY template_id, owner_id;

INSERT INTO workspace_counts (organization_id, template_id, shard, workspaces, users)
SELECT organization_id, template_id, '', count(*), count(DISTINCT owner_id) FROM workspaces WHERE deleted = FALSE GROUP BY organization_id, template_id;

-- +goose StatementBegin
CREATE TRIGGER workspaces_count_new AFTER INSERT ON workspaces WHEN NEW.deleted = FALSE
BEGIN
    INSERT INTO template_users (template_id, owner_id, workspaces) VALUES (NEW.template_id, NEW.owner_id, 1)
    ON CONFLICT (template_id, owner_id) DO UPDATE SET workspaces = workspaces + 1;
    INSERT INTO workspace_counts (organization_id, template_id, shard, workspaces, users) VALUES (NEW.organization_id, NEW.template_id, '', 0, 0)
    ON CONFLICT (organization_id, template_id, shard) DO NOTHING;
    UPDATE workspace_counts SET workspaces = workspaces + 1,
        users = users + (SELECT t.workspaces = 1 FROM template_users t WHERE t.template_id = NEW.template_id AND t.owner_id = NEW.owner_id)
    WHERE organization_id = NEW.organization_id AND template_id = NEW.template_id AND shard = '';
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspaces_count_deleted AFTER UPDATE OF deleted ON workspaces WHEN OLD.deleted = FALSE AND NEW.deleted = TRUE
BEGIN
    UPDATE template_users SET workspaces = workspaces - 1 WHERE template_id = OLD.template_id AND owner_id = OLD.owner_id;
    UPDATE workspace_counts SET workspaces = workspaces - 1,
        users = users - (SELECT t.workspaces = 0 FROM template_users t WHERE t.template_id = OLD.template_id AND t.owner_id = OLD.owner_id)
    WHERE organization_id = OLD.organization_id AND template_id = OLD.template_id AND shard = '';
    DELETE FROM template_users WHERE template_id = OLD.template_id AND owner_id = OLD.owner_id AND workspaces = 0;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER workspaces_count_deleted;
DROP TRIGGER workspaces_count_new;
DROP TABLE template_users;
DROP TABLE workspace_counts;
