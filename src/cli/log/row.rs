use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

/// One thing that was found in a file: what it is, and its fields in order.
pub(super) struct Row {
    kind: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Row {
    pub(super) fn new(kind: &'static str) -> Row {
        Row { kind, fields: Vec::new() }
    }

    /// Adds a field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Row {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a field if there is one.
    pub(super) fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Row {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn text(&self) -> String {
        let mut text = self.kind.to_owned();
        for (name, value) in &self.fields {
            // Writing to a string cannot fail.
            let _ = match value {
                Value::String(plain) if !plain.is_empty() && !plain.contains([' ', '"', '=']) => {
                    write!(text, " {name}={plain}")
                }
                value => write!(text, " {name}={value}"),
            };
        }
        text
    }

    fn json(self) -> Value {
        let kind = ("kind".to_owned(), Value::from(self.kind));
        let fields = self.fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Object(std::iter::once(kind).chain(fields).collect::<Map<_, _>>())
    }
}

/// Where rows go.
pub(super) struct Rows<W> {
    out: W,
    json: bool,
    left: u64,
    damaged: u64,
}

/// Whether more rows are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum More {
    Wanted,
    Enough,
}

impl<W: Write> Rows<W> {
    pub(super) fn new(out: W, json: bool, max: Option<u64>) -> Rows<W> {
        Rows { out, json, left: max.unwrap_or(u64::MAX), damaged: 0 }
    }

    /// Prints a row, unless there were enough.
    pub(super) fn put(&mut self, row: Row) -> io::Result<More> {
        if self.left == 0 {
            return Ok(More::Enough);
        }
        self.left -= 1;
        if self.json {
            writeln!(self.out, "{}", row.json())?
        } else {
            writeln!(self.out, "{}", row.text())?
        }
        Ok(if self.left == 0 { More::Enough } else { More::Wanted })
    }

    /// Prints a row about damage; it is counted whether it is printed or not.
    pub(super) fn damage(&mut self, path: &Path, position: u64, what: &str) -> io::Result<More> {
        self.damaged += 1;
        let row = Row::new("damage").with("file", path.display().to_string()).with("position", position);
        self.put(row.with("what", what))
    }

    /// How many places were damaged.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.damaged)
    }
}
