//! One blocking connection for control messages: topics, offsets, groups.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::error::{BenchError, During, Result};
use crate::frames::{self, RESPONSE_BYTES_MAX};
use crate::source::{SocketSource, Source};

/// How long a control message may take: longer than what its request asks for.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Turns `host:port` into an address.
///
/// # Errors
/// [`BenchError::Io`] or [`BenchError::Missing`].
pub fn resolve(broker: &str) -> Result<SocketAddr> {
    let mut found = broker.to_socket_addrs().during(|| format!("resolve {broker}"))?;
    found.next().ok_or_else(|| BenchError::Missing { what: format!("an address of {broker}") })
}

/// A connected socket without delay of small segments.
///
/// # Errors
/// [`BenchError::Io`].
pub fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT).during(|| format!("connect to {addr}"))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// One connection, one request at a time.
#[derive(Debug)]
pub struct Connection {
    source: SocketSource,
    correlation: i32,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn open(addr: SocketAddr) -> Result<Connection> {
        let socket = connect(addr)?;
        socket.set_read_timeout(Some(CALL_TIMEOUT))?;
        Ok(Connection { source: SocketSource::new(socket), correlation: 0 })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`BenchError::Codec`], [`BenchError::Malformed`], [`BenchError::Io`], [`BenchError::Closed`].
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let frame = self.encode(version, request)?;
        std::io::Write::write_all(self.source.socket(), &frame)?;
        let mut body = self.read_body()?;
        let codec = |why: &dyn std::fmt::Display| BenchError::Codec { why: format!("answer of key {}: {why}", R::KEY) };
        ResponseHeader::decode(&mut body, R::Response::header_version(version)).map_err(|why| codec(&why))?;
        R::Response::decode(&mut body, version).map_err(|why| codec(&why))
    }

    fn encode<R: Request>(&mut self, version: i16, request: &R) -> Result<BytesMut> {
        self.correlation += 1;
        let codec =
            |why: &dyn std::fmt::Display| BenchError::Codec { why: format!("request of key {}: {why}", R::KEY) };
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("ottla-bench")));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version)).map_err(|why| codec(&why))?;
        request.encode(&mut frame, version).map_err(|why| codec(&why))?;
        let length = (frame.len() - 4) as i32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame)
    }

    /// The next answer, correlation id included.
    fn read_body(&mut self) -> Result<Bytes> {
        let length = self.source.i32()?;
        if !(4..=RESPONSE_BYTES_MAX).contains(&length) {
            return Err(BenchError::Malformed { what: "length of an answer" });
        }
        let mut body = vec![0; length as usize];
        self.source.fill(&mut body)?;
        let got = body.first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
        if got != self.correlation {
            return Err(BenchError::WrongCorrelation { expected: self.correlation, got });
        }
        Ok(body.into())
    }

    /// Sends a ready frame and hands out the answer's bytes, correlation id checked, to be read in full.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn exchange(&mut self, frame: &mut frames::Frame) -> Result<&mut SocketSource> {
        self.correlation += 1;
        let correlation = self.correlation;
        std::io::Write::write_all(self.source.socket(), frame.with_correlation(correlation))?;
        frames::read_prefix(&mut self.source, correlation)?;
        Ok(&mut self.source)
    }
}

/// Whether a broker answers ApiVersions at this address now.
pub fn answers(addr: SocketAddr) -> bool {
    let request = kafka_protocol::messages::ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("ottla-bench"))
        .with_client_software_version(StrBytes::from_static_str("0.1"));
    let answer = Connection::open(addr).and_then(|mut connection| connection.call(3, &request));
    answer.is_ok_and(|answer| answer.error_code == 0 && !answer.api_keys.is_empty())
}

/// Kafka's name of an API key.
pub fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("key {key}"), |key| format!("{key:?}"))
}
