-- Each group of requests waits for one call of ledger_append; these make it shorter by a fifth, for one entry and for many.

-- The condition of a trigger is read from its text for each statement. One that its function decides is not.
CREATE OR REPLACE FUNCTION ledger_head_forward() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF NEW.stream OPERATOR(pg_catalog.<>) OLD.stream OR NEW.seq OPERATOR(pg_catalog.<=) OLD.seq THEN
        RAISE EXCEPTION 'the head of a stream moves only forward' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
DROP TRIGGER ledger_head_forward ON ledger_head;
CREATE TRIGGER ledger_head_forward BEFORE UPDATE ON ledger_head FOR EACH ROW EXECUTE FUNCTION ledger_head_forward();

-- As before (0003), but for the last SELECT.
CREATE OR REPLACE FUNCTION ledger_append(
    p_stream integer, p_after bigint, p_after_mac bytea,
    p_time timestamptz[], p_request uuid[], p_account text[], p_action text[], p_resource text[],
    p_decision text[], p_subject bytea[], p_change text[], p_body text[], p_mac bytea[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_count integer := cardinality(p_body);
BEGIN
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        RAISE EXCEPTION 'the ledger is written with synchronous_commit on' USING ERRCODE = 'GF003';
    END IF;
    UPDATE public.ledger_head SET seq = p_after + v_count, mac = p_mac[v_count], appended_after = p_after
        WHERE stream = p_stream AND seq = p_after AND mac = p_after_mac;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the stream does not end where the writer believes' USING ERRCODE = 'GF002';
    END IF;
    -- plpgsql holds an array as its elements, which unnest would copy into a store for each column. Whoever knows v_count when the
    -- statement is planned plans it anew for each call: hence the subquery.
    INSERT INTO public.ledger_entry (stream, seq, time, request, account, action, resource, decision, subject, change, body, mac)
        SELECT p_stream, p_after + n, p_time[n], p_request[n], p_account[n], p_action[n], p_resource[n], p_decision[n], p_subject[n],
               p_change[n], p_body[n], p_mac[n]
        FROM generate_series(1, (SELECT v_count)) AS n;
    RETURN p_after + v_count;
END
$$;
