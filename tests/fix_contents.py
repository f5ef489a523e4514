"""What an installation consists of, as text that can be compared."""

from __future__ import annotations

import psycopg

ROUTINES = """
SELECT 'routine ' || p.oid::regprocedure || ' owner ' || pg_get_userbyid(p.proowner)
       || ' acl ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(p.proacl) AS a), '-')
       || E'\\n' || coalesce(obj_description(p.oid, 'pg_proc'), 'NO COMMENT') || E'\\n' || pg_get_functiondef(p.oid)
FROM pg_proc AS p WHERE p.pronamespace IN ('sys'::regnamespace, 'dbms_data_mining'::regnamespace) ORDER BY 1
"""
RELATIONS = """
SELECT 'relation ' || c.oid::regclass || ' kind ' || c.relkind::text || ' owner ' || pg_get_userbyid(c.relowner)
       || ' acl ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(c.relacl) AS a), '-')
       || ' options ' || coalesce(c.reloptions::text, '-') || ' rls ' || c.relrowsecurity
       || E'\\n' || coalesce(obj_description(c.oid, 'pg_class'), 'NO COMMENT')
       || E'\\n' || coalesce(pg_get_viewdef(c.oid), '')
       || (SELECT coalesce(string_agg(format('%s %s not null %s default %s', attname, format_type(atttypid, atttypmod),
                                             attnotnull, pg_get_expr(adbin, adrelid)), E'\\n' ORDER BY attnum), '')
           FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON adrelid = attrelid AND adnum = attnum
           WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
       || (SELECT coalesce(string_agg(E'\\n' || conname || ' ' || pg_get_constraintdef(oid), '' ORDER BY conname), '')
           FROM pg_constraint WHERE conrelid = c.oid)
       || (SELECT coalesce(string_agg(E'\\n' || polname || ' ' || coalesce(pg_get_expr(polqual, polrelid), '-'), ''
                                      ORDER BY polname), '') FROM pg_policy WHERE polrelid = c.oid)
FROM pg_class AS c WHERE c.relnamespace = 'sys'::regnamespace ORDER BY 1
"""
SCHEMAS = """
SELECT 'schema ' || nspname || ' acl ' || coalesce(nspacl::text, '-') || ' '
       || coalesce(obj_description(oid, 'pg_namespace'), 'NO COMMENT')
FROM pg_namespace WHERE nspname IN ('sys', 'dbms_data_mining') ORDER BY 1
"""
MIGRATIONS = "SELECT name || ' ' || version || ' ' || body_sha256 FROM sys._migration ORDER BY 1"
MEMBERS = """
SELECT (pg_identify_object(classid, objid, objsubid)).type || ' '
       || (pg_identify_object(classid, objid, objsubid)).identity AS member
FROM pg_depend JOIN pg_extension AS e ON refobjid = e.oid AND refclassid = 'pg_extension'::regclass
WHERE deptype = 'e' AND extname = 'mlshare'
  -- Whether the types of rows are members differs between versions of PostgreSQL.
  AND classid <> 'pg_type'::regclass
ORDER BY 1
"""


def contents(connection: psycopg.Connection) -> str:
    """Everything in schema sys with definitions, owners, privileges and comments."""
    queries = (SCHEMAS, RELATIONS, ROUTINES, MIGRATIONS)
    return "\n".join(row[0] for query in queries for row in connection.execute(query))


def members(connection: psycopg.Connection) -> str:
    """The objects that belong to the extension, one a line."""
    # Which names are keywords, and so quoted, and which types have a schema before them differs between versions too.
    rows = connection.execute(MEMBERS)
    return "".join(sorted(f"{row[0]}\n".replace('"', "").replace("pg_catalog.", "") for row in rows))
