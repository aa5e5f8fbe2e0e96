//! `sys/ledger`: what was done, and the proof that the record is whole.

use super::super::member::{Member, Type, flag, moment, object, of, one_of, text, whole, words};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{List, Read, Write};

const ENTRY: &[Member] = &[
    whole("v", "The version of the format.").maybe(),
    whole("stream", "The stream: each node has its own."),
    whole("seq", "The number within the stream, from 1."),
    moment("time", "When it was written.").maybe(),
    text("request_id", "The request.").maybe(),
    one_of("kind", &["request", "intent", "outcome", "notice"], "What kind of entry it is.").maybe(),
    text("account", "Who asked.").maybe(),
    text("method", "How the caller proved who it is.").maybe(),
    text("accessor", "The caller's token.").maybe(),
    text("peer", "The address that the request came from.").maybe(),
    text("namespace", "`root`").maybe(),
    text("verb", "What was asked for.").maybe(),
    text("action", "The action, as policies name it.").maybe(),
    text("resource", "The resource, as policies name it.").maybe(),
    text("path", "The path.").maybe(),
    one_of("decision", &["granted", "denied", "failed"], "What was decided.").maybe(),
    words("policies", "The statements that decided.").maybe(),
    text("policy_set", "The hash of the policies that were in force.").maybe(),
    text("denied_because", "Why it was denied.").maybe(),
    whole("status", "The status of the answer.").maybe(),
    text("reason", "Why it failed, in a word.").maybe(),
    of("version", Type::Integer, "The version that it concerns.").maybe(),
    text("digest", "The hash of what was stored.").maybe(),
    text("subject", "The keyed hash of the person.").maybe(),
    text("class", "The class of the values.").maybe(),
    text("purpose", "Why.").maybe(),
    whole("count", "How many values.").maybe(),
    whole("succeeded", "How many of them succeeded.").maybe(),
    text("batch", "The hash of the batch.").maybe(),
    of(
        "subjects",
        Type::List(
            &Type::Object(&[text("subject", "The keyed hash."), text("class", "The class.").maybe(), whole("count", "How many values.")]),
            0,
        ),
        "The people, where there are several.",
    )
    .maybe(),
    words("tokens", "Keyed hashes of the tokens.").maybe(),
    text("login_account", "The account that logged in.").maybe(),
    text("target_accessor", "The token that it concerns.").maybe(),
    words("changes", "What nodes had to forget.").maybe(),
    words("ranges", "What was archived or pruned: `MONTH/STREAM:FIRST-LAST:ROOT`.").maybe(),
    whole("latency_us", "How long it took, in microseconds.").maybe(),
    text("unreadable", "What stands there, where it is no entry.").maybe(),
    text("mac", "The MAC of the chain."),
    text("leaf", "The hash of the leaf."),
];

const PAGE: &[Member] = &[
    of("entries", Type::List(&Type::Object(ENTRY), 0), "The entries."),
    text("next", "Where the next page begins; null at the end.").null(),
    text("previous", "Where the page before begins; null at the beginning.").null(),
];

const DECISION: Member = one_of("decision", &["", "granted", "denied", "failed"], "What was decided.");
const ORDER: Member = one_of("order", &["", "newest", "oldest"], "Which comes first.");
const FORMAT: Member = one_of("format", &["", "json", "ndjson"], "How the answer is written.");
const LIMIT: Member = whole("limit", "How many at most: 100 unless given, never more than 1,000.");
const STATUS: Member = whole("status", "The status of the answer.");

