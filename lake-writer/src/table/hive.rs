//! How partition values are spelled in paths, as Hive does it.
//!
//! ```text
//! ("region", Île-de-France) ─► region=Île-de-France        (a/b) ─► region=a%2Fb        null ─► …
//! ```
//!
//! Owns: escaping, and the name that stands for null.
//! Does not own: which values a row has (`partition`).

/// What Hive, Spark and DuckDB read as null; Hive writes it for the empty string too.
pub const DEFAULT_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Bytes that one component of a path may have: the limit of ext4, XFS and HDFS.
pub const MAX_COMPONENT_BYTES: usize = 255;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Whether Hive writes the character as `%XX`. NUL, which Hive leaves out, is escaped as well: no
/// store takes it in a name.
fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        0..=0x1F
            | b'"'
            | b'#'
            | b'%'
            | b'\''
            | b'*'
            | b'/'
            | b':'
            | b'='
            | b'?'
            | b'\\'
            | b'['
            | b']'
            | b'^'
            | b'{'
            | 0x7F
    )
}

/// Spells a value. Everything but the special characters stays as it is, spaces and accents too.
///
/// A value that spells [`DEFAULT_PARTITION`] (in any case) has its first character escaped, so that
/// it is not taken for null.
pub fn escape(value: &str) -> String {
    let mut escaped = Vec::with_capacity(value.len() + 8);
    let looks_null = value.eq_ignore_ascii_case(DEFAULT_PARTITION);
    for (at, &byte) in value.as_bytes().iter().enumerate() {
        if is_special(byte) || (at == 0 && looks_null) {
            escaped.push(b'%');
            escaped.push(HEX[usize::from(byte >> 4)]);
            escaped.push(HEX[usize::from(byte & 15)]);
        } else {
            escaped.push(byte);
        }
    }
    String::from_utf8(escaped).expect("only ASCII characters of valid text were replaced")
}

/// Reads a spelled value back; a `%` without two hexadecimal digits stands for itself, as in Hive.
/// `None` when the bytes are not UTF-8.
pub fn unescape(escaped: &str) -> Option<String> {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = escaped.as_bytes();
    let mut value = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                value.push(u8::try_from(high * 16 + low).ok()?);
                at += 3;
            }
            _ => {
                value.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(value).ok()
}

/// One component of a path, `name=value`. Null and the empty string are spelled alike.
pub fn component(name: &str, value: Option<&str>) -> String {
    match value {
        None | Some("") => format!("{}={DEFAULT_PARTITION}", escape(name)),
        Some(value) => format!("{}={}", escape(name), escape(value)),
    }
}

/// Reads a component back: the name, and the value unless it is null. `None` when the text is not
/// a component.
pub fn parse_component(component: &str) -> Option<(String, Option<String>)> {
    let (name, value) = component.split_once('=')?;
    let value = match value {
        DEFAULT_PARTITION => None,
        value => Some(unescape(value)?),
    };
    Some((unescape(name)?, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::TablePath;

    #[test]
    fn ordinary_names_stay_readable() {
        for value in [
            "Île-de-France",
            "Auvergne-Rhône-Alpes",
            "La Réunion",
            "Saint-Barthélemy & co.",
            "日本 東京",
            " padded ",
            "a,b;c+d@e!f$g(h)i|j<k>l~m`n}o",
        ] {
            // GIVEN a value without special characters WHEN it is escaped THEN it is unchanged.
            assert_eq!(escape(value), value);
        }
    }

    #[test]
    fn special_characters_are_escaped_as_hive_does() {
        let cases = [
            ("Provence-Alpes-Côte d'Azur", "Provence-Alpes-Côte d%27Azur"),
            ("a/b", "a%2Fb"),
            ("..", ".."),
            ("../../etc", "..%2F..%2Fetc"),
            ("k=v", "k%3Dv"),
            ("100%", "100%25"),
            ("%2F", "%252F"),
            ("12:30", "12%3A30"),
            ("what?", "what%3F"),
            ("a\\b", "a%5Cb"),
            ("\"q\"", "%22q%22"),
            ("#1*", "%231%2A"),
            ("[x]{y}^z", "%5Bx%5D%7By}%5Ez"),
            ("tab\tline\nnul\0del\u{7f}", "tab%09line%0Anul%00del%7F"),
            ("__HIVE_DEFAULT_PARTITION__", "%5F_HIVE_DEFAULT_PARTITION__"),
        ];
        for (value, spelled) in cases {
            // GIVEN a nasty value WHEN it is escaped THEN it is Hive's spelling, and reads back.
            assert_eq!(escape(value), spelled);
            assert_eq!(unescape(spelled).as_deref(), Some(value));
        }
    }

    #[test]
    fn null_and_empty_share_a_name_that_no_value_has() {
        // GIVEN null, the empty string, and the text of the name itself.
        // WHEN they are spelled.
        // THEN the first two are null, and the text stays a text.
        assert_eq!(
            component("region", None),
            "region=__HIVE_DEFAULT_PARTITION__"
        );
        assert_eq!(component("region", Some("")), component("region", None));
        let text = component("region", Some(DEFAULT_PARTITION));
        assert_eq!(
            parse_component(&text),
            Some(("region".into(), Some(DEFAULT_PARTITION.into())))
        );
    }

    #[test]
    fn a_stray_percent_sign_stands_for_itself() {
        assert_eq!(unescape("100%").as_deref(), Some("100%"));
        assert_eq!(unescape("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(unescape("%ff"), None, "not UTF-8");
        assert_eq!(parse_component("no-equals-sign"), None);
    }

    proptest! {
        #[test]
        fn every_value_reads_back(name in "[a-z_]{1,12}", value in any::<String>()) {
            // GIVEN any text WHEN it is a component of a path THEN it is legal and reads back.
            let spelled = component(&name, Some(&value));
            let expected = Some(value).filter(|value| !value.is_empty());
            prop_assert_eq!(parse_component(&spelled), Some((name, expected)));
            if spelled.len() <= MAX_COMPONENT_BYTES {
                prop_assert!(TablePath::new(spelled).is_ok());
            }
        }

        #[test]
        fn unescape_takes_any_text(text in any::<String>()) {
            let _ = unescape(&text);
        }
    }
}
