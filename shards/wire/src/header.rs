//! What stands before every request's body.
use crate::{ApiKey, Reader, WireError};

/// A request's header, borrowed from its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader<'a> {
    /// Which API.
    pub api: ApiKey,
    /// Which version of it.
    pub version: i16,
    /// What the answer must repeat.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<&'a str>,
    /// Where the body starts in the frame, in bytes.
    pub body_at: usize,
}

impl<'a> RequestHeader<'a> {
    /// Parses the header of the request in `frame` (without its length field).
    ///
    /// An API or version that is not served is an error, and the connection is to be closed, but for ApiVersions: a version
    /// unknown there is parsed like the newest one, and the caller answers it with `UNSUPPORTED_VERSION` (KIP-511). So its
    /// version must be asked about with [`ApiKey::accepts`].
    pub fn parse(frame: &'a [u8]) -> Result<RequestHeader<'a>, WireError> {
        let mut reader = Reader::new(frame);
        let code = reader.i16()?;
        let version = reader.i16()?;
        let api = ApiKey::from_code(code).filter(|api| api.api().served).ok_or(WireError::UnknownApi(code))?;
        if !api.accepts(version) && api != ApiKey::ApiVersions {
            return Err(WireError::UnsupportedVersion { api, version });
        }
        RequestHeader::parse_rest(frame, reader, api, version)
    }

    fn parse_rest(
        frame: &'a [u8],
        mut reader: Reader<'a>,
        api: ApiKey,
        version: i16,
    ) -> Result<RequestHeader<'a>, WireError> {
        let correlation_id = reader.i32()?;
        let client_id = reader.nullable_string(false)?.map(|span| span.text(frame));
        reader.skip_tags(api.request_header_version(version) >= 2)?;
        Ok(RequestHeader { api, version, correlation_id, client_id, body_at: reader.position() })
    }

    /// The body behind the header in `frame`, the frame it was parsed from.
    pub fn body(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.body_at..).unwrap_or_default()
    }
}

/// Parses the header of a response in `frame` (without its length field): the correlation id, and where the body starts.
pub fn parse_response(frame: &[u8], api: ApiKey, version: i16) -> Result<(i32, usize), WireError> {
    let mut reader = Reader::new(frame);
    let correlation_id = reader.i32()?;
    reader.skip_tags(api.response_header_version(version) >= 1)?;
    Ok((correlation_id, reader.position()))
}

#[cfg(test)]
mod tests;
