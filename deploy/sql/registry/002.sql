-- Petrel's registry, version 2, after 001.sql. May be run again: it changes nothing that is there.

-- Keys that sign device tokens and were added to an app that was there: secrets (HS256), and public keys (ES256, RS256) as DER.
CREATE TABLE IF NOT EXISTS app_token_key (
    app_id BIGINT NOT NULL,
    kid VARBINARY(64) NOT NULL,
    algorithm VARBINARY(8) NOT NULL,
    material VARBINARY(1024) NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (app_id, kid)
) ENGINE=InnoDB;

-- Requests a second of an app and of each of its keys; 0: as the nodes are configured.
CREATE TABLE IF NOT EXISTS app_limit (
    app_id BIGINT NOT NULL PRIMARY KEY,
    per_second BIGINT NOT NULL,
    key_per_second BIGINT NOT NULL
) ENGINE=InnoDB;

-- What limits an API key: bits of its scopes (1 send, 2 admin, 4 read; 0: all), its end (0: none). A key without a row may do
-- everything, for ever.
CREATE TABLE IF NOT EXISTS api_key_grant (
    app_id BIGINT NOT NULL,
    key_id VARBINARY(16) NOT NULL,
    scopes INT NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (app_id, key_id)
) ENGINE=InnoDB;

-- What operators did. Rows are only added; the oldest go with their age or number.
CREATE TABLE IF NOT EXISTS audit (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    who VARBINARY(64) NOT NULL,
    origin VARBINARY(64) NOT NULL,
    node VARBINARY(64) NOT NULL,
    action VARBINARY(64) NOT NULL,
    app VARBINARY(64) NOT NULL,
    target VARBINARY(255) NOT NULL,
    outcome VARBINARY(64) NOT NULL,
    KEY audit_at (at_ms)
) ENGINE=InnoDB;

INSERT INTO petrel_schema (name, version) VALUES ('registry', 2) ON DUPLICATE KEY UPDATE version = GREATEST(version, 2);
