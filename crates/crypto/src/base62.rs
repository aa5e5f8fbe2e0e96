//! Base62 of fixed width, `0-9A-Za-z`: 8 bytes are 11 characters, 4 bytes are 6.
//!
//! Groups of 8 bytes cost no character over one long number (24 bytes are 33 either way) and need no big division.
//! Canonical: one text per value; a group beyond its range is refused. No table is indexed by a secret digit.

/// 24 bytes as 33 characters, in groups of 8 bytes, big endian.
pub(crate) fn encode_24(bytes: &[u8; 24]) -> [u8; 33] {
    let mut text = [0; 33];
    let (groups, _) = bytes.as_chunks::<8>();
    let (slots, _) = text.as_chunks_mut::<11>();
    for (group, slot) in groups.iter().zip(slots) {
        *slot = encode(u64::from_be_bytes(*group));
    }
    text
}

/// The 24 bytes behind 33 characters; `None` unless canonical.
pub(crate) fn decode_24(text: &[u8; 33]) -> Option<[u8; 24]> {
    let mut bytes = [0; 24];
    let (groups, _) = text.as_chunks::<11>();
    let (slots, _) = bytes.as_chunks_mut::<8>();
    for (group, slot) in groups.iter().zip(slots) {
        *slot = decode(group)?.to_be_bytes();
    }
    Some(bytes)
}

/// A checksum of 4 bytes as 6 characters.
pub(crate) fn encode_4(value: u32) -> [u8; 6] {
    encode(u64::from(value))
}

/// The checksum behind 6 characters; `None` unless canonical.
pub(crate) fn decode_4(text: &[u8; 6]) -> Option<u32> {
    u32::try_from(decode(text)?).ok()
}

/// What was encoded as text: it is ASCII.
pub(crate) fn text(symbols: &[u8]) -> &str {
    std::str::from_utf8(symbols).unwrap_or_default()
}

/// The character of a digit below 62.
pub(crate) fn symbol(digit: u8) -> u8 {
    b'0' + digit + 7 * u8::from(digit > 9) + 6 * u8::from(digit > 35)
}

fn encode<const N: usize>(mut value: u64) -> [u8; N] {
    let mut text = [0; N];
    for slot in text.iter_mut().rev() {
        *slot = symbol((value % 62) as u8);
        value /= 62;
    }
    text
}

/// Without a branch that depends on a digit: which kind it is of cannot be guessed, so that guessing costs more than reckoning.
fn decode(text: &[u8]) -> Option<u64> {
    let (mut value, mut sound) = (0_u128, true);
    for given in text {
        let digit = given.wrapping_sub(b'0' + 7 * u8::from(*given > b'9') + 6 * u8::from(*given > b'Z'));
        sound &= digit < 62 && symbol(digit) == *given;
        value = value * 62 + u128::from(digit);
    }
    u64::try_from(value).ok().filter(|_| sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn symbols_are_in_ascii_order() {
        let alphabet: Vec<u8> = (0..62).map(symbol).collect();
        assert_eq!(alphabet, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(&encode_4(0), b"000000");
        assert_eq!(&encode_4(u32::MAX), b"4gfFC3");
        assert_eq!(decode_4(b"4gfFC3"), Some(u32::MAX));
        assert_eq!(decode_4(b"4gfFC4"), None);
        assert_eq!(decode_4(b"zzzzzz"), None);
        assert_eq!(&encode_24(&[255; 24]), b"LygHa16AHYFLygHa16AHYFLygHa16AHYF");
        assert_eq!(decode_24(b"LygHa16AHYGLygHa16AHYFLygHa16AHYF"), None);
        assert_eq!(decode_24(b"zzzzzzzzzzz0000000000000000000000"), None);
        for bad in [b"00000-", b"00000 ", b"00000\xff", b"00000/", b"00000:"] {
            assert_eq!(decode_4(bad), None);
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: [u8; 24], value: u32) {
            prop_assert_eq!(decode_24(&encode_24(&bytes)), Some(bytes));
            prop_assert_eq!(decode_4(&encode_4(value)), Some(value));
        }

        #[test]
        fn text_is_canonical(text in "[0-9A-Za-z]{33}") {
            let text: [u8; 33] = text.as_bytes().try_into().unwrap();
            if let Some(bytes) = decode_24(&text) {
                prop_assert_eq!(encode_24(&bytes), text);
            }
        }
    }
}
