-- +goose Up
-- What long lists tell beside their rows: how many there are. Triggers keep it,
-- so that no list counts a hundred thousand rows for that. Sixteen rows share
-- a template's count, by the owner's id, and are changed at the end of a
-- transaction only: people who make workspaces at once rarely meet there.
CREATE TABLE workspace_counts (
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    template_id     TEXT COLLATE "C" NOT NULL REFERENCES templates (id),
    shard           TEXT COLLATE "C" NOT NULL,
    workspaces      BIGINT NOT NULL,
    users           BIGINT NOT NULL,
    PRIMARY KEY (organization_id, template_id, shard)
);

CREATE TABLE template_users (
    template_id TEXT COLLATE "C" NOT NULL REFERENCES templates (id),
    owner_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    workspaces  BIGINT NOT NULL,
    PRIMARY KEY (template_id, owner_id)
);

INSERT INTO template_users (template_id, owner_id, workspaces)
SELECT template_id, owner_id, count(*) FROM workspaces WHERE deleted = FALSE GROUP BY template_id, owner_id;

INSERT INTO workspace_counts (organization_id, template_id, shard, workspaces, users)
SELECT organization_id, template_id, right(owner_id, 1), count(*), count(DISTINCT owner_id)
FROM workspaces WHERE deleted = FALSE GROUP BY organization_id, template_id, right(owner_id, 1);

-- +goose StatementBegin
CREATE FUNCTION count_workspace() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change BIGINT := CASE WHEN NEW.deleted THEN -1 ELSE 1 END;
    owned  BIGINT;
BEGIN
    INSERT INTO template_users AS t (template_id, owner_id, workspaces) VALUES (NEW.template_id, NEW.owner_id, change)
    ON CONFLICT (template_id, owner_id) DO UPDATE SET workspaces = t.workspaces + change
    RETURNING t.workspaces INTO owned;
    INSERT INTO workspace_counts AS c (organization_id, template_id, shard, workspaces, users)
    VALUES (NEW.organization_id, NEW.template_id, right(NEW.owner_id, 1), 1, 1)
    ON CONFLICT (organization_id, template_id, shard) DO UPDATE SET workspaces = c.workspaces + change,
        users = c.users + CASE WHEN change = 1 AND owned = 1 THEN 1 WHEN change = -1 AND owned = 0 THEN -1 ELSE 0 END;
    IF owned = 0 THEN
        DELETE FROM template_users WHERE template_id = NEW.template_id AND owner_id = NEW.owner_id;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER workspaces_count_new AFTER INSERT ON workspaces DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.deleted = FALSE) EXECUTE FUNCTION count_workspace();

CREATE CONSTRAINT TRIGGER workspaces_count_deleted AFTER UPDATE OF deleted ON workspaces DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.deleted = FALSE AND NEW.deleted = TRUE) EXECUTE FUNCTION count_workspace();

-- +goose Down
DROP TRIGGER workspaces_count_deleted ON workspaces;
DROP TRIGGER workspaces_count_new ON workspaces;
DROP FUNCTION count_workspace();
DROP TABLE template_users;
DROP TABLE workspace_counts;
