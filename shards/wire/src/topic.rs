use bytes::{BufMut, BytesMut};
use ottla_units::TopicId;

use crate::read::{Reader, Span};
use crate::write::{put_no_tags, put_nullable_string, put_string};
use crate::{WireError, write::put_length, write::put_uvarint};

/// A topic as a decoded message names it: by name, or by id in newer versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Topic {
    /// Where its name lies in the body; empty where the version names topics by id.
    pub name: Span,
    /// Its id; zero where the version names topics by name.
    pub id: TopicId,
}

impl Topic {
    /// By `named` it is the name that is read, else the id.
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'_>, flexible: bool, named: bool) -> Result<Topic, WireError> {
        if named {
            Ok(Topic { name: reader.string(flexible)?, id: TopicId::ZERO })
        } else {
            Ok(Topic { name: Span::default(), id: reader.topic_id()? })
        }
    }
}

/// A topic to be written: whichever of the two the version wants is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id.
    pub id: TopicId,
}

impl TopicRef<'_> {
    pub(crate) fn write(&self, out: &mut BytesMut, flexible: bool, named: bool) {
        if named { put_string(out, flexible, self.name) } else { out.put_slice(&self.id.to_bytes()) }
    }
}

/// Where a broker listens; Produce and Fetch answers name the new leader's (KIP-951).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEndpoint {
    /// Its `node.id`.
    pub node_id: i32,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<String>,
}

impl NodeEndpoint {
    /// Writes the tagged fields that end a Produce or Fetch response: tag 0 with the endpoints, if there are any.
    pub(crate) fn write_tags(out: &mut BytesMut, endpoints: &[NodeEndpoint]) {
        if endpoints.is_empty() {
            return out.put_u8(0);
        }
        let mut content = BytesMut::new();
        put_length(&mut content, true, endpoints.len());
        for endpoint in endpoints {
            content.put_i32(endpoint.node_id);
            put_string(&mut content, true, &endpoint.host);
            content.put_i32(endpoint.port);
            put_nullable_string(&mut content, true, endpoint.rack.as_deref());
            put_no_tags(&mut content, true);
        }
        put_uvarint(out, 1);
        put_uvarint(out, 0);
        put_uvarint(out, content.len() as u32);
        out.put_slice(&content);
    }

    /// Reads the content of that tag; spans in `reader` are of `body`.
    pub(crate) fn read_all(reader: &mut Reader<'_>, body: &[u8]) -> Result<Vec<NodeEndpoint>, WireError> {
        let count = reader.count(true, 4 + 1 + 4 + 1 + 1)?;
        let mut endpoints = Vec::with_capacity(count);
        for _ in 0..count {
            endpoints.push(NodeEndpoint {
                node_id: reader.i32()?,
                host: reader.string(true)?.text(body).to_owned(),
                port: reader.i32()?,
                rack: reader.nullable_string(true)?.map(|span| span.text(body).to_owned()),
            });
            reader.skip_tags(true)?;
        }
        Ok(endpoints)
    }
}
