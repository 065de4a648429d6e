//! DescribeLogDirs 5: each directory says whether it is cordoned (KIP-1066), which ours never are.
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::describe_log_dirs_response::DescribeLogDirsResult;
use super::{Codec, DescribeLogDirsResponse};
use crate::write::{put_length, put_no_tags};
use crate::{ApiKey, Reader, WireError};

pub(super) fn response(version: i16) -> Option<Codec<DescribeLogDirsResponse>> {
    (version == 5).then_some(Codec { read, write })
}

const UNDECODABLE: WireError = WireError::Undecodable(ApiKey::DescribeLogDirs);
const UNENCODABLE: WireError = WireError::Unencodable(ApiKey::DescribeLogDirs);

/// A directory as version 4 has it ends with its tagged fields, of which we never write any; the new field stands
/// before them.
fn write(response: &DescribeLogDirsResponse, out: &mut BytesMut) -> Result<(), WireError> {
    out.put_i32(response.throttle_time_ms);
    out.put_i16(response.error_code);
    put_length(out, true, response.results.len());
    for directory in &response.results {
        directory.encode(out, 4).map_err(|_| UNENCODABLE)?;
        out.truncate(out.len() - 1);
        out.put_u8(0);
        put_no_tags(out, true);
    }
    put_no_tags(out, true);
    Ok(())
}

/// Version 4's reader takes the new field, 0, for the count of tagged fields; the count itself follows.
fn read(body: &mut Bytes) -> Result<DescribeLogDirsResponse, WireError> {
    let mut head = Reader::new(body);
    let mut response = DescribeLogDirsResponse::default();
    response.throttle_time_ms = head.i32()?;
    response.error_code = head.i16()?;
    let count = head.count(true, 20)?;
    body.advance(head.position());
    for _ in 0..count {
        response.results.push(DescribeLogDirsResult::decode(body, 4).map_err(|_| UNDECODABLE)?);
        skip_tags(body)?;
    }
    skip_tags(body)?;
    Ok(response)
}

fn skip_tags(body: &mut Bytes) -> Result<(), WireError> {
    let mut reader = Reader::new(body);
    reader.skip_tags(true)?;
    let read = reader.position();
    body.advance(read);
    Ok(())
}
