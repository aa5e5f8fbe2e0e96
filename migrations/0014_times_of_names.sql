-- The entries of a group each have a time of their own, and so have the names beside them.
DROP FUNCTION ledger_name_subjects(integer, bigint[], timestamptz, bytea[], text[], bigint[]);

-- Names the subjects of entries that concern several; in the statement that appends those. p_seq goes up.
CREATE FUNCTION ledger_name_subjects(
    p_stream integer, p_seq bigint[], p_time timestamptz[], p_subject bytea[], p_class text[], p_count bigint[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    IF cardinality(p_seq) = 0 THEN
        RETURN 0;
    END IF;
    -- Nobody is named in an entry that was there before. The head tells; the entries would have to be looked for in every partition.
    IF NOT EXISTS (SELECT FROM public.ledger_head h WHERE h.stream = p_stream AND h.xmin = pg_current_xact_id()::xid
                       AND p_seq[1] > h.appended_after AND p_seq[cardinality(p_seq)] <= h.seq) THEN
        RAISE EXCEPTION 'the entry was written before' USING ERRCODE = 'GF002';
    END IF;
    INSERT INTO public.ledger_subject (stream, seq, subject, class, time, count)
        SELECT p_stream, s.seq, s.subject, s.class, s.time, s.count
        FROM unnest(p_seq, p_time, p_subject, p_class, p_count) AS s (seq, time, subject, class, count);
    RETURN cardinality(p_seq);
END
$$;
REVOKE ALL ON FUNCTION ledger_name_subjects(integer, bigint[], timestamptz[], bytea[], text[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_name_subjects(integer, bigint[], timestamptz[], bytea[], text[], bigint[]) TO goldfin_app;
