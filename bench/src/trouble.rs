//! Why a benchmark cannot go on. There is nothing to be done about any of it but to say it and stop.

/// A text for whoever started the benchmark.
#[derive(Debug)]
pub struct Trouble(pub String);

impl Trouble {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
