-- +goose Up

-- Attempts whose engine had started and whose row was pruned. Provisioners may
-- remember them longer, where a clock had gone ahead: that they are not there
-- is no loss.
CREATE TABLE pruned_attempts (
    attempt_id      TEXT COLLATE "C" PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    number          BIGINT NOT NULL
);
CREATE INDEX pruned_attempts_number ON pruned_attempts (organization_id, number);

-- +goose Down
DROP TABLE pruned_attempts;
