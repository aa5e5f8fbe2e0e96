-- What the node and the auditor may touch. docs/roles.sql makes the roles.

GRANT SELECT, INSERT, UPDATE, DELETE ON control, auth_token, replay, kv_secret, kv_version, transform_key, pii_token, pii_token_index, transform_removed, allowance TO goldfin_app;
GRANT SELECT, INSERT, UPDATE ON seal, kek, subject TO goldfin_app;
-- To pass over the numbers of subjects whom a restored database no longer knows.
GRANT SELECT, UPDATE ON SEQUENCE subject_id_seq TO goldfin_app;
GRANT USAGE ON SEQUENCE mount_number, transformation_number, pii_token_block, subject_id_seq TO goldfin_app;

GRANT SELECT ON ledger_stream, ledger_head, ledger_entry, ledger_subject TO goldfin_app;
REVOKE ALL ON FUNCTION ledger_name_subjects(integer, bigint[], timestamptz, bytea[], text[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_name_subjects(integer, bigint[], timestamptz, bytea[], text[], bigint[]) TO goldfin_app;
REVOKE ALL ON FUNCTION ledger_claim(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_claim(text) TO goldfin_app;
REVOKE ALL ON FUNCTION ledger_append(integer, bigint, bytea, timestamptz[], uuid[], text[], text[], text[], text[], bytea[], text[], text[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_append(integer, bigint, bytea, timestamptz[], uuid[], text[], text[], text[], text[], bytea[], text[], text[], bytea[]) TO goldfin_app;
REVOKE ALL ON FUNCTION pii_token_append(integer[], bigint[], bigint[], timestamptz[], bytea[], bytea[], bytea[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pii_token_append(integer[], bigint[], bigint[], timestamptz[], bytea[], bytea[], bytea[], bigint[]) TO goldfin_app;
-- A node reads which migrations were applied and refuses a schema that it does not know.
DO $$
BEGIN
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT ON public._sqlx_migrations TO goldfin_app;
    END IF;
END
$$;

GRANT SELECT ON audit TO goldfin_auditor;
