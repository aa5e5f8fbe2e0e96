-- The ledger by months of UTC: partitions, archives of months that are over, and the pruning of what is archived and old enough.
-- docs/adr/0009-the-ledger-is-cut-by-months.md says why it is made so.

CREATE TABLE ledger_month (
    month  date        PRIMARY KEY CHECK (extract(day FROM month) = 1),
    made   timestamptz NOT NULL DEFAULT now(),
    pruned timestamptz
);
COMMENT ON TABLE ledger_month IS 'The partitions of ledger_entry and ledger_subject: ledger_entry_2026_01, and so on';

-- Where entries fall whose month nobody made ahead, so that no request fails for it. They move to their month when it is made.
CREATE TABLE ledger_entry_rest PARTITION OF ledger_entry DEFAULT;
CREATE TABLE ledger_subject_rest PARTITION OF ledger_subject DEFAULT;
-- A trigger of the parent sees the TRUNCATE of the parent only.
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON ledger_entry_rest FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON ledger_subject_rest FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

CREATE FUNCTION ledger_start_of(p_month date) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$SELECT p_month::timestamp AT TIME ZONE 'UTC'$$;
CREATE FUNCTION ledger_end_of(p_month date) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$SELECT (p_month + interval '1 month') AT TIME ZONE 'UTC'$$;

-- Made beside and attached, which appends do not wait for; CREATE TABLE ... PARTITION OF would stop them.
CREATE FUNCTION ledger_make_month(p_month date) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_parent text;
    v_name   text;
    v_rest   text;
    v_within text := format('time >= %L AND time < %L', ledger_start_of(p_month), ledger_end_of(p_month));
    v_found  boolean;
BEGIN
    FOREACH v_parent IN ARRAY ARRAY['ledger_entry', 'ledger_subject'] LOOP
        v_name := v_parent || to_char(p_month, '_YYYY_MM');
        v_rest := v_parent || '_rest';
        EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', v_name, v_parent);
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %s)', v_rest, v_within) INTO v_found;
        IF v_found THEN
            EXECUTE format('ALTER TABLE public.%I DISABLE TRIGGER USER', v_rest);
            EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE %s RETURNING *) INSERT INTO public.%I SELECT * FROM moved', v_rest, v_within, v_name);
            EXECUTE format('ALTER TABLE public.%I ENABLE TRIGGER USER', v_rest);
        END IF;
        EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', v_parent, v_name,
                       ledger_start_of(p_month), ledger_end_of(p_month));
        EXECUTE format('CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON public.%I FOR EACH STATEMENT EXECUTE FUNCTION public.ledger_refuse()', v_name);
    END LOOP;
    INSERT INTO public.ledger_month (month) VALUES (p_month);
END
$$;

