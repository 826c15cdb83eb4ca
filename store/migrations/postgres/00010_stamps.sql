-- +goose Up
-- A stamp names what something is made of now: it is drawn anew whenever that
-- changes, and by chance, so that the same stamp is the same thing even where
-- an older copy of the database was restored. Each request reads two, and no
-- membership that it knows by them. A user's id stands for what that user is
-- in, and 'organizations' for all organizations with their roles. Stamps are
-- drawn at the end of a transaction, so that those who meet there do so shortly.
CREATE TABLE stamps (
    subject TEXT COLLATE "C" PRIMARY KEY,
    stamp   TEXT COLLATE "C" NOT NULL
);

INSERT INTO stamps (subject, stamp) SELECT user_id, gen_random_uuid()::TEXT FROM organization_members GROUP BY user_id;
INSERT INTO stamps (subject, stamp) VALUES ('organizations', gen_random_uuid()::TEXT);

-- +goose StatementBegin
CREATE FUNCTION draw_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed TEXT := 'organizations';
BEGIN
    IF TG_TABLE_NAME IN ('organization_members', 'group_members') THEN
        changed := CASE WHEN TG_OP = 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
    END IF;
    INSERT INTO stamps (subject, stamp) VALUES (changed, gen_random_uuid()::TEXT)
    ON CONFLICT (subject) DO UPDATE SET stamp = excluded.stamp;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER stamp_organization_members AFTER INSERT OR UPDATE OR DELETE ON organization_members DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION draw_stamp();

CREATE CONSTRAINT TRIGGER stamp_group_members AFTER INSERT OR UPDATE OR DELETE ON group_members DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION draw_stamp();

CREATE CONSTRAINT TRIGGER stamp_organizations AFTER INSERT OR UPDATE OR DELETE ON organizations DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION draw_stamp();

CREATE CONSTRAINT TRIGGER stamp_custom_roles AFTER INSERT OR UPDATE OR DELETE ON custom_roles DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION draw_stamp();

-- +goose Down
DROP TRIGGER stamp_custom_roles ON custom_roles;
DROP TRIGGER stamp_organizations ON organizations;
DROP TRIGGER stamp_group_members ON group_members;
DROP TRIGGER stamp_organization_members ON organization_members;
DROP FUNCTION draw_stamp();
DROP TABLE stamps;
