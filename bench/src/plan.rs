//! Which cases are run with how many connections, in the order of a round.

use crate::Options;
use crate::case::Case::{self, BatchDecode, BatchEncode, Decode, Encode, Fixed, ReadSecret, WriteSecret};
use crate::report::Cell;
use crate::side::Side::{self, Few, Goldfin, Naive, Raw, Unrecorded};

type Row = (Side, usize, &'static [Case]);

const FULL: &[Row] = &[
    (Goldfin, 1, &[Fixed, ReadSecret, WriteSecret, Encode, Decode, BatchEncode, BatchDecode]),
    (Raw, 1, &[BatchEncode]),
    (Goldfin, 4, &[BatchEncode, BatchDecode]),
    (Naive, 4, &[BatchEncode, BatchDecode]),
    (Goldfin, 16, &[Fixed, ReadSecret, WriteSecret, Encode, Decode]),
    (Naive, 16, &[Fixed, ReadSecret, WriteSecret, Encode, Decode]),
    (Goldfin, 64, &[Fixed, ReadSecret, WriteSecret, Encode, Decode]),
    (Unrecorded, 64, &[ReadSecret]),
    (Few, 64, &[Encode]),
    (Goldfin, 256, &[Fixed, ReadSecret, WriteSecret, Encode, Decode]),
    (Unrecorded, 256, &[ReadSecret]),
];

const QUICK: &[Row] = &[
    (Goldfin, 1, &[BatchEncode, BatchDecode]),
    (Raw, 1, &[BatchEncode]),
    (Goldfin, 4, &[BatchEncode, BatchDecode]),
    (Naive, 4, &[BatchEncode, BatchDecode]),
    (Goldfin, 16, &[ReadSecret, Encode, Decode]),
    (Naive, 16, &[ReadSecret, Encode, Decode]),
    (Goldfin, 64, &[Fixed, ReadSecret, WriteSecret, Encode]),
    (Unrecorded, 64, &[ReadSecret]),
    (Few, 64, &[Encode]),
    (Goldfin, 256, &[Fixed, ReadSecret, Encode, Decode]),
    (Unrecorded, 256, &[ReadSecret]),
];

/// The cells that the options ask for, still empty.
pub fn cells(options: &Options) -> Vec<Cell> {
    let chosen = if options.quick { QUICK } else { FULL };
    let wanted = |case: Case| options.only.is_empty() || options.only.iter().any(|name| case.name().starts_with(name.as_str()));
    let fits = |connections: usize| options.connections.is_empty() || options.connections.contains(&connections);
    chosen
        .iter()
        .filter(|(side, connections, _)| fits(*connections) && (*side != Naive || options.python.is_some()))
        .flat_map(|(side, connections, cases)| {
            let cases = cases.iter().filter(|case| wanted(**case));
            cases.map(|case| Cell { side: *side, case: *case, connections: *connections, rounds: Vec::new() })
        })
        .collect()
}
