//! `sys/quotas`: how many values an account may encode and reveal, and how often it may ask.

use super::super::member::{Member, Type, flag, name, of, one_of, seconds, text, whole};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Read, Write};

/// The largest number of values that a quota may speak of.
const MOST_VALUES: u64 = 1_000_000_000_000;

const ACCOUNT: Member = of("account", Type::Short(512), "Whom it concerns; every account by itself where empty.");

const DISCLOSURE: &[Member] = &[
    ACCOUNT,
    text("transformation", "The mount and the transformation, such as `transform/ssn`; all where empty."),
    of("encoded_per_hour", Type::Whole(0, MOST_VALUES), "How many values may be encoded within an hour; 0 for any number."),
    of("revealed_per_hour", Type::Whole(0, MOST_VALUES), "How many values may be revealed within an hour; 0 for any number."),
];

const READ_DISCLOSURE: &[Member] = &[
    text("account", "Whom it concerns; null for every account by itself.").null(),
    whole("encoded_per_hour", "How many values may be encoded within an hour; 0 for any number."),
    name("name", "The quota."),
    whole("revealed_per_hour", "How many values may be revealed within an hour; 0 for any number."),
    text("transformation", "What it counts; null for all.").null(),
    text("type", "`disclosure`"),
];

const RATE: &[Member] = &[
    ACCOUNT,
    text("path", "The paths that it concerns; `*` may stand at the end, and empty is all."),
    of("rate", Type::Number, "How many requests in each interval."),
    seconds("interval", "The interval: a second unless given, at most a day."),
    seconds("block_interval", "How long whoever asked too often is refused altogether."),
    one_of("type", &["", "rate-limit"], "For clients of Vault."),
    flag("inheritable", "Means nothing: there is one namespace."),
];

const READ_RATE: &[Member] = &[
    text("account", "Whom it concerns; null for every account by itself.").null(),
    whole("block_interval", "Seconds."),
    flag("inheritable", "False; for clients of Vault."),
    whole("interval", "Seconds."),
    name("name", "The quota."),
    text("path", "The paths that it concerns; empty for all."),
    of("rate", Type::Number, "How many requests in each interval."),
    text("role", "Empty; for clients of Vault."),
    text("type", "`rate-limit`"),
];

pub(super) const ROUTES: &[Route] = &[
    Route::new(&[List], "quotas/disclosure", "List the quotas over values", &[A::ListSettings], Gives::Keys),
    Route::new(&[Read], "quotas/disclosure/{name}", "Read a quota over values", &[A::ReadSetting], Gives::Data(READ_DISCLOSURE)),
    Route::new(
        &[Write],
        "quotas/disclosure/{name}",
        "Write a quota over values; what is not named stays",
        &[A::WriteSetting],
        Gives::Nothing,
    )
    .body(&[DISCLOSURE], &[r#"{"account": "app", "transformation": "transform/phone", "encoded_per_hour": 0, "revealed_per_hour": 1000}"#]),
    Route::new(&[Delete], "quotas/disclosure/{name}", "Delete a quota over values", &[A::DeleteSetting], Gives::Nothing),
    Route::new(&[List], "quotas/rate-limit", "List the quotas over requests", &[A::ListSettings], Gives::Keys),
    Route::new(&[Read], "quotas/rate-limit/{name}", "Read a quota over requests", &[A::ReadSetting], Gives::Data(READ_RATE)),
    Route::new(
        &[Write],
        "quotas/rate-limit/{name}",
        "Write a quota over requests; what is not named stays",
        &[A::WriteSetting],
        Gives::Nothing,
    )
    .body(&[RATE], &[r#"{"account": "app", "path": "transform/*", "rate": 100, "interval": "1s", "block_interval": 0}"#]),
    Route::new(&[Delete], "quotas/rate-limit/{name}", "Delete a quota over requests", &[A::DeleteSetting], Gives::Nothing),
];
