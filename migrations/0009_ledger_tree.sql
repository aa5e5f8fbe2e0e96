-- The ledger's tree: tiles of hashes, from which proofs are made quickly, and signed checkpoints. Both can be computed from the entries;
-- the checkpoints' signatures cannot.

CREATE TABLE ledger_tile (
    stream integer  NOT NULL,
    level  smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    index  bigint   NOT NULL CHECK (index >= 0),
    hashes bytea    NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (stream, level, index)
);
COMMENT ON TABLE ledger_tile IS 'Full tiles (C2SP tlog-tiles) of the streams'' trees. A cache: nothing is proven by it alone';
-- Hashes do not compress; PostgreSQL would try.
ALTER TABLE ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE ledger_checkpoint (
    stream integer NOT NULL,
    size   bigint  NOT NULL CHECK (size > 0),
    root   bytea   NOT NULL CHECK (octet_length(root) = 32),
    note   text    COLLATE "C" NOT NULL,
    PRIMARY KEY (stream, size)
);
COMMENT ON TABLE ledger_checkpoint IS 'Signed notes (C2SP tlog-checkpoint): the root of a stream''s tree at a size';

CREATE TRIGGER ledger_tile_append_only BEFORE UPDATE OR DELETE ON ledger_tile FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_tile_no_truncate BEFORE TRUNCATE ON ledger_tile FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_checkpoint_append_only BEFORE UPDATE OR DELETE ON ledger_checkpoint FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_checkpoint_no_truncate BEFORE TRUNCATE ON ledger_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- The only way to either. What is there already stays: after a crash the same tree is signed again with the same bytes.
CREATE FUNCTION ledger_checkpoint_append(
    p_stream integer, p_size bigint, p_root bytea, p_note text, p_level smallint[], p_index bigint[], p_hashes bytea[]
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    IF NOT EXISTS (SELECT FROM public.ledger_head h WHERE h.stream = p_stream AND h.seq >= p_size) THEN
        RAISE EXCEPTION 'a checkpoint is of entries that are there' USING ERRCODE = 'GF002';
    END IF;
    INSERT INTO public.ledger_tile (stream, level, index, hashes)
        SELECT p_stream, t.level, t.index, t.hashes FROM unnest(p_level, p_index, p_hashes) AS t (level, index, hashes)
        ON CONFLICT DO NOTHING;
    -- Without a note: tiles of a tree that is being made anew, long before its checkpoint.
    IF p_note IS NOT NULL THEN
        INSERT INTO public.ledger_checkpoint (stream, size, root, note) VALUES (p_stream, p_size, p_root, p_note) ON CONFLICT DO NOTHING;
    END IF;
END
$$;

GRANT SELECT ON ledger_tile, ledger_checkpoint TO goldfin_app;
REVOKE ALL ON FUNCTION ledger_checkpoint_append(integer, bigint, bytea, text, smallint[], bigint[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_checkpoint_append(integer, bigint, bytea, text, smallint[], bigint[], bytea[]) TO goldfin_app;
GRANT SELECT ON ledger_checkpoint TO goldfin_auditor;
