//! What the compiler refuses: one file per guarantee, each with the error that it must give.
#![cfg(test)]

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
