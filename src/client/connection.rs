use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};
use ottla_units::ErrorCode;
use ottla_wire::ApiKey;

use super::ClientError;

/// Bytes of one answer at most; a broker's largest is bounded by what we ask Fetch for.
const RESPONSE_BYTES_MAX: usize = 128 << 20;
/// Bytes read from the socket at a time: memory follows what really arrives, not what the length claims.
const READ_BYTES: usize = 1 << 20;

/// A connection to one broker, its versions negotiated.
#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: TcpStream,
    timeout: Duration,
    correlation: i32,
    versions: HashMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects to `HOST:PORT` and asks what the broker speaks. Each answer may take `timeout`.
    pub fn open(address: &str, timeout: Duration) -> Result<Connection, ClientError> {
        let stream = dial(address, timeout)?;
        let mut connection =
            Connection { address: address.into(), stream, timeout, correlation: 0, versions: HashMap::new() };
        connection.negotiate()?;
        Ok(connection)
    }

    /// Where it leads.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the broker offers an API at all.
    pub fn offers(&self, api: ApiKey) -> bool {
        self.versions.contains_key(&api.code())
    }

    /// Asks, and waits for the answer. `build` makes the request for the version that both sides speak best, `version_max` at most.
    pub fn call<R: Request>(
        &mut self,
        version_max: i16,
        build: impl FnOnce(i16) -> R,
    ) -> Result<(i16, R::Response), ClientError> {
        let (api, version) = self.choose::<R>(version_max)?;
        let id = self.send(api, version, &build(version))?;
        let answer = self.receive(api, id, self.timeout)?;
        Ok((version, self.decode::<R::Response>(api, version, answer)?))
    }

    /// Sends a request that is never answered: Produce with `acks=0`.
    pub fn tell<R: Request>(&mut self, version_max: i16, build: impl FnOnce(i16) -> R) -> Result<(), ClientError> {
        let (api, version) = self.choose::<R>(version_max)?;
        self.send(api, version, &build(version)).map(drop)
    }

    /// The newest version that both sides speak.
    fn choose<R: Request>(&self, version_max: i16) -> Result<(ApiKey, i16), ClientError> {
        let api = known(R::KEY, &self.address)?;
        let ours = (R::VERSIONS.min, R::VERSIONS.max.min(version_max));
        let broker = self.versions.get(&R::KEY).copied();
        match broker {
            Some((low, high)) if high.min(ours.1) >= low.max(ours.0) => Ok((api, high.min(ours.1))),
            _ => Err(ClientError::NoCommonVersion { address: self.address.clone(), api, broker, ours }),
        }
    }

    /// ApiVersions, newest first; a broker that does not know it answers in version 0 and says so (KIP-511).
    fn negotiate(&mut self) -> Result<(), ClientError> {
        for version in [ApiVersionsRequest::VERSIONS.max, 0] {
            let mut request = ApiVersionsRequest::default();
            if version >= 3 {
                request.client_software_name = StrBytes::from_static_str("ottla-cli");
                request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
            }
            let id = self.send(ApiKey::ApiVersions, version, &request)?;
            let answer = self.receive(ApiKey::ApiVersions, id, self.timeout)?;
            let code = answer.get(4..6).map_or(0, |code| i16::from_be_bytes([code[0], code[1]]));
            if version > 0 && code == ErrorCode::UnsupportedVersion.code() {
                continue;
            }
            let answer: ApiVersionsResponse = self.decode(ApiKey::ApiVersions, version, answer)?;
            if answer.error_code != 0 {
                return Err(ClientError::refused(ApiKey::ApiVersions, "versions", answer.error_code, None));
            }
            self.versions =
                answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
            break;
        }
        Ok(())
    }

    fn send<R: Request>(&mut self, api: ApiKey, version: i16, request: &R) -> Result<i32, ClientError> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(api.code())
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("ottla-cli")));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|error| self.malformed(api, format!("a request that cannot be written: {error}")))?;
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).map_err(|source| self.io(api, source))?;
        Ok(self.correlation)
    }

    /// One answer's bytes, correlation id first.
    fn receive(&mut self, api: ApiKey, id: i32, timeout: Duration) -> Result<Bytes, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut length = [0; 4];
        self.fill(api, &mut length, deadline)?;
        let length = i32::from_be_bytes(length);
        let wanted = usize::try_from(length).ok().filter(|length| (4..=RESPONSE_BYTES_MAX).contains(length));
        let wanted =
            wanted.ok_or_else(|| self.malformed(api, format!("a frame of {length} bytes: not a Kafka broker?")))?;
        let mut body = BytesMut::new();
        while body.len() < wanted {
            let have = body.len();
            body.resize(wanted.min(have + READ_BYTES), 0);
            let mut part = body.split_off(have);
            self.fill(api, &mut part, deadline)?;
            body.unsplit(part);
        }
        let body = body.freeze();
        let answered = body.chunk().get_i32();
        if answered != id {
            return Err(self.malformed(api, format!("correlation id {answered} where {id} was due")));
        }
        Ok(body)
    }

    fn fill(&mut self, api: ApiKey, buffer: &mut [u8], deadline: Instant) -> Result<(), ClientError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).map_err(|source| self.io(api, source))?;
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err(self.io(api, io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io(api, source)),
            }
        }
        Ok(())
    }

    /// The response header, then the body.
    fn decode<T: Decodable + HeaderVersion>(
        &self,
        api: ApiKey,
        version: i16,
        mut answer: Bytes,
    ) -> Result<T, ClientError> {
        let header = ResponseHeader::decode(&mut answer, T::header_version(version));
        let decoded = header.and_then(|_| T::decode(&mut answer, version));
        decoded.map_err(|error| self.malformed(api, format!("something unreadable: {error}")))
    }

    fn malformed(&self, api: ApiKey, what: String) -> ClientError {
        ClientError::Malformed { address: self.address.clone(), api, what }
    }

    fn io(&self, api: ApiKey, source: io::Error) -> ClientError {
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::TimedOut { address: self.address.clone(), api, after: self.timeout }
            }
            _ => ClientError::Io { address: self.address.clone(), source },
        }
    }
}

fn known(key: i16, address: &str) -> Result<ApiKey, ClientError> {
    ApiKey::from_code(key).ok_or_else(|| ClientError::Malformed {
        address: address.into(),
        api: ApiKey::ApiVersions,
        what: format!("API key {key}, which is not in our table"),
    })
}

/// Tries every address that the name has.
fn dial(address: &str, timeout: Duration) -> Result<TcpStream, ClientError> {
    if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err(ClientError::BadAddress { address: address.into() });
    }
    let failed = |source| ClientError::Connect { address: address.into(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for socket in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&socket, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                stream.set_write_timeout(Some(timeout)).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}
