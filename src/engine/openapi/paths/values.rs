//! The transform engine: values become tokens, and tokens values; also within free text.

use super::super::member::{Member, Type, flag, free, name, of, one_of, seconds, text, text_map, whole, words};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, Write};

/// The most items of one request.
const MOST: u32 = 10_000;

const ROLE_CHOOSES: &str = "The transformation; not needed where the role has one only.";
const TWEAK: Member = text("tweak", "What format-preserving encryption is tweaked with: 7 bytes in base64.");
const REFERENCE: Member = text("reference", "Comes back with the answer, as it is.");
const PURPOSE: Member = of("purpose", Type::Short(64), "Why; a name that stands in a list of the transformation or the mount.");
const SUBJECT: Member = of("subject", Type::Short(512), "Whose value it is: 1 to 512 bytes. Only a keyed hash of it is kept.");

const ONE: &[Member] = &[
    of("value", Type::Text, "The token; of each item where there is `batch_input`."),
    name("transformation", ROLE_CHOOSES),
    TWEAK,
    REFERENCE,
    PURPOSE,
];

const ENDS: &[Member] = &[
    seconds("ttl", "How long the token can be decoded."),
    of("expiration", Type::MomentOrSeconds, "When it ends, in place of `ttl`."),
    of("metadata", Type::Either(&[Type::TextMap, Type::Text]), "What is kept with it, encrypted like the value: at most 16 KiB."),
    SUBJECT,
];

const ENCODED: &[Member] = &[
    of("value", Type::Short(1 << 20), "The value, at most 1 MiB; of each item where there is `batch_input`."),
    name("transformation", ROLE_CHOOSES),
    TWEAK,
    REFERENCE,
    PURPOSE,
    seconds("ttl", "How long the token can be decoded."),
    of("expiration", Type::MomentOrSeconds, "When it ends, in place of `ttl`."),
    of("metadata", Type::Either(&[Type::TextMap, Type::Text]), "What is kept with it, encrypted like the value: at most 16 KiB."),
    SUBJECT,
];

const FOUND: &[Member] = &[
    of("value", Type::Short(1 << 20), "The value, at most 1 MiB; of each item where there is `batch_input`."),
    name("transformation", ROLE_CHOOSES),
    TWEAK,
    REFERENCE,
    PURPOSE,
    SUBJECT,
    one_of("expiration", &["", "any"], "`any`: a value has one token."),
    one_of("min_expiration", &["", "any"], "`any`: a value has one token."),
    one_of("max_expiration", &["", "any"], "`any`: a value has one token."),
];

const PARTIAL: Member = of(
    "partial_failure_response_code",
    Type::Whole(0, 599),
    "The status where some items failed, from 200; 200 where it is 0 or not given.",
);

const BATCH: &[Member] = &[of("batch_input", Type::List(&Type::Object(ONE), MOST), "1 to 10,000 items in place of one."), PARTIAL];
const BATCH_ENCODED: &[Member] =
    &[of("batch_input", Type::List(&Type::Object(ENCODED), MOST), "1 to 10,000 items in place of one."), PARTIAL];
const BATCH_FOUND: &[Member] = &[of("batch_input", Type::List(&Type::Object(FOUND), MOST), "1 to 10,000 items in place of one."), PARTIAL];

const TOKEN: &[&str] = &[
    r#"{"value": "synthetic-token", "transformation": "phone", "reference": "a", "tweak": ""}"#,
    r#"{"batch_input": [{"value": "synthetic-token", "reference": "a"}, {"value": "synthetic-token", "purpose": "claims"}]}"#,
];

const VALUE: &[&str] = &[
    r#"{"value": "202-555-0142", "transformation": "phone", "subject": "synthetic-7"}"#,
    r#"{"batch_input": [{"value": "202-555-0142", "reference": "a"}, {"value": "202-555-0143"}]}"#,
];

const DELETED: &[Member] = &[flag("deleted", "True, of an item of a batch.").maybe()];

const fn by_token(path: &'static str, says: &'static str, action: &'static [A], gives: &'static [Member]) -> Route {
    Route::new(&[Write], path, says, action, Gives::Values(gives)).body(&[ONE, BATCH], TOKEN).also(&[410]).purpose()
}

const fn by_value(path: &'static str, says: &'static str, gives: &'static [Member]) -> Route {
    Route::new(&[Write], path, says, &[A::LookupPiiToken], Gives::Values(gives)).body(&[FOUND, BATCH_FOUND], VALUE).also(&[410]).purpose()
}

const SPAN: &[Member] = &[
    whole("start", "The first code point, counted from 0.").must(),
    whole("end", "The code point behind the last.").must(),
    of("class", Type::Short(64), "The class; or `entity_type`."),
    text("entity_type", "The class as Presidio names it."),
    of("score", Type::Score, "How sure it is; the surest of overlapping ones counts."),
];

const TEXT: &[Member] = &[
    of("text", Type::Short(1 << 20), "The text, at most 1 MiB; of each item where there is `batch_input`."),
    of("spans", Type::List(&Type::Object(SPAN), MOST), "What the caller has found in it, such as Presidio's results."),
    REFERENCE,
    PURPOSE,
    TWEAK,
];

const WISHES: &[Member] = &[
    of("classes", Type::Words, "What goldfin looks for by itself; all that it knows unless given."),
    of("min_score", Type::Score, "How sure a find must be."),
    one_of(
        "on_unserved",
        &["", "mask", "leave", "fail"],
        "What becomes of a class that no transformation of the role takes; `mask` unless given.",
    ),
    text_map("transformations", "A transformation for each class, before the transformations' own classes."),
];

