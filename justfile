# List what there is.
default:
    @just --list

# Everything that continuous integration checks.
check:
    scripts/test

# A goldfin to try, with something in it.
demo:
    scripts/demo

# Refresh .sqlx after a query or a migration changed.
prepare:
    scripts/prepare-queries

# Only the Rust tests, filtered: just test audit::
test *filter:
    SQLX_OFFLINE=true cargo test --workspace {{filter}}

# A throw-away PostgreSQL with the migrations applied, for an editor to check queries against.
database command="start":
    scripts/dev-database {{command}}
