-- The condition stands beside the trigger, so that its function is called for what it refuses only: an append pays less for it.
DROP TRIGGER ledger_head_forward ON ledger_head;
CREATE TRIGGER ledger_head_forward BEFORE UPDATE ON ledger_head FOR EACH ROW
    WHEN (NEW.stream <> OLD.stream OR NEW.seq <= OLD.seq) EXECUTE FUNCTION ledger_head_forward();
