-- Members of this role may call the public routines.
DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlshare_user') THEN
        CREATE ROLE mlshare_user NOLOGIN;
    END IF;
END
$roles$;

-- What Oracle has as a package is a schema here.
CREATE SCHEMA dbms_data_mining;
COMMENT ON SCHEMA dbms_data_mining IS 'mlshare: routines of Oracle Machine Learning for SQL';

-- Only what an administrator changed; the defaults are in the view sys.ml_settings.
CREATE TABLE sys._setting (
    name  text   PRIMARY KEY,
    value bigint NOT NULL CHECK (value >= 0)
);

-- Clusters that partitions of models may be built on.
CREATE TABLE sys._executor (
    name        text PRIMARY KEY,
    address     text NOT NULL CHECK (address LIKE 'tls://%'),
    ca          text NOT NULL,
    certificate text NOT NULL,
    key         text NOT NULL
);

-- Such changes belong to the database: a dump takes them along.
DO $dump$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'mlshare') THEN
        PERFORM pg_extension_config_dump('sys._setting', '');
        PERFORM pg_extension_config_dump('sys._executor', '');
    END IF;
END
$dump$;
