use std::io::{self, Write};

use ottla_batch::Record;

use super::suggest::nearest;

/// How a record is printed: text with places for its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Format(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Vec<u8>),
    Part(Part),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Topic,
    Partition,
    Offset,
    Time,
    Date,
    Key,
    Value,
    Headers,
    KeySize,
    ValueSize,
}

/// The letter after `%` for each part.
const PARTS: [(char, Part); 10] = [
    ('t', Part::Topic),
    ('p', Part::Partition),
    ('o', Part::Offset),
    ('T', Part::Time),
    ('D', Part::Date),
    ('k', Part::Key),
    ('v', Part::Value),
    ('h', Part::Headers),
    ('K', Part::KeySize),
    ('V', Part::ValueSize),
];

impl Format {
    /// Reads a format; says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Format, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut literal = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (character, characters.clone().next()) {
                ('%', Some('%')) => literal.push(b'%'),
                ('%', Some(letter)) => {
                    let (_, part) = PARTS.iter().find(|(known, _)| *known == letter).ok_or_else(|| unknown(letter))?;
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    pieces.push(Piece::Part(*part));
                }
                ('\\', Some(letter)) => literal.push(escape(letter)?),
                ('%' | '\\', None) => return Err(format!("a '{character}' at the end, with nothing behind it")),
                _ => {
                    literal.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            }
            characters.next();
        }
        pieces.push(Piece::Text(literal));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Format(pieces))
    }

    /// Prints a record. Key and value go out byte by byte as they are; null prints as nothing.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        topic: &str,
        partition: i32,
        record: &Record<'_>,
        date: fn(i64) -> String,
    ) -> io::Result<()> {
        let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.write_all(text)?,
                Piece::Part(Part::Topic) => write!(out, "{topic}")?,
                Piece::Part(Part::Partition) => write!(out, "{partition}")?,
                Piece::Part(Part::Offset) => write!(out, "{}", record.offset)?,
                Piece::Part(Part::Time) => write!(out, "{}", record.timestamp)?,
                Piece::Part(Part::Date) => write!(out, "{}", date(record.timestamp.get()))?,
                Piece::Part(Part::Key) => out.write_all(record.key.unwrap_or_default())?,
                Piece::Part(Part::Value) => out.write_all(record.value.unwrap_or_default())?,
                Piece::Part(Part::KeySize) => write!(out, "{}", size(record.key))?,
                Piece::Part(Part::ValueSize) => write!(out, "{}", size(record.value))?,
                Piece::Part(Part::Headers) => write_headers(out, record)?,
            }
        }
        Ok(())
    }
}

/// `name=value,name=value`; a null value prints as `name`.
fn write_headers(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    for (index, (name, value)) in record.headers.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(name)?;
        if let Some(value) = value {
            out.write_all(b"=")?;
            out.write_all(value)?;
        }
    }
    Ok(())
}

fn unknown(letter: char) -> String {
    let allowed: Vec<String> = PARTS.iter().map(|(known, _)| format!("%{known}")).collect();
    let wrong = letter.to_lowercase().to_string();
    let names: Vec<String> = PARTS.iter().map(|(known, _)| known.to_string()).collect();
    let near = nearest(&wrong, names.iter().map(String::as_str)).filter(|near| near.eq_ignore_ascii_case(&wrong));
    let near = near.map_or_else(String::new, |near| format!("; did you mean %{near}?"));
    format!("%{letter} is no part of a record: allowed are {} and %%{near}", allowed.join(" "))
}

fn escape(letter: char) -> Result<u8, String> {
    match letter {
        'n' => Ok(b'\n'),
        't' => Ok(b'\t'),
        'r' => Ok(b'\r'),
        '0' => Ok(0),
        '\\' => Ok(b'\\'),
        _ => Err(format!("\\{letter} is no escape: allowed are \\n \\t \\r \\0 \\\\")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_batch::{Batch, Builder};
    use ottla_units::{Offset, Timestamp};

    fn printed(format: &str, builder: &Builder) -> String {
        let bytes = builder.build();
        let (batch, _) = Batch::parse(&bytes).unwrap();
        let mut records = ottla_batch::records(&batch, 1 << 20).unwrap();
        let record = records.next().unwrap().unwrap();
        let mut out = Vec::new();
        Format::parse(format).unwrap().write(&mut out, "orders", 3, &record, |millis| format!("<{millis}>")).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_part_has_its_letter() {
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"a", Some(b"1")), (b"b", None)];
        let builder = Builder::new().base_offset(Offset::new(7));
        let full = builder.clone().record_with_headers(Timestamp::new(5), Some(b"key"), Some(b"value"), &headers);
        assert_eq!(printed("%t-%p@%o %k=%v\\n", &full), "orders-3@7 key=value\n");
        assert_eq!(printed("%T %D %h %K %V 100%%\\t", &full), "5 <5> a=1,b 3 5 100%\t");
        let empty = builder.record(Timestamp::new(5), None, None);
        assert_eq!(printed("%k|%v|%K|%V|%h", &empty), "||-1|-1|");
    }

    #[test]
    fn a_wrong_format_is_explained() {
        assert!(Format::parse("%x").unwrap_err().contains("allowed are %t"));
        assert!(Format::parse("%P").unwrap_err().contains("did you mean %p?"));
        assert!(Format::parse("50%").is_err());
        assert!(Format::parse("\\q").unwrap_err().contains("\\n"));
    }
}