const WHICH: &[Member] = &[
    text("account", "Who asked."),
    text("action", "The action."),
    DECISION,
    text("kind", "What kind of entry."),
    text("method", "How the caller proved who it is."),
    text("denied_because", "Why it was denied."),
    text("reason", "Why it failed."),
    text("class", "The class of the values."),
    text("purpose", "Why."),
    text("path", "What the path begins with."),
    text("resource", "The resource, or the folder that it is in."),
    text("peer", "The address, or a network such as `192.0.2.0/24`."),
    text("request_id", "The request."),
    text("since", "Not before this moment (RFC 3339)."),
    text("until", "Before this moment (RFC 3339)."),
    text("cursor", "The `next` or `previous` of another page."),
    ORDER,
    LIMIT,
    STATUS,
];

const QUERY: &[Member] = &[
    text("account", "Who asked."),
    text("action", "The action."),
    DECISION,
    text("kind", "What kind of entry."),
    text("method", "How the caller proved who it is."),
    text("denied_because", "Why it was denied."),
    text("reason", "Why it failed."),
    text("class", "The class of the values."),
    text("purpose", "Why."),
    text("path", "What the path begins with."),
    text("resource", "The resource, or the folder that it is in."),
    text("peer", "The address, or a network such as `192.0.2.0/24`."),
    text("request_id", "The request."),
    text("since", "Not before this moment (RFC 3339)."),
    text("until", "Before this moment (RFC 3339)."),
    text("cursor", "The `next` or `previous` of another page."),
    ORDER,
    LIMIT,
    STATUS,
    text("subject", "The keyed hash of a person, as entries show it."),
    FORMAT,
];

const BETWEEN: [Member; 2] = [text("since", "Not before this moment (RFC 3339)."), text("until", "Before this moment (RFC 3339).")];

const CHECKPOINT: &[Member] = &[
    whole("stream", "The stream."),
    text("node", "The node that writes it."),
    text("origin", "The name of the log."),
    whole("size", "How many entries it covers."),
    text("root", "The root of the tree."),
    text("note", "The signed note (C2SP tlog-checkpoint)."),
    text("key", "The key that verifies it."),
];

const REPORT: &[Member] = &[
    flag("sound", "Whether nothing is wrong."),
    one_of("verdict", &["sound", "tampered", "shorter"], "What was found."),
    whole("exit_code", "What `goldfin audit verify` exits with."),
    whole("entries", "How many entries were checked."),
    of(
        "streams",
        Type::List(
            &Type::Object(&[
                whole("stream", "The stream."),
                text("node", "The node that writes it."),
                whole("entries", "How many entries were checked."),
                one_of("verdict", &["sound", "tampered", "shorter"], "What was found."),
                whole("seq", "Where; null where nothing is wrong.").null(),
                text("what", "What is wrong; null where nothing is.").null(),
            ]),
            0,
        ),
        "Each stream.",
    ),
];

const PROOF: Member = object(
    "proof",
    &[
        whole("size", "The size of the tree."),
        whole("index", "The place of the leaf."),
        text("leaf", "The hash of the leaf."),
        words("hashes", "The proof (RFC 9162)."),
        text("note", "The signed checkpoint."),
    ],
    "That the entry is in the newest checkpoint; null while it is not.",
)
.null();

const ARCHIVES: &[Member] = &[
    of(
        "archives",
        Type::List(
            &Type::Object(&[
                whole("stream", "The stream."),
                text("month", "The month, such as `2026-01`."),
                whole("first", "The number of its first entry."),
                whole("last", "The number of its last entry."),
                text("root", "The root of the tree that ends with the last entry."),
                text("mac", "The MAC of the last entry."),
                words("hashes", "The roots of the full subtrees of that tree, the largest first."),
                text("digest", "SHA-256 of the archive's lines."),
                text("kept", "SHA-256 over the leaves that stay when the month is pruned."),
                text("note", "The signed note that says all of this."),
                text("file", "The archive's file."),
                moment("verified", "When it was read back and found sound."),
                moment("pruned", "When the month left the database; null while it is there.").null(),
            ]),
            0,
        ),
        "The archives of all streams, the oldest month first.",
    ),
    whole("retention_days", "How long entries are kept in the database, whatever else holds."),
];

