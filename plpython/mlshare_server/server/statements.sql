-- authenticate(token_hash, address)
SELECT * FROM mlshare_share.authenticate(%(token_hash)s, %(address)s::inet)

-- shares(recipient, after, count)
SELECT share_id, share_name, comment, lower(share_name) AS key
FROM mlshare_share.served_share
WHERE recipient_id = %(recipient)s AND lower(share_name) COLLATE "C" > %(after)s
ORDER BY lower(share_name) COLLATE "C" LIMIT %(count)s

-- share(recipient, share)
SELECT share_id, share_name, comment, current_version, history, url_lifetime
FROM mlshare_share.served_share
WHERE recipient_id = %(recipient)s AND lower(share_name) = lower(%(share)s)

-- schemas(recipient, share_id, after, count)
SELECT min(schema_name) AS schema_name, lower(schema_name) AS key
FROM mlshare_share.served_table
WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s AND is_current
  AND lower(schema_name) COLLATE "C" > %(after)s
GROUP BY lower(schema_name)
ORDER BY lower(schema_name) COLLATE "C" LIMIT %(count)s

-- has_schema(recipient, share_id, schema)
SELECT EXISTS (SELECT FROM mlshare_share.served_table
               WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s AND is_current
                 AND lower(schema_name) = lower(%(schema)s)) AS found

-- tables(recipient, share_id, schema, after, count)
SELECT table_id, schema_name, table_name, lower(schema_name || '.' || table_name) AS key
FROM mlshare_share.served_table
WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s AND is_current
  AND (%(schema)s::text IS NULL OR lower(schema_name) = lower(%(schema)s))
  AND lower(schema_name || '.' || table_name) COLLATE "C" > %(after)s
ORDER BY lower(schema_name || '.' || table_name) COLLATE "C" LIMIT %(count)s

-- table(recipient, share_id, schema, table)
SELECT table_id, share_version, published, schema_name, table_name, table_schema, primary_key, comment, num_files, size
FROM mlshare_share.served_table
WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s AND is_current
  AND lower(schema_name) = lower(%(schema)s) AND lower(table_name) = lower(%(table)s)

-- table_at(recipient, share_id, table_id, version)
SELECT table_id, share_version, published, schema_name, table_name, table_schema, primary_key, comment, num_files, size
FROM mlshare_share.served_table
WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s AND table_id = %(table_id)s
  AND share_version = %(version)s

-- share_by_id(recipient, share_id)
SELECT share_id, share_name, comment, current_version, history, url_lifetime
FROM mlshare_share.served_share
WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s

-- table_by_id(recipient, share_id, table_id)
SELECT table_id, share_version, published, schema_name, table_name, table_schema, primary_key, comment, num_files, size
FROM mlshare_share.served_table
WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s AND table_id = %(table_id)s
ORDER BY share_version DESC LIMIT 1

-- versions(recipient, share_id, table_id)
SELECT share_version, published
FROM mlshare_share.served_table
WHERE recipient_id = %(recipient)s AND share_id = %(share_id)s AND table_id = %(table_id)s
ORDER BY share_version

-- files(recipient, share_id, version, table_id, after, count)
SELECT * FROM mlshare_share.served_files(
    %(recipient)s, %(share_id)s, %(version)s::integer, %(table_id)s, %(after)s::integer, %(count)s::integer)

-- signed_file(file_id, recipient, address)
SELECT * FROM mlshare_share.signed_file(%(file_id)s, %(recipient)s, %(address)s::inet)

-- storage_access(link)
SELECT * FROM mlshare_share.storage_access(%(link)s)

-- activation(key_hash)
SELECT * FROM mlshare_share.activation(%(key_hash)s)

-- activation_identity(key_hash)
SELECT mlshare_share.activation_identity(%(key_hash)s) AS identity

-- activate(key_hash, token_hash)
SELECT * FROM mlshare_share.activate(%(key_hash)s, %(token_hash)s)

-- record_request(recipient_id, token_id, endpoint, …)
SELECT mlshare_share.record_request(
    %(recipient_id)s, %(token_id)s, %(endpoint)s, %(status)s, %(share_name)s, %(schema_name)s, %(table_name)s,
    %(share_version)s, %(num_files)s, %(size)s, make_interval(secs => %(seconds)s), %(address)s::inet, %(user_agent)s,
    %(details)s)

-- secret(name)
SELECT mlshare_share.secret_value(%(name)s) AS value

-- setting(name)
SELECT mlshare_share.setting_value(%(name)s) AS value

-- health()
SELECT 1 AS alive
