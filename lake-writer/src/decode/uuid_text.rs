//! UUIDs: 36 characters of text in lower case.
//!
//! Owns: the one form that is stored, from text in either case and from 16 bytes.

/// Bytes of the text.
pub(super) const LEN: usize = 36;

/// The text in lower case, when it is a UUID with its hyphens.
///
/// Written without branches on the bytes, so that the compiler makes vector code of it.
#[inline]
pub(super) fn canonical(text: &[u8; LEN]) -> Option<[u8; LEN]> {
    const fn is_hyphen(place: usize) -> bool {
        matches!(place, 8 | 13 | 18 | 23)
    }
    /// 0xff where a hyphen stands.
    const HYPHENS: [u8; LEN] = {
        let mut mask = [0; LEN];
        let mut i = 0;
        while i < LEN {
            if is_hyphen(i) {
                mask[i] = 0xff;
            }
            i += 1;
        }
        mask
    };
    let mut bad = 0;
    let mut lower = [0; LEN];
    for ((byte, to), hyphen) in text.iter().zip(&mut lower).zip(&HYPHENS) {
        // Digits and hyphens have this bit already; it turns A to F into a to f.
        let small = byte | 0x20;
        let digit = byte.wrapping_sub(b'0') < 10;
        let letter = small.wrapping_sub(b'a') < 6;
        let hex = u8::from(digit | letter);
        let dash = u8::from(*byte == b'-');
        bad |= (hyphen & 1 & !dash) | (!hyphen & 1 & !hex);
        *to = small;
    }
    (bad == 0).then_some(lower)
}

/// The text of 16 bytes.
pub(super) fn of_bytes(bytes: [u8; 16]) -> [u8; LEN] {
    let mut text = [0; LEN];
    uuid::Uuid::from_bytes(bytes)
        .hyphenated()
        .encode_lower(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hexadecimal_digits_and_hyphens_in_their_places_pass() {
        // GIVEN a UUID with every byte at every place
        let good = *b"0191D5b2-7c3e-7a91-8f4e-1d2c3b4A5f60";
        for place in 0..LEN {
            for byte in 0..=255 {
                let mut text = good;
                text[place] = byte;
                let is_hyphen = matches!(place, 8 | 13 | 18 | 23);
                let fits = if is_hyphen {
                    byte == b'-'
                } else {
                    byte.is_ascii_hexdigit()
                };
                // WHEN it is read THEN it passes only if it fits, in lower case
                let lower = fits.then(|| text.map(|b| b.to_ascii_lowercase()));
                assert_eq!(canonical(&text), lower, "{byte:#x} at {place}");
            }
        }
    }
}
