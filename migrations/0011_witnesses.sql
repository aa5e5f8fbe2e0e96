-- Witnesses: what others have said of our checkpoints, and how far we have seen the ledgers of others.

CREATE TABLE ledger_cosignature (
    stream  integer NOT NULL,
    size    bigint  NOT NULL CHECK (size > 0),
    witness text    COLLATE "C" NOT NULL,
    line    text    COLLATE "C" NOT NULL,
    time    timestamptz NOT NULL,
    PRIMARY KEY (stream, witness, size)
);
COMMENT ON TABLE ledger_cosignature IS 'Signature lines (C2SP cosignature/v1) of witnesses, to be put behind those of the checkpoint of the same stream and size';

CREATE TABLE ledger_witnessed (
    origin text   COLLATE "C" PRIMARY KEY,
    size   bigint NOT NULL CHECK (size > 0),
    note   text   COLLATE "C" NOT NULL
);
COMMENT ON TABLE ledger_witnessed IS 'The newest checkpoint of each other ledger that this one has cosigned, with our cosignature. It never gets smaller';

CREATE FUNCTION ledger_witnessed_forward() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS
$$
BEGIN
    IF TG_OP <> 'UPDATE' OR NEW.origin <> OLD.origin OR NEW.size < OLD.size THEN
        RAISE EXCEPTION 'what was witnessed is not taken back' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER ledger_witnessed_forward BEFORE UPDATE OR DELETE ON ledger_witnessed FOR EACH ROW EXECUTE FUNCTION ledger_witnessed_forward();
CREATE TRIGGER ledger_witnessed_no_truncate BEFORE TRUNCATE ON ledger_witnessed FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_cosignature_append_only BEFORE UPDATE OR DELETE ON ledger_cosignature FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_cosignature_no_truncate BEFORE TRUNCATE ON ledger_cosignature FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

GRANT SELECT, INSERT ON ledger_cosignature TO goldfin_app;
GRANT SELECT, INSERT, UPDATE ON ledger_witnessed TO goldfin_app;
CREATE VIEW auditing.ledger_cosignature AS SELECT stream, size, witness, line, time FROM public.ledger_cosignature;
GRANT SELECT ON auditing.ledger_cosignature TO goldfin_auditor;
