-- The four database roles of goldfin. Run once by a database superuser, in goldfin's own database:
--
--     createdb goldfin
--     psql --dbname goldfin --file docs/roles.sql
--
-- It may be run again at any time: it puts back whatever was changed. `goldfin dev` runs this same file.
-- PostgreSQL 15 or newer.
--
-- Passwords are yours and are set nowhere in this project. Give each of the three login roles one, in psql:
--
--     \password goldfin_migrator
--     \password goldfin_app
--     \password goldfin_auditor
--
-- or let them log in with a client certificate or over a local socket (pg_hba.conf).
--
--   goldfin_owner     owns the schema and every object in it; nobody logs in as it
--   goldfin_migrator  applies migrations (`SET ROLE goldfin_owner`); its credential stays off the nodes
--   goldfin_app       what a node logs in as; may do what the migrations grant, and nothing else
--   goldfin_auditor   reads the auditors' views
--
-- What each role may touch is granted in migrations/, beside the objects.

DO $roles$
DECLARE
    missing text;
BEGIN
    IF current_setting('server_version_num')::int < 150000 THEN
        RAISE EXCEPTION 'goldfin needs PostgreSQL 15 or newer';
    END IF;
    FOREACH missing IN ARRAY ARRAY['goldfin_owner', 'goldfin_migrator', 'goldfin_app', 'goldfin_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = missing) THEN
            EXECUTE format('CREATE ROLE %I', missing);
        END IF;
    END LOOP;
END
$roles$;

ALTER ROLE goldfin_owner    NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
ALTER ROLE goldfin_migrator LOGIN   NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
ALTER ROLE goldfin_app      LOGIN   NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
ALTER ROLE goldfin_auditor  LOGIN   NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;

-- A setting attached to a role is inherited silently by every session of it: `synchronous_commit = off` on
-- goldfin_app loses acknowledged writes, a `search_path` shadows functions. None is wanted on any of them.
ALTER ROLE goldfin_owner    RESET ALL;
ALTER ROLE goldfin_migrator RESET ALL;
ALTER ROLE goldfin_app      RESET ALL;
ALTER ROLE goldfin_auditor  RESET ALL;

-- NOINHERIT above means that the migrator has the owner's rights only after it says `SET ROLE goldfin_owner`.
GRANT goldfin_owner TO goldfin_migrator;

DO $database$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT of.rolname AS role, member.rolname AS member
        FROM pg_catalog.pg_auth_members m
        JOIN pg_catalog.pg_roles of ON of.oid = m.roleid
        JOIN pg_catalog.pg_roles member ON member.oid = m.member
        WHERE member.rolname IN ('goldfin_owner', 'goldfin_migrator', 'goldfin_app', 'goldfin_auditor')
          AND NOT (of.rolname = 'goldfin_owner' AND member.rolname = 'goldfin_migrator')
    LOOP
        EXECUTE format('REVOKE %I FROM %I', granted.role, granted.member);
    END LOOP;

    EXECUTE format('ALTER DATABASE %I OWNER TO goldfin_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO goldfin_migrator, goldfin_app, goldfin_auditor', current_database());
    EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
END
$database$;

-- Nobody but the owner makes objects in the schema every session looks in.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO goldfin_owner;
GRANT USAGE ON SCHEMA public TO goldfin_migrator, goldfin_app, goldfin_auditor;
