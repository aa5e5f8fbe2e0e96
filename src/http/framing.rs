//! Where requests begin and end in the bytes of an HTTP/1.1 connection, read more strictly than hyper does (RFC 9112).
//!
//! hyper takes a `Content-Length` beside `Transfer-Encoding` (and drops it), repeated equal lengths, and lines that end in a bare LF.
//! A proxy in front of goldfin may read such a request differently, and so smuggle one behind another. This file only looks: hyper
//! parses. What it doubts once stays in doubt for the connection, which is then answered with 400 and closed.

use zeroize::Zeroize;

/// More than the longest line that matters: a name of 17 letters, its colon, white space and a length.
const LINE: usize = 64;

#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// The beginning of the present line, kept only where it may be one of the two that matter.
    line: [u8; LINE],
    kept: usize,
    seen: usize,
    last: u8,
    request_line: bool,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    /// Behind a chunked body nothing is read: the connection closes after the answer.
    Opaque,
}

/// What the bytes said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// The bytes end within a head.
    pub within_head: bool,
    pub doubt: bool,
}

impl Framing {
    pub fn new() -> Self {
        Self { state: State::Head, line: [0; LINE], kept: 0, seen: 0, last: 0, request_line: true, length: None, chunked: false }
    }

    /// Looks at the next bytes of the connection.
    pub fn see(&mut self, mut bytes: &[u8]) -> Sight {
        let mut doubt = false;
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Opaque => &[],
                State::Body(left) => {
                    let skip = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - skip as u64;
                    self.state = if left == 0 { State::Head } else { State::Body(left) };
                    bytes.get(skip..).unwrap_or_default()
                }
                State::Head => match bytes.iter().position(|b| *b == b'\n') {
                    None => {
                        self.keep(bytes);
                        &[]
                    }
                    Some(end) => {
                        let (piece, rest) = bytes.split_at(end);
                        self.keep(piece);
                        doubt |= !self.end_line();
                        rest.get(1..).unwrap_or_default()
                    }
                },
            };
        }
        Sight { within_head: self.state == State::Head && (self.seen > 0 || !self.request_line), doubt }
    }

    fn keep(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        self.last = *last;
        let first = if self.seen == 0 { piece.first() } else { self.line.first() };
        self.seen = self.seen.saturating_add(piece.len());
        // Lines that begin otherwise, such as those with credentials, are not copied.
        if self.request_line || !matches!(first, Some(b'c' | b'C' | b't' | b'T')) {
            return;
        }
        for (to, from) in self.line.iter_mut().skip(self.kept).zip(piece) {
            *to = *from;
        }
        self.kept = self.kept.saturating_add(piece.len()).min(LINE);
    }

    /// False when the line leaves a doubt.
    fn end_line(&mut self) -> bool {
        let (seen, kept) = (self.seen, self.kept);
        let mut fine = seen > 0 && self.last == b'\r';
        if seen == 1 && fine {
            // An empty line: before a request line it is skipped (RFC 9112 section 2.2), elsewhere it ends the head.
            if !self.request_line {
                self.end_head();
            }
        } else if self.request_line {
            self.request_line = false;
        } else if kept > 0 {
            fine &= self.end_field(seen);
        }
        self.line.zeroize();
        self.kept = 0;
        self.seen = 0;
        self.last = 0;
        fine
    }

    fn end_field(&mut self, seen: usize) -> bool {
        let line = self.line.get(..self.kept).unwrap_or_default();
        let Some(colon) = line.iter().position(|b| *b == b':') else { return true };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().filter(|v| v.bytes().all(|b| b.is_ascii_digit())).and_then(|v| v.parse().ok());
            let fine = seen < LINE && length.is_some() && self.length.is_none() && !self.chunked;
            self.length = length.or(Some(0));
            fine
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let fine = value.eq_ignore_ascii_case(b"chunked") && self.length.is_none() && !self.chunked;
            self.chunked = true;
            fine
        } else {
            true
        }
    }

    fn end_head(&mut self) {
        self.state = match (self.chunked, self.length.take()) {
            (true, _) => State::Opaque,
            (false, None | Some(0)) => State::Head,
            (false, Some(length)) => State::Body(length),
        };
        self.chunked = false;
        self.request_line = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Looks at the bytes in pieces of `step`.
    fn doubts(bytes: &[u8], step: usize) -> (bool, bool) {
        let mut framing = Framing::new();
        let mut doubt = false;
        let mut within = false;
        for piece in bytes.chunks(step) {
            let sight = framing.see(piece);
            doubt |= sight.doubt;
            within = sight.within_head;
        }
        (doubt, within)
    }

    const CLEAN: [&str; 6] = [
        "GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET /v1/a HTTP/1.1\r\nHost: a\r\nTe: x\r\nContent-Type: a\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\n\n\n\n\n}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length:0\r\n\r\nPOST / HTTP/1.1\r\nCONTENT-LENGTH: 1 \r\n\r\n\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Lengthy: x\r\nContent-Length: 00003\r\n\r\na\nb",
    ];

    #[test]
    fn clean_requests_leave_no_doubt_however_they_are_cut() {
        for text in CLEAN {
            for step in [1, 2, 3, 7, 1000] {
                assert_eq!(doubts(text.as_bytes(), step), (false, false), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn smuggling_leaves_doubt() {
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:                                                                                5\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\n\r\n",
        ] {
            for step in [1, 5, 1000] {
                assert!(doubts(text.as_bytes(), step).0, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn says_when_a_head_is_incomplete() {
        assert!(doubts(b"GET / HT", 100).1);
        assert!(doubts(b"GET / HTTP/1.1\r\n", 100).1);
        assert!(doubts(b"GET / HTTP/1.1\r\nHost: a\r\n", 3).1);
        assert!(!doubts(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n123", 100).1);
    }

    proptest! {
        #[test]
        fn pieces_and_whole_agree(bytes in "[a-cC:\r\n0-9 \\-ontelghTransfe]{0,120}", step in 1_usize..9) {
            let whole = format!("GET / HTTP/1.1\r\n{bytes}");
            prop_assert_eq!(doubts(whole.as_bytes(), step), doubts(whole.as_bytes(), 4096));
        }
    }
}
