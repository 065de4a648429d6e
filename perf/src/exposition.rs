//! What a metrics endpoint says: Prometheus' text form.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::PerfError;

const PATIENCE: Duration = Duration::from_secs(10);
/// A larger answer is none of a broker's.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// One line: a metric, its labels, its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The metric.
    pub name: String,
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Asks `http://address/metrics`.
///
/// # Errors
/// When nobody answers, or not as a metrics endpoint does.
pub fn get(address: &str) -> Result<String, PerfError> {
    let failed = |why: String| PerfError::Metrics { address: address.to_owned(), why };
    let place = address.to_socket_addrs().map_err(|error| failed(error.to_string()))?.next();
    let place = place.ok_or_else(|| failed("no such address".to_owned()))?;
    let ask = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect_timeout(&place, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        // 1.0: the answer ends with the connection and is in one piece, as the request is.
        socket.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(|error| failed(error.to_string()))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| failed("no HTTP answer".to_owned()))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(failed(status.to_owned())) }
}

/// The samples of a text; lines that are none are left out.
pub fn parse(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.trim().rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: Vec::new(), value });
    };
    Some(Sample { name: name.to_owned(), labels: read_labels(labels.strip_suffix('}')?)?, value })
}

/// `a="x",b="y"`, where a backslash takes the next character as it is.
fn read_labels(text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start_matches(',');
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (end, '"') => break end,
                (_, character) => value.push(character),
            }
        };
        labels.push((name.to_owned(), value));
        rest = after.get(end + 1..)?.trim_start_matches(',');
    }
    Some(labels)
}

#[cfg(test)]
mod tests;
