//! The transform engine: roles, transformations, their keys, templates and alphabets.

use super::super::member::{Member, Type, flag, name, of, one_of, seconds, text, text_map, whole, words};
use super::super::route::{Gives, KINDS, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Read, Write};

/// The largest number of values of an hour.
const MOST_OF_AN_HOUR: u64 = 1_000_000_000_000;

const ENCODED_PER_HOUR: Member =
    of("max_encoded_per_hour", Type::Whole(0, MOST_OF_AN_HOUR), "How many values one account may encode within an hour; 0 for any number.");
const REVEALED_PER_HOUR: Member = of(
    "max_revealed_per_hour",
    Type::Whole(0, MOST_OF_AN_HOUR),
    "How many values one account may decode within an hour; 0 for any number.",
);
const PURPOSES: Member = words("purposes", "The purposes of which a request must name one.");

const CONFIG: &[Member] = &[PURPOSES, ENCODED_PER_HOUR, REVEALED_PER_HOUR];

const FILTER: &[Member] = &[text("filter", "Only names that fit; `*` stands for anything.")];

const DRAFT: &[Member] = &[
    one_of("type", &["", "tokenization", "fpe", "masking"], "The type, where the path does not say it."),
    one_of("mapping_mode", &["", "default", "exportable"], "Whether values can be exported without their tokens."),
    flag("convergent", "Whether a value always has the same token."),
    flag("per_value_audit", "Whether entries hold a keyed hash of each token."),
    seconds("max_ttl", "The longest life of a token; 0 for ever."),
    words("allowed_roles", "The roles that may use it, `*` for all that fit."),
    flag("deletion_allowed", "Whether tokens can be deleted one by one."),
    of("class", Type::Short(64), "What it holds, as policies name it; empty takes it away."),
    text("prefix", "What tokens begin with: 1 to 24 letters, digits, `_` or `-`."),
    PURPOSES,
    words("stores", "`builtin/internal`"),
    ENCODED_PER_HOUR,
    REVEALED_PER_HOUR,
    text("shape", "`opaque`, or the template whose shape tokens have."),
    text("template", "The template of values; of `fpe` and `masking`."),
    words("templates", "The same as a list of one."),
    one_of("tweak_source", &["", "supplied", "generated", "internal"], "Where the tweak comes from; of `fpe`."),
    of("masking_character", Type::Short(4), "What hides a character; of `masking`."),
];

const DRAFTS: &[&str] = &[
    r#"{"type": "tokenization", "mapping_mode": "default", "convergent": false, "max_ttl": "720h", "allowed_roles": ["desk"], "class": "phone",
        "deletion_allowed": true, "prefix": "ph", "purposes": ["claims"], "per_value_audit": false, "stores": ["builtin/internal"], "shape": "opaque"}"#,
];

/// The old path names no type; each type has members of its own.
const DRAFTS_OF_ANY_TYPE: &[&str] = &[
    r#"{"type": "tokenization", "mapping_mode": "default", "convergent": false, "max_ttl": "720h", "allowed_roles": ["desk"], "class": "phone",
        "deletion_allowed": true, "prefix": "ph", "purposes": ["claims"], "per_value_audit": false, "stores": ["builtin/internal"], "shape": "opaque"}"#,
    r#"{"type": "fpe", "template": "builtin/creditcardnumber", "tweak_source": "internal", "allowed_roles": ["desk"]}"#,
    r#"{"type": "masking", "templates": ["builtin/socialsecuritynumber"], "masking_character": "X", "allowed_roles": ["desk"]}"#,
];

/// A transformation of any type; what concerns one type only is absent in the others.
const READ_DRAFT: &[Member] = &[
    words("allowed_roles", "The roles that may use it."),
    text("class", "What it holds, as policies name it.").null(),
    flag("convergent", "Whether a value always has the same token.").maybe(),
    of("creation_time", Type::Moment, "When it was made."),
    flag("deletion_allowed", "Whether tokens can be deleted one by one.").maybe(),
    one_of("mapping_mode", &["default", "exportable"], "Whether values can be exported without their tokens.").maybe(),
    whole("max_encoded_per_hour", "How many values one account may encode within an hour; 0 where the mount decides.").maybe(),
    whole("max_revealed_per_hour", "How many values one account may decode within an hour; 0 where the mount decides.").maybe(),
    whole("max_ttl", "The longest life of a token in seconds; 0 for ever.").maybe(),
    flag("per_value_audit", "Whether entries hold a keyed hash of each token.").maybe(),
    text("prefix", "What tokens begin with.").maybe(),
    words("purposes", "The purposes of which a request must name one."),
    text("shape", "`opaque`, or the template whose shape tokens have.").maybe(),
    words("stores", "`builtin/internal`").maybe(),
    of("template", Type::Either(&[Type::Text, Type::Any]), "The template; null where none is named yet.").maybe(),
    words("templates", "The template as a list."),
    one_of("type", KINDS, "The type."),
    one_of("tweak_source", &["supplied", "generated", "internal"], "Where the tweak comes from.").maybe(),
    text("masking_character", "What hides a character.").maybe(),
];

const READ_KEY: &[Member] = &[
    whole("latest_version", "The version that encrypts."),
    whole("min_available_version", "The oldest version that is there."),
    whole("min_decryption_version", "The oldest version that decrypts."),
    name("name", "The transformation."),
    text("type", "`aes256-gcm96`"),
];

const TEMPLATE: &[Member] = &[
    one_of("type", &["", "regex"], "`regex`"),
    text("pattern", "The regular expression; its groups are what is encoded."),
    text("alphabet", "The characters of what is encoded: a name, or `builtin/…`."),
    of(
        "encode_format",
        Type::Short(1024),
        "How an encoded value is written: `$1` stands for the first group. Empty for the pattern's own.",
    ),
    of("decode_formats", Type::Either(&[Type::TextMap, Type::Words]), "How a decoded value can be written, by names: at most 64."),
];

