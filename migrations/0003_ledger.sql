-- The audit ledger: append only, one stream per node, chained by a MAC that the database cannot compute.

CREATE TABLE ledger_stream (
    stream  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node    text COLLATE "C" NOT NULL UNIQUE,
    created timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ledger_stream IS 'One stream per node; the node that writes it holds an advisory lock on its number';

CREATE TABLE ledger_head (
    stream integer PRIMARY KEY REFERENCES ledger_stream,
    seq    bigint NOT NULL CHECK (seq >= 0),
    mac    bytea  NOT NULL,
    appended_after bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN ledger_head.appended_after IS 'where the newest append began: nobody is named beside an entry of an older one';

CREATE TABLE ledger_entry (
    stream   integer     NOT NULL,
    seq      bigint      NOT NULL CHECK (seq > 0),
    time     timestamptz NOT NULL,
    request  uuid        NOT NULL,
    account  text        COLLATE "C" NOT NULL,
    action   text        COLLATE "C" NOT NULL,
    resource text        COLLATE "C" NOT NULL,
    decision text        COLLATE "C" NOT NULL,
    subject  bytea,
    change   text        COLLATE "C",
    body     text        NOT NULL,
    mac      bytea       NOT NULL,
    -- A key of a partitioned table holds what it is partitioned by. That a number is given once, ledger_append sees to.
    PRIMARY KEY (stream, seq, time)
) PARTITION BY RANGE (time);
COMMENT ON TABLE ledger_entry IS 'One entry per request. body holds the canonical bytes (one line of JSON); the other columns repeat parts of it for searching and are checked against it';
COMMENT ON COLUMN ledger_entry.mac IS 'HMAC(K, stream, seq, the mac before, leaf hash of body)';
COMMENT ON COLUMN ledger_entry.change IS 'what other nodes must forget';
CREATE INDEX ledger_entry_time ON ledger_entry USING brin (time);
CREATE INDEX ledger_entry_subject ON ledger_entry (subject, time) WHERE subject IS NOT NULL;
CREATE INDEX ledger_entry_change ON ledger_entry (stream, seq) WHERE change IS NOT NULL;
-- Only the first change, what the entry is about: the list of a revocation with many children would not fit into an index.
CREATE INDEX ledger_entry_changed ON ledger_entry (left(change, 64)) WHERE change IS NOT NULL;

CREATE TABLE ledger_subject (
    stream  integer     NOT NULL,
    seq     bigint      NOT NULL,
    subject bytea       NOT NULL,
    class   text        COLLATE "C" NOT NULL,
    time    timestamptz NOT NULL,
    count   bigint      NOT NULL CHECK (count > 0),
    PRIMARY KEY (stream, seq, subject, class, time)
) PARTITION BY RANGE (time);
COMMENT ON TABLE ledger_subject IS 'The data subjects of entries that concern several, repeated from their bodies for searching; the verifier compares the two. An entry of one subject has it in its column';
CREATE INDEX ledger_subject_subject ON ledger_subject (subject, time);

-- Grants keep the application out; these triggers are the second line, and name themselves to whoever tries.
CREATE FUNCTION ledger_refuse() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS
$$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_entry_no_truncate BEFORE TRUNCATE ON ledger_entry FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_head_no_delete BEFORE DELETE ON ledger_head FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_head_no_truncate BEFORE TRUNCATE ON ledger_head FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

CREATE TRIGGER ledger_subject_append_only BEFORE UPDATE OR DELETE ON ledger_subject FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_subject_no_truncate BEFORE TRUNCATE ON ledger_subject FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

CREATE FUNCTION ledger_head_forward() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS
$$
BEGIN
    IF NEW.stream <> OLD.stream OR NEW.seq <= OLD.seq THEN
        RAISE EXCEPTION 'the head of a stream moves only forward' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER ledger_head_forward BEFORE UPDATE ON ledger_head FOR EACH ROW EXECUTE FUNCTION ledger_head_forward();

-- Names the stream of a node, and makes it on the node's first start.
CREATE FUNCTION ledger_claim(p_node text) RETURNS TABLE (stream integer, seq bigint, mac bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_stream integer;
BEGIN
    PERFORM pg_advisory_xact_lock(7305, 0);
    SELECT s.stream INTO v_stream FROM public.ledger_stream s WHERE s.node = p_node;
    IF NOT FOUND THEN
        INSERT INTO public.ledger_stream (node) VALUES (p_node) RETURNING ledger_stream.stream INTO v_stream;
        INSERT INTO public.ledger_head (stream, seq, mac) VALUES (v_stream, 0, '\x');
    END IF;
    RETURN QUERY SELECT h.stream, h.seq, h.mac FROM public.ledger_head h WHERE h.stream = v_stream;
END
$$;

-- The only way into the ledger. The caller says where it believes the stream ends: whoever is wrong appends nothing, so that two
-- claimants of one stream cannot fork it.
CREATE FUNCTION ledger_append(
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
    INSERT INTO public.ledger_entry (stream, seq, time, request, account, action, resource, decision, subject, change, body, mac)
        SELECT p_stream, p_after + e.n, e.time, e.request, e.account, e.action, e.resource, e.decision, e.subject, e.change, e.body, e.mac
        FROM unnest(p_time, p_request, p_account, p_action, p_resource, p_decision, p_subject, p_change, p_body, p_mac)
            WITH ORDINALITY AS e (time, request, account, action, resource, decision, subject, change, body, mac, n);
    RETURN p_after + v_count;
END
$$;

-- Names the subjects of entries that concern several; in the statement that appends those. p_seq goes up.
CREATE FUNCTION ledger_name_subjects(
    p_stream integer, p_seq bigint[], p_time timestamptz, p_subject bytea[], p_class text[], p_count bigint[]
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
        SELECT p_stream, s.seq, s.subject, s.class, p_time, s.count
        FROM unnest(p_seq, p_subject, p_class, p_count) AS s (seq, subject, class, count);
    RETURN cardinality(p_seq);
END
$$;

-- For people: the ledger as columns.
CREATE VIEW audit AS
    SELECT e.stream, e.seq, e.time, e.request AS request_id,
           b.body ->> 'kind' AS kind, e.account, b.body ->> 'method' AS method, b.body ->> 'accessor' AS accessor, b.body ->> 'peer' AS peer,
           e.action, e.resource, e.decision, b.body -> 'policies' AS policies, (b.body ->> 'status')::integer AS status,
           (b.body ->> 'version')::bigint AS version, b.body ->> 'class' AS class, b.body ->> 'purpose' AS purpose,
           encode(e.subject, 'hex') AS subject, (b.body ->> 'count')::bigint AS count, (b.body ->> 'latency_us')::bigint AS latency_us,
           e.body AS entry, encode(e.mac, 'hex') AS mac
    FROM ledger_entry e, LATERAL (SELECT e.body::jsonb AS body) b;
COMMENT ON VIEW audit IS 'The ledger for auditors: who did what to what, when, by which right';
