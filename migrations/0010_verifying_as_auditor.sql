-- What an auditor's login verifies the ledger with, itself and with the public key alone: the tables of docs/ledger-format.md under their
-- own names, as views in a schema of their own. The tables stay closed to it.

CREATE SCHEMA auditing;
COMMENT ON SCHEMA auditing IS 'The ledger''s tables as a verifier reads them, for goldfin_auditor: SET search_path = auditing, public';

CREATE VIEW auditing.ledger_stream AS SELECT stream, node, created FROM public.ledger_stream;
CREATE VIEW auditing.ledger_head AS SELECT stream, seq, mac FROM public.ledger_head;
CREATE VIEW auditing.ledger_entry AS
    SELECT stream, seq, time, request, account, action, resource, decision, subject, change, body, mac FROM public.ledger_entry;
CREATE VIEW auditing.ledger_subject AS SELECT stream, seq, subject, class, time, count FROM public.ledger_subject;
CREATE VIEW auditing.ledger_checkpoint AS SELECT stream, size, root, note FROM public.ledger_checkpoint;
CREATE VIEW auditing.ledger_tile AS SELECT stream, level, index, hashes FROM public.ledger_tile;
COMMENT ON VIEW auditing.ledger_entry IS 'body holds the canonical bytes of an entry, mac its link of the chain';

GRANT USAGE ON SCHEMA auditing TO goldfin_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA auditing TO goldfin_auditor;