const KEY: Type = Type::Whole(1, u32::MAX as u64);

/// Read whatever the verb is.
const LISTS_ONLY: &[&str] = &["filter"];

const fn write(path: &'static str, says: &'static str) -> Route {
    Route::new(&[Write], path, says, &[A::WriteSetting], Gives::Nothing).besides(LISTS_ONLY)
}

const fn read(path: &'static str, says: &'static str, gives: &'static [Member]) -> Route {
    Route::new(&[Read], path, says, &[A::ReadSetting], Gives::Data(gives)).besides(LISTS_ONLY)
}

const fn list(path: &'static str, says: &'static str) -> Route {
    Route::new(&[List], path, says, &[A::ListSettings], Gives::Keys).query(FILTER)
}

const fn delete(path: &'static str, says: &'static str) -> Route {
    Route::new(&[Delete], path, says, &[A::DeleteSetting], Gives::Nothing).besides(LISTS_ONLY)
}

const fn rotate(path: &'static str, says: &'static str) -> Route {
    Route::new(&[Write], path, says, &[A::RotateSetting], Gives::Nothing).besides(LISTS_ONLY)
}

pub(super) const ROUTES: &[Route] = &[
    read("config", "Read what holds for transformations that do not say otherwise", CONFIG),
    write("config", "Change what holds for transformations that do not say otherwise")
        .body(&[CONFIG], &[r#"{"purposes": ["claims"], "max_encoded_per_hour": 100000, "max_revealed_per_hour": 1000}"#]),
    list("role", "List the roles"),
    read("role/{name}", "Read a role", &[words("transformations", "What it may use.")]),
    write("role/{name}", "Write a role").body(
        &[&[words("transformations", "What it may use, at most 1,000; they need not be there yet.")]],
        &[r#"{"transformations": ["phone"]}"#],
    ),
    delete("role/{name}", "Delete a role"),
    list("transformations", "List the transformations"),
    list("transformations/{kind}", "List the transformations of one type"),
    read("transformations/{kind}/{name}", "Read a transformation", READ_DRAFT),
    write("transformations/{kind}/{name}", "Write a transformation; what is not named stays").body(&[DRAFT], DRAFTS),
    delete("transformations/{kind}/{name}", "Delete a transformation with its keys and tokens"),
    list("transformation", "List the transformations, by the older path"),
    read("transformation/{name}", "Read a transformation, by the older path", READ_DRAFT),
    write("transformation/{name}", "Write a transformation, by the older path").body(&[DRAFT], DRAFTS_OF_ANY_TYPE),
    delete("transformation/{name}", "Delete a transformation, by the older path"),
    list("tokenization/keys", "List the transformations that have keys"),
    read("tokenization/keys/{name}", "Read the versions of a transformation's key", READ_KEY),
    rotate("tokenization/keys/{name}/rotate", "Make a new version of a transformation's key"),
    rotate("tokenization/keys/{name}/config", "Say which versions may decrypt")
        .body(&[&[of("min_decryption_version", KEY, "The oldest version that decrypts.").must()]], &[r#"{"min_decryption_version": 1}"#]),
    rotate("tokenization/keys/{name}/trim", "Destroy old versions for good")
        .body(&[&[of("min_available_version", KEY, "The oldest version that stays.").must()]], &[r#"{"min_available_version": 1}"#]),
    list("transformations/tokenization/keys", "List the transformations that have keys"),
    read("transformations/tokenization/keys/{name}", "Read the versions of a transformation's key", READ_KEY),
    rotate("transformations/tokenization/keys/{name}/rotate", "Make a new version of a transformation's key"),
    rotate("transformations/tokenization/keys/{name}/config", "Say which versions may decrypt")
        .body(&[&[of("min_decryption_version", KEY, "The oldest version that decrypts.").must()]], &[r#"{"min_decryption_version": 1}"#]),
    rotate("transformations/tokenization/keys/{name}/trim", "Destroy old versions for good")
        .body(&[&[of("min_available_version", KEY, "The oldest version that stays.").must()]], &[r#"{"min_available_version": 1}"#]),
    list("template", "List the templates, with those that are built in"),
    read("template/{name}", "Read a template", READ_TEMPLATE),
    read("template/builtin/{name}", "Read a template that is built in", READ_TEMPLATE),
    write("template/{name}", "Write a template; what is not named stays").body(
        &[TEMPLATE],
        &[r#"{"type": "regex", "pattern": "(\\d{3})-(\\d{3})-(\\d{4})", "alphabet": "builtin/numeric", "encode_format": "$1-$2-$3",
              "decode_formats": {"last-four": "***-***-$3"}}"#],
    ),
    delete("template/{name}", "Delete a template"),
    list("alphabet", "List the alphabets, with those that are built in"),
    read("alphabet/{name}", "Read an alphabet", &[text("alphabet", "Its characters.")]),
    read("alphabet/builtin/{name}", "Read an alphabet that is built in", &[text("alphabet", "Its characters.")]),
    write("alphabet/{name}", "Write an alphabet")
        .body(&[&[text("alphabet", "Its characters, each once.").must()]], &[r#"{"alphabet": "0123456789"}"#]),
    delete("alphabet/{name}", "Delete an alphabet"),
];

const READ_TEMPLATE: &[Member] = &[
    text("alphabet", "The alphabet of what is encoded."),
    text_map("decode_formats", "How a decoded value can be written."),
    text("encode_format", "How an encoded value is written; empty for the pattern's own."),
    text("pattern", "The regular expression."),
    text("type", "`regex`"),
];
