DO $wrapper$
DECLARE
    recorded text;
BEGIN
    -- Its row goes in first, so that of two runners only one goes on.
    INSERT INTO sys._migration (name, version, body_sha256)
    VALUES ('@@NAME@@', '@@VERSION@@', '@@SHA256@@') ON CONFLICT (name) DO NOTHING;
    IF NOT FOUND THEN
        SELECT body_sha256 INTO recorded FROM sys._migration WHERE name = '@@NAME@@';
        IF recorded <> '@@SHA256@@' THEN
            RAISE WARNING 'migration "@@NAME@@" has changed since this database ran it';
        END IF;
        RETURN;
    END IF;
    EXECUTE $migration$
@@BODY@@
$migration$;
END
$wrapper$;
