//! Which cases are run with how many connections, in the order of a round.

use crate::Options;
use crate::case::Case::{self, BatchDecode, BatchEncode, Decode, Encode, Fixed, ReadSecret, WriteSecret};
use crate::report::Cell;
use crate::side::Side::{self, Few, Goldfin, Naive, Raw, Unrecorded};

type Row = (usize, &'static [(Case, &'static [Side])]);

/// What is compared stands side by side, so that a moment in which the host does something else meets both or neither.
const FULL: &[Row] = &[
    (
        1,
        &[
            (Fixed, &[Goldfin]),
            (ReadSecret, &[Goldfin]),
            (WriteSecret, &[Goldfin]),
            (Encode, &[Goldfin]),
            (Decode, &[Goldfin]),
            (BatchDecode, &[Goldfin]),
            (BatchEncode, &[Goldfin, Raw]),
        ],
    ),
    (4, &[(BatchEncode, &[Goldfin, Naive]), (BatchDecode, &[Goldfin, Naive])]),
    (
        16,
        &[
            (Fixed, &[Goldfin, Naive]),
            (ReadSecret, &[Goldfin, Naive]),
            (WriteSecret, &[Goldfin, Naive]),
            (Encode, &[Goldfin, Naive]),
            (Decode, &[Goldfin, Naive]),
        ],
    ),
    (
        64,
        &[
            (WriteSecret, &[Goldfin]),
            (Decode, &[Goldfin]),
            (Encode, &[Few, Goldfin]),
            (Fixed, &[Goldfin]),
            (ReadSecret, &[Goldfin, Unrecorded]),
        ],
    ),
    (
        256,
        &[(WriteSecret, &[Goldfin]), (Decode, &[Goldfin]), (Encode, &[Goldfin]), (Fixed, &[Goldfin]), (ReadSecret, &[Goldfin, Unrecorded])],
    ),
];

const QUICK: &[Row] = &[
    (1, &[(BatchDecode, &[Goldfin]), (BatchEncode, &[Goldfin, Raw])]),
    (4, &[(BatchEncode, &[Goldfin, Naive]), (BatchDecode, &[Goldfin, Naive])]),
    (16, &[(ReadSecret, &[Goldfin, Naive]), (Encode, &[Goldfin, Naive]), (Decode, &[Goldfin, Naive])]),
    (64, &[(WriteSecret, &[Goldfin]), (Encode, &[Few, Goldfin]), (Fixed, &[Goldfin]), (ReadSecret, &[Goldfin, Unrecorded])]),
    (256, &[(Decode, &[Goldfin]), (Encode, &[Goldfin]), (Fixed, &[Goldfin]), (ReadSecret, &[Goldfin, Unrecorded])]),
];

/// The cells that the options ask for, still empty.
pub fn cells(options: &Options) -> Vec<Cell> {
    let chosen = if options.quick { QUICK } else { FULL };
    let wanted = |case: Case| options.only.is_empty() || options.only.iter().any(|name| case.name().starts_with(name.as_str()));
    let fits = |connections: usize| options.connections.is_empty() || options.connections.contains(&connections);
    let mut cells = Vec::new();
    for (connections, cases) in chosen.iter().filter(|(connections, _)| fits(*connections)) {
        for (case, sides) in cases.iter().filter(|(case, _)| wanted(*case)) {
            let sides = sides.iter().filter(|side| **side != Naive || options.python.is_some());
            cells.extend(sides.map(|side| Cell { side: *side, case: *case, connections: *connections, rounds: Vec::new() }));
        }
    }
    cells
}
