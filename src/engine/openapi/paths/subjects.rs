//! The transform engine: the people that values are about, and the stored tokens as a whole.

use super::super::member::{Member, Type, flag, free, moment, of, text, whole, words};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Read, Write};

const WHO: &[Member] = &[of("subject", Type::Short(512), "The person's identifier, 1 to 512 bytes. In a body it stands in no log.").must()];

const HELD: &[Member] = &[
    flag("alive", "Whether anything can be decoded."),
    words("erased", "When the person was erased, each time."),
    text("hash", "The keyed hash that entries hold."),
    of(
        "held",
        Type::List(
            &Type::Object(&[
                text("class", "The class; null where the transformation has none.").null(),
                whole("count", "How many values."),
                text("transformation", "The transformation; null where it was deleted.").null(),
            ]),
            0,
        ),
        "What is held, without values.",
    ),
    text("subject", "The beginning of the hash, as policies name the person."),
];

const ERASED: &[Member] = &[
    whole("erased", "How many values nobody can read any more."),
    text("hash", "The keyed hash that entries hold."),
    text("subject", "The beginning of the hash."),
    moment("time", "When; null where the time of an earlier erasure is not known.").null(),
];

const EXPORTED: &[Member] = &[
    whole("held", "How many values there are in all."),
    text("next", "Where the next page begins; null at the end.").null(),
    of(
        "values",
        Type::List(
            &Type::Object(&[
                text("class", "The class; null where the transformation has none.").null(),
                moment("expiration_time", "When the token ends; null for never.").null(),
                free("metadata", "What was attached; null where nothing was.").null(),
                text("transformation", "The transformation."),
                text("value", "The value."),
            ]),
            0,
        ),
        "The values of exportable transformations.",
    ),
];

const DISCLOSED: &[Member] = &[
    of(
        "disclosures",
        Type::List(
            &Type::Object(&[
                text("account", "Who saw it."),
                text("action", "How."),
                text("class", "What; null where it has no class.").null(),
                whole("count", "How many values."),
                text("purpose", "Why; null where none was given.").null(),
                text("request_id", "The request, as its entry names it."),
                moment("time", "When."),
            ]),
            0,
        ),
        "Who saw values of the person, the newest first.",
    ),
    text("next", "Where the next page begins; null at the end.").null(),
];

const PAGE: &[Member] =
    &[of("limit", Type::Whole(1, 1000), "How many at most; 100 unless given."), text("after", "The `next` of the page before.")];

const BETWEEN: &[Member] =
    &[of("since", Type::Text, "Not before this moment (RFC 3339)."), of("until", Type::Text, "Before this moment (RFC 3339).")];

const DISCLOSURES_QUERY: &[Member] = &[
    of("limit", Type::Whole(1, 1000), "How many at most; 100 unless given."),
    text("after", "The `next` of the page before."),
    of("since", Type::Text, "Not before this moment (RFC 3339)."),
    of("until", Type::Text, "Before this moment (RFC 3339)."),
];

const PURPOSE: &[Member] = &[of("purpose", Type::Short(64), "Why; a name that stands in a list of a transformation or the mount.")];

const PAGE_OF_TOKENS: &[Member] = &[
    of("limit", Type::Whole(1, 10_000), "How many at most; 1,000 unless given."),
    text("continuation", "The `continuation` of the page before."),
];

pub(super) const ROUTES: &[Route] = &[
    Route::new(&[Write], "subjects/lookup", "Read what is held about a person", &[A::ReadSubject], Gives::Data(HELD))
        .body(&[WHO], &[r#"{"subject": "synthetic-7"}"#]),
    Route::new(&[Write], "subjects/erase", "Erase a person: nothing of theirs can be decoded any more", &[A::EraseSubject], Gives::Data(ERASED))
        .body(&[WHO], &[r#"{"subject": "synthetic-7"}"#]),
    Route::new(&[Delete], "subjects", "Erase a person, named in the body", &[A::EraseSubject], Gives::Data(ERASED))
        .body(&[WHO], &[r#"{"subject": "synthetic-7"}"#]),
    Route::new(&[Write], "subjects/export", "Export a person's values", &[A::ExportSubject], Gives::Data(EXPORTED))
        .body(&[WHO, PAGE, PURPOSE], &[r#"{"subject": "synthetic-7", "limit": 10, "after": "7", "purpose": "access-request"}"#])
        .query(PAGE)
        .also(&[410])
        .purpose(),
    Route::new(&[Write], "subjects/disclosures", "List who saw values of a person", &[A::ListDisclosures], Gives::Data(DISCLOSED))
        .body(
            &[WHO, PAGE, BETWEEN],
            &[r#"{"subject": "synthetic-7", "limit": 10, "after": "1700000000000000.1.7", "since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}"#],
        )
        .query(DISCLOSURES_QUERY),
    Route::new(&[Read], "subjects/{id}", "Read what is held about a person", &[A::ReadSubject], Gives::Data(HELD)),
    Route::new(&[Delete], "subjects/{id}", "Erase a person: nothing of theirs can be decoded any more", &[A::EraseSubject], Gives::Data(ERASED)),
    Route::new(&[Read, List], "subjects/{id}/export", "Export a person's values", &[A::ExportSubject], Gives::Data(EXPORTED))
        .query(PAGE)
        .besides(&["limit", "after", "purpose"])
        .also(&[410])
        .purpose(),
    Route::new(&[Read, List], "subjects/{id}/disclosures", "List who saw values of a person", &[A::ListDisclosures], Gives::Data(DISCLOSED))
        .query(DISCLOSURES_QUERY)
        .besides(&["limit", "after", "since", "until"]),
    Route::new(
        &[Write],
        "transformations/tokenization/snapshot/{name}",
        "Take the stored tokens of a transformation, as ciphertext",
        &[A::SnapshotPiiTokens],
        Gives::Data(&[words("values", "The tokens, each in base64."), text("continuation", "Where the next page begins.").maybe()]),
    )
    .body(&[PAGE_OF_TOKENS], &[r#"{"limit": 100, "continuation": "after-7"}"#]),
    Route::new(
        &[Write],
        "transformations/tokenization/restore/{name}",
        "Put the tokens of a snapshot back",
        &[A::RestorePiiTokens],
        Gives::Perhaps(&[whole("restored", "How many, where some belong to erased people.")]),
    )
    .body(&[&[of("values", Type::Words, "1 to 10,000 values of a snapshot.").must()]], &[r#"{"values": ["c3ludGhldGlj"]}"#]),
    Route::new(
        &[Write],
        "transformations/tokenization/export-decoded/{name}",
        "Export the values of an exportable transformation in the clear",
        &[A::ExportPiiTokens],
        Gives::Data(&[
            of(
                "values",
                Type::List(
                    &Type::Object(&[
                        text("plaintext", "The value in base64."),
                        text("token", "Its token."),
                        moment("expiration_time", "When the token ends.").maybe(),
                    ]),
                    0,
                ),
                "Values with their tokens.",
            ),
            text("continuation", "Where the next page begins.").maybe(),
        ]),
    )
    .body(&[PAGE_OF_TOKENS, PURPOSE], &[r#"{"limit": 100, "continuation": "after-7", "purpose": "migration"}"#])
    .purpose(),
];
