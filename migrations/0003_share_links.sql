-- Shares of others: who provides them, which of their shares are linked, and the views whose rows come from there.
--   mlshare_consumer   roles that may name servers for this one to connect to; what goes out of a database is a privilege
DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlshare_consumer') THEN
        CREATE ROLE mlshare_consumer NOLOGIN;
    END IF;
END
$roles$;

-- sealed_token: under the key in the data directory, for this owner and this endpoint; nothing in SQL opens it.
CREATE TABLE mlshare_share.share_provider (
    provider_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner         regrole NOT NULL,
    provider_name text NOT NULL CHECK (provider_name <> ''),
    endpoint      text NOT NULL,
    sealed_token  bytea NOT NULL,
    updated       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, provider_name)
);

CREATE TABLE mlshare_share.share_link (
    link_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner       regrole NOT NULL,
    link_name   text NOT NULL CHECK (link_name <> ''),
    provider_id uuid NOT NULL REFERENCES mlshare_share.share_provider,
    share_name  text NOT NULL,
    updated     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, link_name)
);

-- The rows are in an ordinary table beside the view, with the id of the file that each came from.
CREATE TABLE mlshare_share.share_link_view (
    view_id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner             regrole NOT NULL,
    link_id           uuid NOT NULL REFERENCES mlshare_share.share_link,
    view              regclass NOT NULL UNIQUE,
    data              regclass NOT NULL,
    share_schema_name text NOT NULL,
    share_table_name  text NOT NULL,
    column_names      text[] NOT NULL,
    where_clause      text,
    table_version     bigint,                               -- NULL until the first refresh
    file_ids          text[] NOT NULL DEFAULT '{}',
    num_files         integer NOT NULL DEFAULT 0,
    refreshed         timestamptz
);

DO $dump$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'mlshare') THEN
        PERFORM pg_extension_config_dump('mlshare_share.share_provider', '');
        PERFORM pg_extension_config_dump('mlshare_share.share_link', '');
        PERFORM pg_extension_config_dump('mlshare_share.share_link_view', '');
    END IF;
END
$dump$;