const BATCH_TEXT: &[Member] = &[
    of(
        "batch_input",
        Type::List(
            &Type::Object(&[
                of("text", Type::Short(1 << 20), "The text, at most 1 MiB.").must(),
                of("spans", Type::List(&Type::Object(SPAN), MOST), "What the caller has found in it."),
                REFERENCE,
                PURPOSE,
                TWEAK,
                seconds("ttl", "How long its tokens can be decoded."),
                of("expiration", Type::MomentOrSeconds, "When they end, in place of `ttl`."),
                of("metadata", Type::Either(&[Type::TextMap, Type::Text]), "What is kept with them."),
                SUBJECT,
            ]),
            MOST,
        ),
        "1 to 10,000 texts in place of one, at most 4 MiB together.",
    ),
    PARTIAL,
];

const TOKENIZED_TEXT: &[Member] =
    &[of("text", Type::Short(4 << 20), "The text, at most 4 MiB; of each item where there is `batch_input`."), REFERENCE, PURPOSE, TWEAK];

const BATCH_TOKENIZED_TEXT: &[Member] = &[
    of("batch_input", Type::List(&Type::Object(TOKENIZED_TEXT), MOST), "1 to 10,000 texts in place of one, at most 16 MiB together."),
    PARTIAL,
];

const COUNTED: Type = Type::Object(&[text("class", "The class."), whole("count", "How many.")]);

pub(super) const ROUTES: &[Route] = &[
    Route::new(
        &[Write],
        "encode/{role}",
        "Turn values into tokens",
        &[A::Encode],
        Gives::Values(&[text("encoded_value", "The token."), text("tweak", "The tweak that was made, where the transformation makes one.").maybe()]),
    )
    .body(
        &[ENCODED, BATCH_ENCODED],
        &[
            r#"{"value": "202-555-0142", "transformation": "phone", "ttl": "720h", "metadata": {"source": "form"}, "subject": "synthetic-7"}"#,
            r#"{"batch_input": [{"value": "202-555-0142", "reference": "a"}, {"value": "202-555-0143", "reference": "b"}]}"#,
        ],
    )
    .also(&[410])
    .purpose(),
    by_token("decode/{role}", "Turn tokens back into values", &[A::Decode], &[text("decoded_value", "The value.")]),
    by_token(
        "decode/{role}/{format}",
        "Turn tokens back into values, written in a format of the template",
        &[A::Decode],
        &[text("decoded_value", "The value.")],
    ),
    by_token("validate/{role}", "Ask whether tokens are valid", &[A::LookupPiiToken], &[flag("valid", "Whether it can be decoded.")]),
    by_token(
        "metadata/{role}",
        "Read what is kept with tokens",
        &[A::LookupPiiToken],
        &[
            free("metadata", "What was attached."),
            of("expiration_time", Type::Moment, "When the token ends; null for never.").null(),
            text("ledger_token", "The keyed hash that entries name the token by, where the transformation has `per_value_audit`.").maybe(),
        ],
    ),
    by_value("tokens/{role}", "Find the tokens of values; of convergent transformations", &[words("tokens", "The token, if there is one.")]),
    by_value("tokenized/{role}", "Ask whether values have a token; of convergent transformations", &[flag("tokenized", "Whether it has one.")]),
    Route::new(&[Delete], "tokens/{role}", "Delete tokens", &[A::DeletePiiToken], Gives::Values(DELETED))
        .body(&[ONE, BATCH], TOKEN)
        .also(&[410])
        .purpose(),
    Route::new(
        &[Delete],
        "tokenized/{role}",
        "Delete the tokens of values; of convergent transformations",
        &[A::DeletePiiToken],
        Gives::Values(DELETED),
    )
    .body(&[FOUND, BATCH_FOUND], VALUE)
    .also(&[410])
    .purpose(),
    Route::new(
        &[Write],
        "redact/{role}",
        "Replace the personal data in free text by tokens",
        &[A::Encode],
        Gives::Values(&[
            whole("count", "How many places were replaced."),
            of(
                "replaced",
                Type::List(
                    &Type::Object(&[
                        text("class", "The class."),
                        whole("end", "The code point behind the last, in the new text."),
                        whole("start", "The first code point, in the new text."),
                        text("transformation", "What made the token; null where it was masked.").null(),
                    ]),
                    0,
                ),
                "Where, in their order.",
            ),
            text("text", "The new text."),
            of("unserved", Type::List(&COUNTED, 0), "What no transformation of the role takes."),
        ]),
    )
    .body(
        &[TEXT, ENDS, WISHES, BATCH_TEXT],
        &[
            r#"{"text": "Call 202-555-0142.", "spans": [{"start": 5, "end": 17, "class": "phone", "score": 0.9}, {"start": 0, "end": 4, "entity_type": "PERSON"}],
                "classes": ["phone"], "min_score": 0.5, "on_unserved": "mask", "transformations": {"phone": "phone"}, "subject": "synthetic-7"}"#,
            r#"{"batch_input": [{"text": "Call 202-555-0142.", "reference": "a"}]}"#,
        ],
    )
    .also(&[410])
    .purpose(),
    Route::new(
        &[Write],
        "restore/{role}",
        "Put the values back into a text with tokens",
        &[A::Decode],
        Gives::Values(&[
            whole("gone", "How many tokens have ended or belong to somebody who was erased."),
            whole("restored", "How many tokens became values."),
            text("text", "The text with the values."),
            whole("unknown", "How many look like tokens and are none of this role."),
        ]),
    )
    .body(
        &[TOKENIZED_TEXT, BATCH_TOKENIZED_TEXT],
        &[r#"{"text": "Call synthetic-token.", "reference": "a"}"#, r#"{"batch_input": [{"text": "Call synthetic-token."}]}"#],
    )
    .besides(&["spans"])
    .also(&[410])
    .purpose(),
];
