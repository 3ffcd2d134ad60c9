-- Every statement prints a line when it does something: no output means no change.
SELECT 'CREATE ROLE "prometheus-postgres-exporter" LOGIN CONNECTION LIMIT 5'
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'prometheus-postgres-exporter')
\gexec

SELECT 'GRANT pg_monitor TO "prometheus-postgres-exporter"'
  WHERE NOT pg_has_role('prometheus-postgres-exporter', 'pg_monitor', 'MEMBER')
\gexec

SELECT 'GRANT pg_use_reserved_connections TO "prometheus-postgres-exporter"'
  WHERE NOT pg_has_role('prometheus-postgres-exporter', 'pg_use_reserved_connections', 'MEMBER')
\gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO "prometheus-postgres-exporter"', :'database')
  WHERE NOT has_database_privilege('prometheus-postgres-exporter', :'database', 'CONNECT')
\gexec
