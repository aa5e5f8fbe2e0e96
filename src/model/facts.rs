//! What an operation says of itself for its entry, beyond what the gate knows. Never a value, a key or a credential.

/// How many values of a data subject an operation concerned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubjectCount {
    /// The keyed hash.
    pub subject: [u8; 32],
    pub class: Option<String>,
    pub count: u64,
}

/// Something beside what was asked that those who watch should know. It gets an entry of its own, of kind `notice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub reason: &'static str,
    pub resource: String,
    pub class: Option<String>,
    pub count: u64,
}

/// All members are optional; what is absent is not written.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The version of the object that was read or written.
    pub version: Option<i64>,
    /// The hash of the ciphertext that was read or written (SHA-256).
    pub digest: Option<[u8; 32]>,
    /// The data subject, as a keyed hash.
    pub subject: Option<[u8; 32]>,
    /// Where one cannot stand for all: the subjects of the values that succeeded, every one of them, by hash and class.
    pub subjects: Vec<SubjectCount>,
    /// The class of the personal data.
    pub class: Option<String>,
    /// Why the caller reveals, from a configured list.
    pub purpose: Option<String>,
    /// How many values were asked for.
    pub count: Option<u64>,
    /// How many of them succeeded, where that differs.
    pub succeeded: Option<u64>,
    /// Entries of the ledger that were archived or pruned, by month and stream, with the root of the tree at their end.
    pub ranges: Vec<String>,
    /// A digest over the tokens or ids of a batch.
    pub batch: Option<[u8; 32]>,
    /// A keyed hash for each token of the request, in the order of its items and none for an item that failed, where the transformation
    /// asks for it.
    pub tokens: Vec<Option<[u8; 8]>>,
    /// The account that a login proved, before there is a principal.
    pub account: Option<String>,
    /// The accessor of the auth token that was made or revoked.
    pub accessor: Option<String>,
    /// The version of the manifest of control rows that the operation made.
    pub manifest: Option<i64>,
    /// A word for the failure where the fault alone says too little: `expired`, `replay`.
    pub reason: Option<&'static str>,
}
