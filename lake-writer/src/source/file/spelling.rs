//! How text is spelled in JSON.

use crate::table::Kind;

/// A JSON string. Bytes that are not UTF-8 are left as they are: the decoder refuses them by name.
pub(super) fn push_string(document: &mut Vec<u8>, text: &[u8]) {
    document.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => document.extend([b'\\', byte]),
            0..0x20 => document.extend(format!("\\u{byte:04x}").bytes()),
            _ => document.push(byte),
        }
    }
    document.push(b'"');
}

/// Bytes as the string whose code points they are, which is how JSON messages hold them.
pub(super) fn push_bytes(document: &mut Vec<u8>, bytes: &[u8]) {
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    push_string(document, text.as_bytes());
}

/// A member's name and colon, after a comma if it is not the first.
pub(super) fn push_name(document: &mut Vec<u8>, name: &str) {
    if document.last() != Some(&b'{') {
        document.push(b',');
    }
    push_string(document, name.as_bytes());
    document.push(b':');
}

/// A value of a text file as its field takes it: what looks like a number is one where the field
/// may have one, everything else is a string for the decoder to judge.
pub(super) fn push_value(document: &mut Vec<u8>, kind: &Kind, text: &[u8]) {
    let is_plain = match kind {
        Kind::Boolean => matches!(text, b"true" | b"false"),
        Kind::Int | Kind::Long | Kind::Float | Kind::Double => looks_like_number(text),
        Kind::Record(_) | Kind::Map(_) => text.first() == Some(&b'{'),
        Kind::Array(_) => text.first() == Some(&b'['),
        // Dates and times may be written as units since their beginning.
        Kind::Date
        | Kind::TimeMillis
        | Kind::TimeMicros
        | Kind::TimestampMillis
        | Kind::TimestampMicros
        | Kind::LocalTimestampMillis
        | Kind::LocalTimestampMicros => looks_like_number(text),
        _ => false,
    };
    if is_plain {
        document.extend_from_slice(text);
    } else if let (Kind::TimestampMillis | Kind::TimestampMicros, Some(moment)) =
        (kind, moment(text))
    {
        push_string(document, &moment);
    } else {
        push_string(document, text);
    }
}

/// A moment as databases export it, `2026-01-31 12:00:00+01`, in the words of RFC 3339.
fn moment(text: &[u8]) -> Option<Vec<u8>> {
    let mut moment = text.to_vec();
    if moment.get(10) == Some(&b' ') {
        moment[10] = b'T';
    }
    let is_hour = |tail: &[u8]| matches!(tail, [b'+' | b'-', hour @ ..] if hour.iter().all(u8::is_ascii_digit));
    if moment.len() > 19 && is_hour(&moment[moment.len() - 3..]) {
        moment.extend(b":00");
    }
    (moment != text).then_some(moment)
}

fn looks_like_number(text: &[u8]) -> bool {
    let begins = text
        .first()
        .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    begins
        && text
            .iter()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
}
