-- No key is wrapped under a retired version of the keyring any more, by no node and by no request that was under way when the
-- version was retired. docs/rotation.md says why the end of a rotation needs this.

ALTER TABLE kek ADD COLUMN retired timestamptz;
COMMENT ON COLUMN kek.retired IS 'from here on the database refuses new keys under this version; those that are there are found and re-wrapped';

-- Bytes 7 to 10 of a header are the key version, big endian (crates/crypto/src/envelope.rs).
--
-- A request that wrapped before it heard of the new primary may write its row at any later moment. The shared lock lasts until the end
-- of its transaction: whoever retires a version waits for those that came before, and those that come later see what was retired.
CREATE FUNCTION kek_check_new_keys() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7306, 0);
    IF EXISTS (SELECT FROM written w JOIN public.kek k ON k.namespace = w.namespace AND int4send(k.version) = substring(w.wrapped_key FROM 7 FOR 4)
               WHERE k.retired IS NOT NULL) THEN
        RAISE EXCEPTION 'a key is wrapped under a retired version' USING ERRCODE = 'GF004';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER kv_secret_new_keys AFTER INSERT ON kv_secret REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION kek_check_new_keys();
CREATE TRIGGER kv_version_new_keys AFTER INSERT ON kv_version REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION kek_check_new_keys();
CREATE TRIGGER transform_key_new_keys AFTER INSERT ON transform_key REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION kek_check_new_keys();
CREATE TRIGGER subject_new_keys AFTER INSERT ON subject REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION kek_check_new_keys();

-- A row that keeps its key may change, whatever its key is under: the rotation finds it all the same.
CREATE FUNCTION kek_check_other_key() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7306, 0);
    IF EXISTS (SELECT FROM public.kek k WHERE k.namespace = NEW.namespace AND k.retired IS NOT NULL
                   AND int4send(k.version) = substring(NEW.wrapped_key FROM 7 FOR 4)) THEN
        RAISE EXCEPTION 'a key is wrapped under a retired version' USING ERRCODE = 'GF004';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER kv_secret_other_key AFTER UPDATE ON kv_secret FOR EACH ROW
    WHEN (NEW.wrapped_key IS DISTINCT FROM OLD.wrapped_key) EXECUTE FUNCTION kek_check_other_key();
CREATE TRIGGER kv_version_other_key AFTER UPDATE ON kv_version FOR EACH ROW
    WHEN (NEW.wrapped_key IS DISTINCT FROM OLD.wrapped_key) EXECUTE FUNCTION kek_check_other_key();
CREATE TRIGGER transform_key_other_key AFTER UPDATE ON transform_key FOR EACH ROW
    WHEN (NEW.wrapped_key IS DISTINCT FROM OLD.wrapped_key) EXECUTE FUNCTION kek_check_other_key();
CREATE TRIGGER subject_other_key AFTER UPDATE ON subject FOR EACH ROW
    WHEN (NEW.wrapped_key IS NOT NULL AND NEW.wrapped_key IS DISTINCT FROM OLD.wrapped_key) EXECUTE FUNCTION kek_check_other_key();

-- The keytab of a Kerberos method lies in its control row, encrypted under a key that is wrapped like the others.
CREATE FUNCTION kek_check_setting_key() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_key text := NEW.body::jsonb #>> '{keytab,wrapped_key}';
BEGIN
    IF v_key IS NULL OR (TG_OP = 'UPDATE' AND strpos(OLD.body, v_key) > 0) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7306, 0);
    IF EXISTS (SELECT FROM public.kek k WHERE k.namespace = NEW.namespace AND k.retired IS NOT NULL
                   AND int4send(k.version) = substring(decode(v_key, 'base64') FROM 7 FOR 4)) THEN
        RAISE EXCEPTION 'a key is wrapped under a retired version' USING ERRCODE = 'GF004';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER control_setting_key AFTER INSERT OR UPDATE ON control FOR EACH ROW
    WHEN (NEW.kind = 'config' AND strpos(NEW.body, '"wrapped_key"') > 0) EXECUTE FUNCTION kek_check_setting_key();
