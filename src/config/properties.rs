//! The format of `java.util.Properties`, which Kafka's `server.properties` is in.

/// The longest file that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A key with its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// The key.
    pub key: String,
    /// The value; empty when there is none.
    pub value: String,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// What is not in the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MalformedProperties {
    /// Bytes that are not UTF-8.
    NotText {
        /// From 1.
        line: usize,
    },
    /// `\u` without four hexadecimal digits, or half of a surrogate pair.
    BadUnicodeEscape {
        /// From 1.
        line: usize,
    },
}

impl std::fmt::Display for MalformedProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MalformedProperties::NotText { line } => write!(f, "line {line}: not UTF-8"),
            MalformedProperties::BadUnicodeEscape { line } => {
                write!(f, "line {line}: \\u must be followed by four hexadecimal digits of a character")
            }
        }
    }
}

impl std::error::Error for MalformedProperties {}

/// Reads a file's bytes: `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a backslash at the end
/// goes on with the next line; `\t`, `\n`, `\r`, `\f` and `\uXXXX` stand for characters, and any other character after a
/// backslash for itself. Unlike Java's, the bytes are UTF-8.
///
/// # Errors
/// Bytes that are not text, and broken `\u` escapes.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, MalformedProperties> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        MalformedProperties::NotText { line: 1 + before.iter().filter(|byte| **byte == b'\n').count() }
    })?;
    let mut properties = Vec::new();
    let mut lines = natural_lines(text.strip_prefix('\u{feff}').unwrap_or(text)).enumerate();
    while let Some((at, line)) = lines.next() {
        let mut logical = line.trim_start_matches(is_blank).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        properties.push(property(&logical, at + 1)?);
    }
    Ok(properties)
}

/// Lines end with `\n`, `\r\n` or `\r`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

/// Whether a line ends in a backslash that no other backslash escapes.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn property(logical: &str, line: usize) -> Result<Property, MalformedProperties> {
    let mut escaped = false;
    let ends = |character: char| {
        let end = !escaped && (is_blank(character) || matches!(character, '=' | ':'));
        escaped = character == '\\' && !escaped;
        end
    };
    let (key, rest) = logical.split_at(logical.find(ends).unwrap_or(logical.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank);
    Ok(Property { key: unescape(key, line)?, value: unescape(value, line)?, line })
}

fn unescape(text: &str, line: usize) -> Result<String, MalformedProperties> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut characters = rest.chars();
        let Some(character) = characters.next() else { break };
        match character {
            't' => out.push('\t'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            'f' => out.push('\u{c}'),
            'u' => {
                let (character, after) = unicode(rest).ok_or(MalformedProperties::BadUnicodeEscape { line })?;
                out.push(character);
                rest = after;
                continue;
            }
            other => out.push(other),
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    Ok(out)
}

/// One character from `uXXXX`, or from `uXXXX\uXXXX` where that is a surrogate pair, and what follows it.
fn unicode(rest: &str) -> Option<(char, &str)> {
    let (first, after) = unit(rest)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, after));
    }
    let (second, after) = unit(after.strip_prefix('\\')?)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some((character, after))
}

fn unit(rest: &str) -> Option<(u16, &str)> {
    let digits = rest.strip_prefix('u')?.get(..4)?;
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let unit = if all_hex { u16::from_str_radix(digits, 16).ok()? } else { return None };
    Some((unit, &rest[5..]))
}
