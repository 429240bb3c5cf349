-- Petrel's registry, version 1. May be run again: it changes nothing that is there.

CREATE TABLE IF NOT EXISTS petrel_schema (
    name VARBINARY(32) NOT NULL PRIMARY KEY,
    version INT NOT NULL
) ENGINE=InnoDB;

-- An app's number is never given twice, so that what a deleted app leaves behind is never another's.
CREATE TABLE IF NOT EXISTS app (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARBINARY(64) NOT NULL,
    created_ms BIGINT NOT NULL,
    key_window_ms BIGINT NOT NULL,
    UNIQUE KEY app_name (name)
) ENGINE=InnoDB;

-- What signs the tokens of an app's devices; place 0 signs, all are accepted.
CREATE TABLE IF NOT EXISTS app_secret (
    app_id BIGINT NOT NULL,
    place INT NOT NULL,
    kid VARBINARY(16) NOT NULL,
    secret VARBINARY(32) NOT NULL,
    PRIMARY KEY (app_id, place)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS api_key (
    app_id BIGINT NOT NULL,
    id VARBINARY(16) NOT NULL,
    label VARBINARY(128) NOT NULL,
    sha256 VARBINARY(32) NOT NULL,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT NOT NULL,
    PRIMARY KEY (app_id, id),
    UNIQUE KEY api_key_id (id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS device (
    app_id BIGINT NOT NULL,
    user VARBINARY(128) NOT NULL,
    device VARBINARY(64) NOT NULL,
    platform VARBINARY(128) NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    revoked_ms BIGINT NOT NULL,
    PRIMARY KEY (app_id, user, device)
) ENGINE=InnoDB;

-- Names of deleted apps, never given again; numbers of those whose devices are still being removed.
CREATE TABLE IF NOT EXISTS gone_app (
    name VARBINARY(64) NOT NULL PRIMARY KEY
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS purge_app (
    app_id BIGINT NOT NULL PRIMARY KEY
) ENGINE=InnoDB;

-- One row: grows with each change that nodes must see, and is the lock that writers take.
CREATE TABLE IF NOT EXISTS registry_version (
    id INT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
) ENGINE=InnoDB;

INSERT IGNORE INTO registry_version (id, version) VALUES (1, 0);
INSERT INTO petrel_schema (name, version) VALUES ('registry', 1) ON DUPLICATE KEY UPDATE version = GREATEST(version, 1);
