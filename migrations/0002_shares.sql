-- Data shares: what is shared, with whom, what was published and where the files are. Ordinary roles reach the rows of
-- roles whose rights they have (row-level security, below), through the routines of dbms_share and the views of sys.
-- Three group roles, made once per cluster:
--   mlshare_provider        roles that dbms_share.enable_schema has let share data
--   mlshare_worker          the publish worker's logins: take jobs, record versions and files
--   mlshare_sharing_server  the sharing server's logins: the served_… views and a few functions, no table
DO $roles$
DECLARE
    wanted name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['mlshare_provider', 'mlshare_worker', 'mlshare_sharing_server'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$roles$;

CREATE SCHEMA dbms_share;
COMMENT ON SCHEMA dbms_share IS 'mlshare: routines to share data, named as in Oracle';
CREATE SCHEMA mlshare_share;
COMMENT ON SCHEMA mlshare_share IS 'mlshare: tables of data shares; use dbms_share and the views of sys';

-- --- who may share -------------------------------------------------------------------------------

-- The worker reads an owner's tables in a session of the owner's reader: a login that is a member of the owner and of
-- nothing else, so that code of the owner (views, policies) that resets the role ends up with fewer rights, not more.
CREATE TABLE mlshare_share.provider (
    owner           regrole PRIMARY KEY,
    reader          name NOT NULL UNIQUE,
    reader_password text NOT NULL,
    enabled         boolean NOT NULL DEFAULT true,
    updated         timestamptz NOT NULL DEFAULT now()
);

-- Only what an administrator changed; the defaults are in sys.all_share_default_settings.
CREATE TABLE mlshare_share.setting (
    setting       text PRIMARY KEY,
    setting_value text NOT NULL
);

-- Made at installation: signs the URLs of local files and the page tokens. One for all servers side by side.
CREATE TABLE mlshare_share.secret (
    name  text PRIMARY KEY,
    value bytea NOT NULL CHECK (octet_length(value) >= 32)
);

-- --- storage -------------------------------------------------------------------------------------

-- username and password as in Oracle: for S3 the access key and the secret key.
CREATE TABLE mlshare_share.credential (
    owner           regrole NOT NULL,
    credential_name text NOT NULL,
    username        text NOT NULL,
    password        text NOT NULL,
    updated         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, credential_name)
);

-- uri: file:///directory/ or s3://bucket/prefix/, always with a slash at its end.
-- metadata: for S3 {"endpoint": "https://host:port", "region": "name"}; both may be missing.
CREATE TABLE mlshare_share.storage_link (
    storage_link_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner             regrole NOT NULL,
    storage_link_name text NOT NULL CHECK (storage_link_name <> ''),
    uri               text NOT NULL CHECK (uri ~ '^(file:///|s3://[a-z0-9][a-z0-9.-]+/)([^?#]*/)?$'
                                           AND uri !~ '(/\.\.?/|//.*//|[[:cntrl:]])'),
    credential_name   text,
    description       text,
    metadata          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    updated           timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, storage_link_name)
);

-- --- shares --------------------------------------------------------------------------------------

CREATE DOMAIN mlshare_share.share_name AS text
    CHECK (octet_length(VALUE) BETWEEN 1 AND 255 AND VALUE !~ '[[:cntrl:] /]');
CREATE DOMAIN mlshare_share.object_name AS text
    CHECK (octet_length(VALUE) BETWEEN 1 AND 255 AND VALUE !~ '[[:cntrl:] /.]');

