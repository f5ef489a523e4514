-- Members of this role may call the public routines.
DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlshare_user') THEN
        CREATE ROLE mlshare_user NOLOGIN;
    END IF;
END
$roles$;

-- Only what an administrator changed; the defaults are in the view sys.ml_settings.
CREATE TABLE sys._setting (
    name  text   PRIMARY KEY,
    value bigint NOT NULL CHECK (value >= 0)
);
