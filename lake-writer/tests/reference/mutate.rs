//! Damage to documents, of the kinds that find mistakes in a reader of JSON.

use rand::Rng;
use rand::rngs::SmallRng;

const TOKENS: [&[u8]; 36] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\n",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"0",
    b"-",
    b"-0",
    b"1e5",
    b"1E-2",
    b".5",
    b"00",
    b"9999999999",
    b"e",
    b"null",
    b"true",
    b"fals",
    b"\\u",
    b"\\ud83d",
    b"\\ude00",
    b"\\u0041",
    b"\\x",
    "é".as_bytes(),
    b"\xc3",
    b"\xa9",
    b"\xe2\x82",
    "€".as_bytes(),
    b"\xff",
];

/// Damages a document in one to three places.
pub(crate) fn damage(rng: &mut SmallRng, doc: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=doc.len());
        let end = (at + rng.random_range(0..9)).min(doc.len());
        match rng.random_range(0..8) {
            0 if at < doc.len() => doc[at] = rng.random(),
            1 if at < doc.len() => doc[at] ^= 1 << rng.random_range(0..8),
            2 => drop(doc.drain(at..end)),
            3 => {
                let copy = doc[at..end].to_vec();
                let to = rng.random_range(0..=doc.len());
                doc.splice(to..to, copy);
            }
            4 if rng.random_ratio(1, 4) => doc.truncate(at),
            5 => swap_fields(rng, doc),
            _ => {
                let token = TOKENS[rng.random_range(0..TOKENS.len())];
                let replaced = if rng.random() { at } else { end };
                doc.splice(at..replaced, token.iter().copied());
            }
        }
    }
}

/// Copies what stands between two commas over what stands between two others: still JSON often,
/// with a field twice or of another type.
fn swap_fields(rng: &mut SmallRng, doc: &mut Vec<u8>) {
    let commas: Vec<usize> = (0..doc.len())
        .filter(|i| matches!(doc[*i], b',' | b':'))
        .collect();
    if commas.len() < 2 {
        return;
    }
    let pick = |rng: &mut SmallRng| {
        let i = rng.random_range(0..commas.len() - 1);
        commas[i]..commas[i + 1]
    };
    let (from, to) = (pick(rng), pick(rng));
    let copy = doc[from].to_vec();
    doc.splice(to, copy);
}
