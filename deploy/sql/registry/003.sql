-- Petrel's registry, version 3, after 002.sql. May be run again: it changes nothing that is there.

-- What devices of an app meet where they connect: connects a second on each node (0: as the nodes are configured), and the origins of the
-- pages that may (by commas; 'none': no page; empty: as the nodes are configured).
CREATE TABLE IF NOT EXISTS app_edge (
    app_id BIGINT NOT NULL PRIMARY KEY,
    connects_per_second BIGINT NOT NULL,
    origins VARBINARY(511) NOT NULL
) ENGINE=InnoDB;

INSERT INTO petrel_schema (name, version) VALUES ('registry', 3) ON DUPLICATE KEY UPDATE version = GREATEST(version, 3);