CREATE TABLE mlshare_share.share (
    share_id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner              regrole NOT NULL,
    share_name         mlshare_share.share_name NOT NULL,
    share_type         text NOT NULL DEFAULT 'VERSIONED' CHECK (share_type = 'VERSIONED'),
    storage_link_id    uuid NOT NULL REFERENCES mlshare_share.storage_link,
    storage_folder     text NOT NULL,                       -- below the link's uri, with a slash at its end
    -- What is served; NULL before the first publish. A trigger looks after it: a foreign key in a circle could not be
    -- restored from a dump.
    current_version    integer,
    last_version       integer NOT NULL DEFAULT 0,          -- the highest number given to a version
    description        text,
    public_description text,
    properties         jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(properties) = 'object'),
    next_publish       timestamptz,                         -- with property publish_interval
    created            timestamptz NOT NULL DEFAULT now(),
    updated            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, share_name)
);
-- Clients look names up without regard to case.
CREATE UNIQUE INDEX ON mlshare_share.share (owner, lower(share_name));

CREATE TABLE mlshare_share.share_table (
    table_id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    share_id          uuid NOT NULL REFERENCES mlshare_share.share ON DELETE CASCADE,
    share_schema_name mlshare_share.object_name NOT NULL,
    share_table_name  mlshare_share.object_name NOT NULL,
    table_owner       name NOT NULL,                        -- the schema, as Oracle's owner
    table_name        name NOT NULL,
    columns           name[],                               -- NULL: all
    where_clause      text,
    properties        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(properties) = 'object'),
    updated           timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ON mlshare_share.share_table (share_id, lower(share_schema_name), lower(share_table_name));

-- --- what was published --------------------------------------------------------------------------

CREATE TABLE mlshare_share.version (
    share_id      uuid NOT NULL REFERENCES mlshare_share.share ON DELETE CASCADE,
    share_version integer NOT NULL CHECK (share_version > 0),
    status        text NOT NULL DEFAULT 'EXPORTING'
                  CHECK (status IN ('EXPORTING', 'EXPORTED', 'FAILED', 'DROPPED')),
    export_time   timestamptz NOT NULL DEFAULT now(),       -- the moment of the snapshot
    published     timestamptz,                              -- the moment it was complete; orders time travel
    num_files     bigint NOT NULL DEFAULT 0,
    num_rows      bigint NOT NULL DEFAULT 0,
    size          bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (share_id, share_version),
    CHECK ((status = 'EXPORTED') <= (published IS NOT NULL))
);
-- A table as it is in one version: names and columns may change between versions, table_id does not.
CREATE TABLE mlshare_share.version_table (
    share_id          uuid NOT NULL,
    share_version     integer NOT NULL,
    table_id          uuid NOT NULL,
    share_schema_name mlshare_share.object_name NOT NULL,
    share_table_name  mlshare_share.object_name NOT NULL,
    table_schema      jsonb NOT NULL,                       -- Delta's schema JSON, timestamp_ntz where PostgreSQL has timestamp
    primary_key       text[],                               -- its columns, where all of them are shared
    comment           text,
    num_files         bigint NOT NULL,
    num_rows          bigint NOT NULL,
    size              bigint NOT NULL,
    PRIMARY KEY (share_id, share_version, table_id),
    FOREIGN KEY (share_id, share_version) REFERENCES mlshare_share.version ON DELETE CASCADE
);

-- A row is committed before the first byte is written, so no file is ever without one.
CREATE TABLE mlshare_share.file (
    file_id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    storage_link_id uuid NOT NULL REFERENCES mlshare_share.storage_link,
    share_id        uuid REFERENCES mlshare_share.share ON DELETE SET NULL,
    table_id        uuid NOT NULL,
    partition_name  text NOT NULL DEFAULT '',               -- leaf of a partitioned table
    path            text NOT NULL,                          -- below the link's uri
    first_version   integer NOT NULL,                       -- the version it was written for
    complete        boolean NOT NULL DEFAULT false,
    size            bigint NOT NULL DEFAULT 0,
    num_rows        bigint NOT NULL DEFAULT 0,
    sha256          bytea,                                  -- of the whole file
    stats           text,                                   -- JSON as Delta's: numRecords, minValues, maxValues, nullCount
    created         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (storage_link_id, path)
);
CREATE INDEX ON mlshare_share.file (share_id, table_id);

