//! What an entry says of each token of a request, where its transformation asks for that: a keyed hash of the token's row, so that an
//! auditor who holds a token finds every request that touched it, and whoever reads the ledger alone learns nothing.

use crate::store::work::Work;

use super::run::Ready;

/// 64 bits: enough to tell the tokens of one ledger apart, and short enough for ten thousand in an entry.
pub(super) type TokenDigest = [u8; 8];

/// Gathers the digests of a request in the order of its items. Costs nothing where no transformation asks for it.
#[derive(Debug)]
pub(super) struct PerValue {
    wanted: bool,
    digests: Vec<Option<TokenDigest>>,
}

impl PerValue {
    pub(super) fn of<'a>(mut used: impl Iterator<Item = &'a Ready>) -> Self {
        Self { wanted: used.any(|ready| ready.config.per_value_audit), digests: Vec::new() }
    }

    /// The next item: the token that it made, found, revealed or deleted; none where it did not succeed.
    pub(super) fn add(&mut self, token: Option<(&Ready, i64)>) {
        if self.wanted {
            self.digests.push(token.filter(|(ready, _)| ready.config.per_value_audit).map(|(ready, id)| digest(ready, id)));
        }
    }

    pub(super) fn note(self, work: &mut Work) {
        work.facts.tokens = self.digests;
    }
}

/// A token as entries name it.
pub(super) fn digest(ready: &Ready, id: i64) -> TokenDigest {
    let [a, b, c, d, e, f, g, h, ..] = ready.keys.audit.mac_raw(&[&id.to_be_bytes()]);
    [a, b, c, d, e, f, g, h]
}