const WRITTEN: Member = object(
    "archive",
    &[
        whole("stream", "The stream."),
        text("month", "The month, such as `2026-01`."),
        whole("first", "The number of its first entry."),
        whole("last", "The number of its last entry."),
        text("digest", "SHA-256 of the archive's lines."),
        text("file", "The archive's file."),
    ],
    "The archive that was written; null where nothing was left to do.",
)
.null();

const UNTIL: &[Member] = &[text("until", "The last month that is meant, such as `2026-01`.").must()];

const REMAINING: Member = whole("remaining", "How many such steps are left.");

const KEPT: &[Member] = &[words("checkpoints", "Signed notes that the caller has kept, at most 100.")];

const COUNT: Member = whole("requests", "How many requests.").maybe();

pub(super) const ROUTES: &[Route] = &[
    Route::new(&[Read, List], "ledger/entries", "Search the ledger", &[A::ReadLedger], Gives::DataOrLines(PAGE)).query(QUERY),
    Route::new(
        &[Write],
        "ledger/search",
        "Search the ledger for a person by the identifier itself",
        &[A::ReadLedger],
        Gives::DataOrLines(PAGE),
    )
    .body(
        &[WHICH, &[text("subject", "The person's identifier."), text("mount", "The transform mount; `transform` unless given."), FORMAT]],
        &[r#"{"subject": "synthetic-7", "mount": "transform", "decision": "granted", "since": "2026-01-01T00:00:00Z", "limit": 10}"#],
    ),
    Route::new(
        &[Read],
        "ledger/entries/{stream}/{seq}",
        "Read an entry with its proof",
        &[A::ReadLedger],
        Gives::Data(&[object("entry", ENTRY, "The entry."), text("body", "The bytes that were hashed."), PROOF]),
    )
    .also(&[410]),
    Route::new(
        &[Read],
        "ledger/export",
        "Export the ledger as NDJSON, a page at a time",
        &[A::ReadLedger],
        Gives::Stream(&["application/x-ndjson"]),
    )
    .query(&[
        text("stream", "One stream, by its number or node."),
        BETWEEN[0],
        BETWEEN[1],
        text("cursor", "The header `X-Goldfin-Next` of the page before."),
        whole("limit", "How many at most: 5,000 unless given, never more."),
    ]),
    Route::new(
        &[Read],
        "ledger/summary",
        "Count requests, refusals or reveals by day",
        &[A::ReadLedger],
        Gives::Data(&[
            one_of("by", &["accounts", "refusals", "reveals"], "What was counted."),
            moment("since", "From when."),
            moment("until", "To when."),
            of(
                "rows",
                Type::List(
                    &Type::Object(&[
                        text("day", "The day."),
                        text("account", "The account."),
                        COUNT,
                        whole("granted", "How many were granted.").maybe(),
                        whole("denied", "How many were denied.").maybe(),
                        whole("failed", "How many failed.").maybe(),
                        whole("revealed", "How many values were revealed.").maybe(),
                        text("action", "The action.").maybe(),
                        text("because", "Why it was refused.").maybe(),
                        of("policy", Type::Any, "The policy that refused it, or null.").maybe(),
                        whole("refusals", "How many refusals.").maybe(),
                        of("class", Type::Any, "The class of the values, or null.").maybe(),
                        of("purpose", Type::Any, "Why, or null.").maybe(),
                    ]),
                    0,
                ),
                "The counts.",
            ),
            flag("truncated", "Whether there is more than 5,000 rows."),
        ]),
    )
    .query(&[
        one_of("by", &["", "accounts", "refusals", "reveals"], "What is counted; `accounts` unless given."),
        BETWEEN[0],
        BETWEEN[1],
    ]),
    Route::new(&[Read], "ledger/verify", "Verify the ledger", &[A::VerifyLedger], Gives::Data(REPORT)).besides(&["checkpoints"]),
    Route::new(
        &[Write],
        "ledger/verify",
        "Verify the ledger against checkpoints that the caller has kept",
        &[A::VerifyLedger],
        Gives::Data(REPORT),
    )
    .body(&[KEPT], &[r#"{"checkpoints": []}"#]),
    Route::new(
        &[Read],
        "ledger/key",
        "Read the key that verifies checkpoints",
        &[A::VerifyLedger],
        Gives::Data(&[text("key", "The public key."), text("log_id", "What the names of the logs begin with.")]),
    ),
    Route::new(
        &[Read],
        "ledger/checkpoint",
        "Read the newest checkpoints of all streams",
        &[A::VerifyLedger],
        Gives::Data(&[of("checkpoints", Type::List(&Type::Object(CHECKPOINT), 0), "One of each stream that has any.")]),
    ),
    Route::new(
        &[Read],
        "ledger/checkpoint/{stream}",
        "Read the newest checkpoint of a stream",
        &[A::VerifyLedger],
        Gives::Data(CHECKPOINT),
    ),
    Route::new(
        &[Read],
        "ledger/witness",
        "Read the key that this goldfin signs with as a witness, and the ledgers that it knows",
        &[A::VerifyLedger],
        Gives::Data(&[text("key", "The public key."), words("logs", "The keys of the ledgers.")]),
    ),
    Route::new(
        &[Write],
        "ledger/witness/add-checkpoint",
        "Have a checkpoint of another ledger signed (C2SP tlog-witness); its signature is the credential",
        &[A::WitnessCheckpoint],
        Gives::Cosignature,
    )
    .text("`old SIZE`, the lines of a consistency proof, an empty line, the checkpoint.")
    .open(),
    Route::new(
        &[Read, List],
        "ledger/archive",
        "List the archives, and how long entries are kept",
        &[A::VerifyLedger],
        Gives::Data(ARCHIVES),
    ),
    Route::new(
        &[Write],
        "ledger/archive",
        "Archive the next month of a stream that is over: verified, written, read back, recorded",
        &[A::ArchiveLedger],
        Gives::Data(&[WRITTEN, REMAINING]),
    )
    .body(&[UNTIL], &[r#"{"until": "2020-01"}"#]),
    Route::new(
        &[Write],
        "ledger/prune",
        "Prune the oldest month, if it is archived and older than the retention",
        &[A::PruneLedger],
        Gives::Data(&[
            text("month", "The month that was pruned; null where none is left.").null(),
            whole("entries", "How many entries it held.").maybe(),
            REMAINING,
        ]),
    )
    .body(&[UNTIL], &[r#"{"until": "2020-01"}"#]),
    Route::new(
        &[Read],
        "ledger/{stream}/checkpoint",
        "Read the newest signed note of a stream",
        &[A::VerifyLedger],
        Gives::Stream(&["text/plain"]),
    ),
    Route::new(
        &[Read],
        "ledger/{stream}/checkpoint/{size}",
        "Read the signed note of a size",
        &[A::VerifyLedger],
        Gives::Stream(&["text/plain"]),
    ),
    Route::new(
        &[Read],
        "ledger/{stream}/tile/{tile...}",
        "Read a tile of the tree, or a bundle of entries (C2SP tlog-tiles)",
        &[A::VerifyLedger, A::ReadLedger],
        Gives::Stream(&["application/octet-stream", "application/x-ndjson"]),
    )
    .also(&[410]),
    Route::new(
        &[Read],
        "ledger/{stream}/consistency",
        "Read the proof that a tree continues a smaller one",
        &[A::VerifyLedger],
        Gives::Data(&[words("hashes", "The proof (RFC 9162).")]),
    )
    .query(&[
        of("from", Type::Whole(1, u64::MAX), "The smaller size.").must(),
        of("to", Type::Whole(1, u64::MAX), "The larger size.").must(),
    ]),
];
