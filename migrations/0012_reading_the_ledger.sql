-- Reading the ledger: places by time for the API, and the views of auditors (psql, Grafana). Nothing here writes.

-- Request ids are UUIDs of version 7: they grow with the time, so that a few pages per range of blocks hold each of them.
CREATE INDEX ledger_entry_request ON ledger_entry USING brin (request) WITH (autosummarize = on);

-- How many entries of a stream are older than a moment: the times of a stream never go back, so a bisection over the primary key finds
-- it without an index on the time. What is missing at the beginning counts as older.
CREATE FUNCTION ledger_seq_before(p_stream integer, p_time timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_low  bigint := 0;
    v_high bigint;
    v_mid  bigint;
    v_time timestamptz;
BEGIN
    SELECT h.seq INTO v_high FROM public.ledger_head h WHERE h.stream = p_stream;
    WHILE v_low < v_high LOOP
        v_mid := (v_low + v_high + 1) / 2;
        SELECT e.time INTO v_time FROM public.ledger_entry e WHERE e.stream = p_stream AND e.seq = v_mid;
        IF NOT FOUND OR v_time < p_time THEN
            v_low := v_mid;
        ELSE
            v_high := v_mid - 1;
        END IF;
    END LOOP;
    RETURN v_low;
END
$$;

-- The members of an entry. One that is no JSON any more must not hide the others from whoever reads.
CREATE FUNCTION ledger_members(p_body text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    RETURN p_body::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN '{"kind": "unreadable"}'::jsonb;
END
$$;

-- The address that an entry names; null where it names none.
CREATE FUNCTION ledger_peer(p_body text) RETURNS inet
    LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    RETURN substring(p_body FROM ',"peer":"([0-9a-f.:]+)"')::inet;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
