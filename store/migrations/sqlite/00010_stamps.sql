-- +goose Up
-- A stamp names what something is made of now: it is drawn anew whenever that
-- changes, and by chance, so that the same stamp is the same thing even where
-- an older copy of the database was restored. Each request reads two, and no
-- membership that it knows by them. A user's id stands for what that user is
-- in, and 'organizations' for all organizations with their roles.
CREATE TABLE stamps (
    subject TEXT PRIMARY KEY,
    stamp   TEXT NOT NULL
) STRICT;

INSERT INTO stamps (subject, stamp) SELECT user_id, lower(hex(randomblob(16))) FROM organization_members GROUP BY user_id;
INSERT INTO stamps (subject, stamp) VALUES ('organizations', lower(hex(randomblob(16))));

-- +goose StatementBegin
CREATE TRIGGER stamp_members_insert AFTER INSERT ON organization_members
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES (NEW.user_id, lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_members_update AFTER UPDATE ON organization_members
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES (NEW.user_id, lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_members_delete AFTER DELETE ON organization_members
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES (OLD.user_id, lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_group_members_insert AFTER INSERT ON group_members
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES (NEW.user_id, lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_group_members_update AFTER UPDATE ON group_members
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES (NEW.user_id, lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_group_members_delete AFTER DELETE ON group_members
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES (OLD.user_id, lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_organizations_insert AFTER INSERT ON organizations
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES ('organizations', lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_organizations_update AFTER UPDATE ON organizations
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES ('organizations', lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_organizations_delete AFTER DELETE ON organizations
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES ('organizations', lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_roles_insert AFTER INSERT ON custom_roles
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES ('organizations', lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_roles_update AFTER UPDATE ON custom_roles
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES ('organizations', lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER stamp_roles_delete AFTER DELETE ON custom_roles
BEGIN
    INSERT INTO stamps (subject, stamp) VALUES ('organizations', lower(hex(randomblob(16))))
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER stamp_roles_delete;
DROP TRIGGER stamp_roles_update;
DROP TRIGGER stamp_roles_insert;
DROP TRIGGER stamp_organizations_delete;
DROP TRIGGER stamp_organizations_update;
DROP TRIGGER stamp_organizations_insert;
DROP TRIGGER stamp_group_members_delete;
DROP TRIGGER stamp_group_members_update;
DROP TRIGGER stamp_group_members_insert;
DROP TRIGGER stamp_members_delete;
DROP TRIGGER stamp_members_update;
DROP TRIGGER stamp_members_insert;
DROP TABLE stamps;
