-- Every statement prints a line when it does something and nothing when all is well: no output means no change.

-- A broken pg_hba.conf is ignored by a reload but keeps the server down at its next start: stop here, in words.
SELECT format('DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = %L; END $$', format('pg_hba.conf, line %s: %s', line_number, error))
  FROM pg_hba_file_rules WHERE error IS NOT NULL
\gexec

SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE template0', :'database', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec

SELECT format('ALTER DATABASE %I OWNER TO %I', datname, :'role')
  FROM pg_database WHERE datname = :'database' AND pg_get_userbyid(datdba) <> :'role'
\gexec

SELECT format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', :'database')
  WHERE has_database_privilege('public', :'database', 'CONNECT')
\gexec

\set QUIET on
\connect :"database"
\set QUIET off

SELECT 'CREATE EXTENSION pg_stat_statements'
  WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')
\gexec

-- The role restarts the server when it reads the word "restart" here.
SELECT name || ' changes with a restart' FROM pg_settings WHERE pending_restart;