-- Which files make up a table in a version; an unchanged table keeps its files.
CREATE TABLE mlshare_share.version_file (
    share_id      uuid NOT NULL,
    share_version integer NOT NULL,
    table_id      uuid NOT NULL,
    file_no       integer NOT NULL,                         -- order in which they are listed
    file_id       uuid NOT NULL REFERENCES mlshare_share.file,
    PRIMARY KEY (share_id, share_version, table_id, file_no),
    FOREIGN KEY (share_id, share_version, table_id) REFERENCES mlshare_share.version_table ON DELETE CASCADE
);
CREATE INDEX ON mlshare_share.version_file (file_id);

-- What a partition looked like when it was exported, to find it unchanged the next time.
CREATE TABLE mlshare_share.version_partition (
    share_id       uuid NOT NULL,
    share_version  integer NOT NULL,
    table_id       uuid NOT NULL,
    partition_name text NOT NULL DEFAULT '',
    fingerprint    text,                                    -- NULL: cannot be told, export again
    PRIMARY KEY (share_id, share_version, table_id, partition_name),
    FOREIGN KEY (share_id, share_version, table_id) REFERENCES mlshare_share.version_table ON DELETE CASCADE
);

-- --- jobs ----------------------------------------------------------------------------------------

CREATE TABLE mlshare_share.job (
    job_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner            regrole NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('PUBLISH', 'VALIDATE', 'PURGE')),
    share_id         uuid REFERENCES mlshare_share.share ON DELETE CASCADE,
    storage_link_id  uuid REFERENCES mlshare_share.storage_link ON DELETE CASCADE,
    arguments        jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL DEFAULT 'QUEUED'
                     CHECK (status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    cancel_requested boolean NOT NULL DEFAULT false,
    share_version    integer,
    attempts         integer NOT NULL DEFAULT 0,            -- how often a worker has taken it
    requested        timestamptz NOT NULL DEFAULT now(),
    started          timestamptz,
    ended            timestamptz,
    num_rows         bigint NOT NULL DEFAULT 0,
    total_rows       bigint,                                -- an estimate until the end
    size             bigint NOT NULL DEFAULT 0,
    result           jsonb,
    error            text,
    CHECK ((kind = 'PUBLISH') = (share_id IS NOT NULL))
);
CREATE INDEX ON mlshare_share.job (job_id) WHERE status IN ('QUEUED', 'RUNNING');
CREATE INDEX ON mlshare_share.job (share_id);
-- A share is published by one worker at a time.
CREATE UNIQUE INDEX ON mlshare_share.job (share_id) WHERE status = 'RUNNING';

CREATE TABLE mlshare_share.job_segment (
    job_id         bigint NOT NULL REFERENCES mlshare_share.job ON DELETE CASCADE,
    segment_no     integer NOT NULL,
    table_id       uuid NOT NULL,
    partition_name text NOT NULL DEFAULT '',
    status         text NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'REUSED', 'FAILED')),
    num_rows       bigint NOT NULL DEFAULT 0,
    size           bigint NOT NULL DEFAULT 0,
    started        timestamptz NOT NULL DEFAULT now(),
    ended          timestamptz,
    PRIMARY KEY (job_id, segment_no)
);

-- --- recipients ----------------------------------------------------------------------------------

