-- What a provider says of itself to those it shares with: the activation page shows it.
CREATE TABLE mlshare_share.published_identity (
    owner    regrole PRIMARY KEY,
    metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 65536),
    updated  timestamptz NOT NULL DEFAULT now()
);

DO $dump$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'mlshare') THEN
        PERFORM pg_extension_config_dump('mlshare_share.published_identity', '');
    END IF;
END
$dump$;
