-- What Petrel's nodes may do in the registry, and no more. For the administrator, after 001.sql to 003.sql, in the registry's database; the
-- user is petrel@'%': put in its place whatever yours is, and where from it may come.

GRANT SELECT ON petrel_schema TO petrel@'%';
GRANT SELECT, UPDATE ON registry_version TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON app TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON app_secret TO petrel@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON api_key TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON device TO petrel@'%';
GRANT SELECT, INSERT ON gone_app TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON purge_app TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON app_token_key TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON app_limit TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON app_edge TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON api_key_grant TO petrel@'%';
GRANT SELECT, INSERT, DELETE ON audit TO petrel@'%';