-- properties: TOKEN_LIFETIME (interval text), VERSION_ACCESS (CURRENT, ANY), IP_LIST (array of CIDR), LOG_LEVEL …
CREATE TABLE mlshare_share.recipient (
    recipient_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner          regrole NOT NULL,
    recipient_name text NOT NULL CHECK (octet_length(recipient_name) BETWEEN 1 AND 255
                                        AND recipient_name !~ '[[:cntrl:]]'),
    description    text,
    email          text,
    token_lifetime interval NOT NULL DEFAULT '90 days' CHECK (token_lifetime > '0'),
    version_access text NOT NULL DEFAULT 'CURRENT' CHECK (version_access IN ('CURRENT', 'ANY')),
    ip_list        cidr[],                                  -- NULL: from anywhere
    log_level      integer NOT NULL DEFAULT 1 CHECK (log_level BETWEEN 0 AND 3),
    properties     jsonb NOT NULL DEFAULT '{}',
    created        timestamptz NOT NULL DEFAULT now(),
    updated        timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ON mlshare_share.recipient (owner, lower(recipient_name));

CREATE TABLE mlshare_share.recipient_grant (
    share_id     uuid NOT NULL REFERENCES mlshare_share.share ON DELETE CASCADE,
    recipient_id uuid NOT NULL REFERENCES mlshare_share.recipient ON DELETE CASCADE,
    updated      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (recipient_id, share_id)
);
CREATE INDEX ON mlshare_share.recipient_grant (share_id);

-- Bearer tokens, as SHA-256 only. A revoked token keeps its row for the audit.
CREATE TABLE mlshare_share.token (
    token_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    recipient_id uuid NOT NULL REFERENCES mlshare_share.recipient ON DELETE CASCADE,
    token_hash   bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created      timestamptz NOT NULL DEFAULT now(),
    expires      timestamptz NOT NULL,
    revoked      timestamptz
);
CREATE INDEX ON mlshare_share.token (recipient_id);

-- Activation links, as SHA-256 of their key only; used once.
CREATE TABLE mlshare_share.activation (
    activation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    recipient_id  uuid NOT NULL REFERENCES mlshare_share.recipient ON DELETE CASCADE,
    key_hash      bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    endpoint      text NOT NULL,                            -- what the profile will name
    created       timestamptz NOT NULL DEFAULT now(),
    expires       timestamptz NOT NULL,
    used          timestamptz,                              -- or made void
    token_id      uuid REFERENCES mlshare_share.token ON DELETE SET NULL
);
CREATE INDEX ON mlshare_share.activation (recipient_id);

-- --- what happened -------------------------------------------------------------------------------

CREATE TABLE mlshare_share.share_event (
    event_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    share_id       uuid NOT NULL REFERENCES mlshare_share.share ON DELETE CASCADE,
    job_id         bigint,
    "time"         timestamptz NOT NULL DEFAULT clock_timestamp(),
    status         text NOT NULL,                           -- STARTED, REUSED, EXPORTED, COMPLETED, FAILED, CANCELLED …
    object_name    text,
    partition_name text,
    details        jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ON mlshare_share.share_event (share_id, "time");

-- One row for each request of a recipient. Names are as asked for: what they name may not exist.
CREATE TABLE mlshare_share.recipient_event (
    event_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient_id  uuid NOT NULL REFERENCES mlshare_share.recipient ON DELETE CASCADE,
    token_id      uuid,
    "time"        timestamptz NOT NULL DEFAULT clock_timestamp(),
    endpoint      text NOT NULL,                            -- list_shares, query, changes, activate, file …
    status        integer NOT NULL,                         -- of HTTP
    share_id      uuid,
    share_name    text,
    schema_name   text,
    table_name    text,
    share_version integer,
    num_files     bigint,
    size          bigint,                                   -- bytes of the files named in the answer
    duration      interval,
    address       inet,
    user_agent    text,
    details       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ON mlshare_share.recipient_event (recipient_id, "time");

-- Data of providers goes with the database into a dump; passwords, secrets and what only a running cluster has do not.
DO $dump$
DECLARE
    kept text;
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'mlshare') THEN
        FOREACH kept IN ARRAY ARRAY['setting', 'storage_link', 'share', 'share_table', 'version', 'version_table', 'file',
                                    'version_file', 'version_partition', 'recipient', 'recipient_grant', 'token',
                                    'share_event', 'recipient_event', 'share_event_event_id_seq',
                                    'recipient_event_event_id_seq'] LOOP
            PERFORM pg_extension_config_dump(('mlshare_share.' || kept)::regclass, '');
        END LOOP;
    END IF;
END
$dump$;