-- Makes the month of a moment and the three behind it, and the months of what fell to the rest; how many. Somebody who reads the whole
-- ledger holds it up: it gives up soon, and is tried again.
CREATE FUNCTION ledger_make_months(p_time timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '300ms' AS
$$
DECLARE
    v_months date[];
    v_month  date;
BEGIN
    IF p_time NOT BETWEEN '2000-01-01Z' AND now() + interval '1 year' THEN
        RAISE EXCEPTION 'no month is made so far ahead' USING ERRCODE = 'GF005';
    END IF;
    PERFORM pg_advisory_xact_lock(7307, 0);
    -- Gathered first: a table that a query is still reading cannot be altered.
    v_months := ARRAY(
        SELECT wanted.month::date FROM (
            SELECT (date_trunc('month', p_time AT TIME ZONE 'UTC') + n * interval '1 month') AS month FROM generate_series(0, 3) n
            UNION
            SELECT date_trunc('month', r.time AT TIME ZONE 'UTC') FROM public.ledger_entry_rest r WHERE r.time BETWEEN '2000-01-01Z' AND now() + interval '1 year'
        ) wanted WHERE NOT EXISTS (SELECT FROM public.ledger_month m WHERE m.month = wanted.month::date)
        ORDER BY 1);
    FOREACH v_month IN ARRAY v_months LOOP
        PERFORM public.ledger_make_month(v_month);
    END LOOP;
    RETURN cardinality(v_months);
END
$$;

SELECT ledger_make_months(now());

-- How long entries are kept in the database, whatever else holds. Only the owner changes it (`goldfin server retention`), never a node.
CREATE TABLE ledger_retention (
    version integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    days    integer     NOT NULL CHECK (days BETWEEN 1 AND 36525),
    since   timestamptz NOT NULL DEFAULT now(),
    told    boolean     NOT NULL DEFAULT false
);
COMMENT ON TABLE ledger_retention IS 'The newest row counts: entries younger than this are not pruned. told: an entry of the ledger says so';
INSERT INTO ledger_retention (days, told) VALUES (2192, true);

CREATE TABLE ledger_archive (
    stream   integer     NOT NULL,
    first    bigint      NOT NULL CHECK (first > 0),
    last     bigint      NOT NULL CHECK (last >= first),
    month    date        NOT NULL REFERENCES ledger_month,
    root     bytea       NOT NULL CHECK (octet_length(root) = 32),
    mac      bytea       NOT NULL CHECK (octet_length(mac) = 32),
    hashes   bytea       NOT NULL,
    levels   bytea       NOT NULL,
    digest   bytea       NOT NULL CHECK (octet_length(digest) = 32),
    kept     bytea       NOT NULL CHECK (octet_length(kept) = 32),
    note     text        COLLATE "C" NOT NULL,
    file     text        NOT NULL,
    verified timestamptz NOT NULL DEFAULT now(),
    pruned   timestamptz,
    PRIMARY KEY (stream, last),
    UNIQUE (stream, month)
);
COMMENT ON TABLE ledger_archive IS 'What of each stream was written to an archive, read back and found sound. note is signed and says the rest of the row';
COMMENT ON COLUMN ledger_archive.digest IS 'SHA-256 of the lines of the archive, uncompressed';
COMMENT ON COLUMN ledger_archive.hashes IS 'the right edge of the tree of size last: the roots of its full subtrees, the largest first';
COMMENT ON COLUMN ledger_archive.levels IS 'the partial tiles of that tree, from the leaves up: what later tiles are made of';
COMMENT ON COLUMN ledger_archive.kept IS 'SHA-256 over the leaves of the entries that stay in ledger_kept when the rest is pruned';
COMMENT ON COLUMN ledger_archive.pruned IS 'from then on the stream begins behind entry last';

-- Of pruned months: what still says that a control row, an account or an auth token was put back (docs/adr/0007).
CREATE TABLE ledger_kept (LIKE ledger_entry INCLUDING CONSTRAINTS, PRIMARY KEY (stream, seq));
COMMENT ON TABLE ledger_kept IS 'Entries of pruned months whose changes tell older rows of other tables from newer ones';
CREATE INDEX ledger_kept_changed ON ledger_kept (left(change, 64));

CREATE VIEW ledger_change AS
    SELECT e.stream, e.seq, e.action, e.decision, e.change, e.body FROM ledger_entry e WHERE e.change IS NOT NULL
    UNION ALL
    SELECT k.stream, k.seq, k.action, k.decision, k.change, k.body FROM ledger_kept k;
COMMENT ON VIEW ledger_change IS 'What entries say that others must forget, also of months that were pruned';

CREATE FUNCTION ledger_archive_refuse() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS
$$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.pruned IS NULL AND NEW.pruned IS NOT NULL THEN
        OLD.pruned := NEW.pruned;
        IF OLD IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER ledger_archive_append_only BEFORE UPDATE OR DELETE ON ledger_archive FOR EACH ROW EXECUTE FUNCTION ledger_archive_refuse();
CREATE TRIGGER ledger_archive_no_truncate BEFORE TRUNCATE ON ledger_archive FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_kept_append_only BEFORE UPDATE OR DELETE ON ledger_kept FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_kept_no_truncate BEFORE TRUNCATE ON ledger_kept FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- Records an archive that was written and read back. A day behind the month's end no node writes into it any more.
CREATE FUNCTION ledger_archive_record(
    p_stream integer, p_first bigint, p_last bigint, p_month date, p_root bytea, p_mac bytea, p_hashes bytea, p_levels bytea,
    p_digest bytea, p_kept bytea, p_note text, p_file text
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
BEGIN
    IF ledger_end_of(p_month) + interval '1 day' > now() THEN
        RAISE EXCEPTION 'the month is not over' USING ERRCODE = 'GF005';
    END IF;
    IF p_first <> 1 + coalesce((SELECT max(a.last) FROM public.ledger_archive a WHERE a.stream = p_stream), 0) THEN
        RAISE EXCEPTION 'the archive does not go on where the one before ends' USING ERRCODE = 'GF005';
    END IF;
    INSERT INTO public.ledger_archive (stream, first, last, month, root, mac, hashes, levels, digest, kept, note, file)
        VALUES (p_stream, p_first, p_last, p_month, p_root, p_mac, p_hashes, p_levels, p_digest, p_kept, p_note, p_file);
END
$$;

-- Empties the partitions of a month, in the transaction that the entry of the pruning is appended to. TRUNCATE locks these partitions
-- alone, so appends go on; detaching locks the whole ledger and is left to ledger_drop_pruned.
CREATE FUNCTION ledger_prune(p_month date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS
$$
DECLARE
    v_from  timestamptz := ledger_start_of(p_month);
    v_to    timestamptz := ledger_end_of(p_month);
    v_table text;
BEGIN
    PERFORM pg_advisory_xact_lock(7307, 0);
    IF p_month IS DISTINCT FROM (SELECT min(m.month) FROM public.ledger_month m WHERE m.pruned IS NULL) THEN
        RAISE EXCEPTION 'not the oldest month that is there' USING ERRCODE = 'GF005';
    END IF;
    IF v_to + (SELECT r.days FROM public.ledger_retention r ORDER BY r.version DESC LIMIT 1) * interval '1 day' > now() THEN
        RAISE EXCEPTION 'the month is within the retention' USING ERRCODE = 'GF005';
    END IF;
    EXECUTE format('LOCK TABLE public.%I, public.%I IN ACCESS EXCLUSIVE MODE', 'ledger_entry' || to_char(p_month, '_YYYY_MM'),
                   'ledger_subject' || to_char(p_month, '_YYYY_MM'));
    IF EXISTS (SELECT FROM public.ledger_entry e WHERE e.time >= v_from AND e.time < v_to
                   AND NOT EXISTS (SELECT FROM public.ledger_archive a WHERE a.stream = e.stream AND a.month = p_month AND e.seq BETWEEN a.first AND a.last)) THEN
        RAISE EXCEPTION 'the month holds entries that are not archived' USING ERRCODE = 'GF005';
    END IF;
    INSERT INTO public.ledger_kept (stream, seq, time, request, account, action, resource, decision, subject, change, body, mac)
        SELECT e.stream, e.seq, e.time, e.request, e.account, e.action, e.resource, e.decision, e.subject, e.change, e.body, e.mac
        FROM public.ledger_entry e WHERE e.time >= v_from AND e.time < v_to AND e.change ~ '(^|\n)(manifest|account|auth_token):';
    FOREACH v_table IN ARRAY ARRAY['ledger_entry', 'ledger_subject'] LOOP
        v_table := v_table || to_char(p_month, '_YYYY_MM');
        EXECUTE format('ALTER TABLE public.%I DISABLE TRIGGER ledger_no_truncate', v_table);
        EXECUTE format('TRUNCATE public.%I', v_table);
        EXECUTE format('ALTER TABLE public.%I ENABLE TRIGGER ledger_no_truncate', v_table);
    END LOOP;
    UPDATE public.ledger_archive SET pruned = now() WHERE month = p_month;
    UPDATE public.ledger_month SET pruned = now() WHERE month = p_month;
END
$$;

-- Detaches and drops the empty partitions of months that were pruned; how many.
CREATE FUNCTION ledger_drop_pruned() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '300ms' AS
$$
DECLARE
    v_month   date;
    v_table   text;
    v_some    boolean;
    v_dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7307, 0);
    FOR v_month IN SELECT m.month FROM public.ledger_month m
                   WHERE m.pruned IS NOT NULL AND to_regclass('public.ledger_entry' || to_char(m.month, '_YYYY_MM')) IS NOT NULL LOOP
        FOREACH v_table IN ARRAY ARRAY['ledger_entry', 'ledger_subject'] LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', v_table || to_char(v_month, '_YYYY_MM')) INTO v_some;
            IF NOT v_some THEN
                EXECUTE format('ALTER TABLE public.%I DETACH PARTITION public.%I', v_table, v_table || to_char(v_month, '_YYYY_MM'));
                EXECUTE format('DROP TABLE public.%I', v_table || to_char(v_month, '_YYYY_MM'));
                v_dropped := v_dropped + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN v_dropped;
END
$$;

-- The retention that no entry tells of yet; from now on one does.
CREATE FUNCTION ledger_retention_tell() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$
DECLARE
    v_days integer;
BEGIN
    SELECT r.days INTO v_days FROM public.ledger_retention r WHERE NOT r.told ORDER BY r.version DESC LIMIT 1 FOR UPDATE;
    UPDATE public.ledger_retention SET told = true WHERE NOT told;
    RETURN v_days;
END
$$;

GRANT SELECT ON ledger_month, ledger_retention, ledger_archive, ledger_kept, ledger_change, ledger_entry_rest TO goldfin_app;
GRANT SELECT ON ledger_month, ledger_retention TO goldfin_auditor;
CREATE VIEW auditing.ledger_archive AS
    SELECT stream, first, last, month, root, mac, hashes, levels, digest, kept, note, file, verified, pruned FROM public.ledger_archive;
CREATE VIEW auditing.ledger_kept AS
    SELECT stream, seq, time, request, account, action, resource, decision, subject, change, body, mac FROM public.ledger_kept;
GRANT SELECT ON auditing.ledger_archive, auditing.ledger_kept TO goldfin_auditor;
REVOKE ALL ON FUNCTION ledger_make_month(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger_make_months(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger_archive_record(integer, bigint, bigint, date, bytea, bytea, bytea, bytea, bytea, bytea, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger_prune(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger_drop_pruned() FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger_retention_tell() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_make_months(timestamptz) TO goldfin_app;
GRANT EXECUTE ON FUNCTION ledger_archive_record(integer, bigint, bigint, date, bytea, bytea, bytea, bytea, bytea, bytea, text, text) TO goldfin_app;
GRANT EXECUTE ON FUNCTION ledger_prune(date) TO goldfin_app;
GRANT EXECUTE ON FUNCTION ledger_drop_pruned() TO goldfin_app;
GRANT EXECUTE ON FUNCTION ledger_retention_tell() TO goldfin_app;
