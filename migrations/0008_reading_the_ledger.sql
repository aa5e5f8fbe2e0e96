-- Reading the ledger: places by time for the API, and the views of auditors (psql, Grafana). Nothing here writes.

-- Request ids are UUIDs of version 7: they grow with the time, so that a few pages per range of blocks hold each of them.
CREATE INDEX ledger_entry_request ON ledger_entry USING brin (request) WITH (autosummarize = on);

-- How many entries of a stream are older than a moment: the times of a stream never go back, so within the moment's month, which is one
-- partition, a bisection over the primary key finds it without an index on the time. What is missing at the beginning counts as older.
CREATE FUNCTION ledger_seq_before(p_stream integer, p_time timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_from timestamptz := date_trunc('month', p_time, 'UTC');
    v_to   timestamptz := (v_from AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    v_low  bigint;
    v_high bigint;
    v_mid  bigint;
    v_time timestamptz;
BEGIN
    SELECT min(e.seq) - 1, max(e.seq) INTO v_low, v_high FROM public.ledger_entry e
        WHERE e.stream = p_stream AND e.time >= v_from AND e.time < v_to;
    IF v_low IS NULL THEN
        SELECT min(e.seq) - 1 INTO v_low FROM public.ledger_entry e WHERE e.stream = p_stream AND e.time >= v_to;
        RETURN coalesce(v_low, (SELECT h.seq FROM public.ledger_head h WHERE h.stream = p_stream));
    END IF;
    WHILE v_low < v_high LOOP
        v_mid := (v_low + v_high + 1) / 2;
        SELECT e.time INTO v_time FROM public.ledger_entry e
            WHERE e.stream = p_stream AND e.seq = v_mid AND e.time >= v_from AND e.time < v_to;
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

-- For people: the ledger as columns.
CREATE OR REPLACE VIEW audit AS
    SELECT e.stream, e.seq, e.time, e.request AS request_id,
           b.body ->> 'kind' AS kind, e.account, b.body ->> 'method' AS method, b.body ->> 'accessor' AS accessor, b.body ->> 'peer' AS peer,
           e.action, e.resource, e.decision, b.body -> 'policies' AS policies, (b.body ->> 'status')::integer AS status,
           (b.body ->> 'version')::bigint AS version, b.body ->> 'class' AS class, b.body ->> 'purpose' AS purpose,
           encode(e.subject, 'hex') AS subject, (b.body ->> 'count')::bigint AS count, (b.body ->> 'latency_us')::bigint AS latency_us,
           e.body AS entry, encode(e.mac, 'hex') AS mac,
           b.body ->> 'verb' AS verb, b.body ->> 'path' AS path, b.body ->> 'reason' AS reason, b.body ->> 'denied_because' AS denied_because,
           (b.body ->> 'succeeded')::bigint AS succeeded, b.body ->> 'login_account' AS login_account,
           b.body ->> 'target_accessor' AS target_accessor, b.body -> 'changes' AS changes, b.body ->> 'policy_set' AS policy_set,
           b.body -> 'subjects' AS subjects
    FROM ledger_entry e, LATERAL (SELECT ledger_members(e.body) AS body) b;
COMMENT ON VIEW audit IS 'The ledger for auditors, one row per entry: who did what to what, when, by which right. Narrow it by time: the rest of the columns are read from each entry';
COMMENT ON COLUMN audit.account IS 'Who asked: an account, `anonymous`, or the name of a job of goldfin''s own';
COMMENT ON COLUMN audit.method IS 'How the caller proved itself: kerberos, jwt, token, root, none, job';
COMMENT ON COLUMN audit.decision IS 'granted: permitted and done; denied: not permitted or not known; failed: permitted and not done';
COMMENT ON COLUMN audit.denied_because IS 'forbidden: a policy forbids; none_permits: no policy permits; evaluation_error; grant_not_held';
COMMENT ON COLUMN audit.policies IS 'The statements that decided: those that permit, or those that forbid';
COMMENT ON COLUMN audit.subject IS 'The person that the data is about, as a keyed hash; never an identifier';
COMMENT ON COLUMN audit.subjects IS 'Where the request concerned several people: each with a keyed hash, the class and the number of values';
COMMENT ON COLUMN audit.count IS 'How many values or entries the request concerned; one where it is null';
COMMENT ON COLUMN audit.succeeded IS 'How many of them succeeded, where that differs';
COMMENT ON COLUMN audit.entry IS 'The canonical bytes, which the leaf hash and the MAC cover';

-- What was refused, one row per refusal and statement that forbade; `policy` is null where none permitted or no policy was asked.
CREATE VIEW audit_refusals AS
    SELECT a.time, a.request_id, a.account, a.method, a.peer, a.verb, a.path, a.action, a.resource, a.decision, a.status,
           coalesce(a.denied_because, a.reason, CASE WHEN a.decision = 'denied' THEN 'denied' ELSE 'failed' END) AS because, p.policy,
           coalesce(a.count, 1) AS count, a.stream, a.seq
    FROM audit a LEFT JOIN LATERAL jsonb_array_elements_text(a.policies) AS p (policy) ON a.denied_because IS NOT NULL
    WHERE a.decision = 'denied';
COMMENT ON VIEW audit_refusals IS 'What was denied, and because of which policy: one row for each statement that forbade';

-- Personal data that left: one row per request that revealed at least one value.
CREATE VIEW audit_reveals AS
    SELECT a.time, a.request_id, a.account, a.method, a.peer, a.action, a.resource, a.class, a.purpose, a.subject,
           coalesce(a.succeeded, a.count, 1) AS revealed, a.stream, a.seq
    FROM audit a
    WHERE a.action IN ('decode', 'export_subject', 'export_pii_tokens') AND a.decision = 'granted' AND coalesce(a.succeeded, a.count, 1) > 0;
COMMENT ON VIEW audit_reveals IS 'Who saw personal data: class, purpose, subject (as a keyed hash) and how many values';

CREATE VIEW audit_daily AS
    SELECT (a.time AT TIME ZONE 'UTC')::date AS day, a.account, count(*) AS requests,
           count(*) FILTER (WHERE a.decision = 'granted') AS granted, count(*) FILTER (WHERE a.decision = 'denied') AS denied,
           count(*) FILTER (WHERE a.decision = 'failed') AS failed,
           coalesce(sum(coalesce(a.succeeded, a.count, 1))
               FILTER (WHERE a.decision = 'granted' AND a.action IN ('decode', 'export_subject', 'export_pii_tokens')), 0)::bigint AS revealed
    FROM audit a WHERE a.kind = 'request' GROUP BY 1, 2;
COMMENT ON VIEW audit_daily IS 'Requests of each account on each day of UTC. It counts the whole ledger; for a few days of a large one count `audit` with a condition on its time';

GRANT SELECT ON audit, audit_refusals, audit_reveals, audit_daily TO goldfin_auditor;
