-- One index for the times and the request ids of entries in place of two: an append pays for each.
CREATE INDEX ledger_entry_when ON ledger_entry USING brin (time, request) WITH (autosummarize = on);
DROP INDEX ledger_entry_time;
DROP INDEX ledger_entry_request;
