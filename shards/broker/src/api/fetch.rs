//! Fetch, key 1: records out.
//!
//! [`answer`] finds out what is wanted (the request's partitions, or those of its session), reads on each owning shard, and
//! where that is less than `min_bytes` waits on those shards for more. Records are never copied: the answer is written
//! around the places where they lie.
//!
//! A fetch may be for very many partitions. Every step that looks at all of them goes in parts, see [`breathe`].

// What is asked for, reading and waiting, the answer.
mod collect;
mod respond;
mod wanted;

use std::rc::Rc;

use bytes::Bytes;
use ottla_reactor::stand_back;
use ottla_units::ErrorCode;
use ottla_wire::fetch::Fetch;

use self::collect::{Limits, collect};
use self::respond::{refuse, respond};
use self::wanted::{bytes_of, forget, merge};
use crate::connection::{Answer, Closed};
use crate::dispatch::Context;
use crate::sessions::{Session, Sessions, Wanted};
use crate::shard::Shard;

/// The first version in which topics are named by id (KIP-516).
const BY_ID: i16 = 13;
/// The first version with sessions (KIP-227).
const SESSIONS: i16 = 7;
/// The epoch of a fetch without a session, and of the last fetch of one.
const FINAL_EPOCH: i32 = -1;
/// Partitions that a request is worked on at once: between so many others have a turn. Some 20 µs; where each meets a page of
/// memory for the first time, as in a new map, ten times that.
const PARTITIONS_AT_ONCE: usize = 100;
/// A connection keeps the memory of a decoded request for so many topics and partitions at most.
const PARTITIONS_KEPT_MAX: usize = 10_000;

/// Answers a fetch.
pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, body: Bytes) -> Result<Answer, Closed> {
    let mut request = context.connection.fetch.take();
    let answer = answer_request(shard, context, &body, &mut request).await;
    if request.capacity() <= PARTITIONS_KEPT_MAX {
        context.connection.fetch.replace(request);
    }
    answer
}

async fn answer_request(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    body: &Bytes,
    request: &mut Fetch,
) -> Result<Answer, Closed> {
    decode(request, body, context.version).await?;
    let home = Sessions::shard_of(request.session_id, shard.links.shards());
    if request.session_id > 0 && request.session_epoch > 0 && home != shard.id.index() {
        // The session was opened over another connection, which another shard served: it stays there.
        request.session_id = 0;
        return Ok(refuse(shard, context, ErrorCode::FetchSessionIdNotFound).await);
    }
    let basis = match Basis::find(shard, context, request, body).await {
        Ok(basis) => basis,
        Err(code) => return Ok(refuse(shard, context, code).await),
    };
    let limits = Limits::of(shard, request, basis.wanted());
    let parts = collect(shard, &limits, basis.wanted(), context.version).await;
    Ok(respond(shard, context, basis, parts).await)
}

async fn decode(request: &mut Fetch, body: &Bytes, version: i16) -> Result<(), Closed> {
    let mut decoding = request.decoding(body, version).map_err(Closed::Invalid)?;
    while !decoding.advance(PARTITIONS_AT_ONCE).map_err(Closed::Invalid)? {
        stand_back().await;
    }
    Ok(())
}

/// Gives others a turn after work on so many partitions, if those are many.
async fn breathe(partitions: usize) {
    if partitions >= PARTITIONS_AT_ONCE {
        stand_back().await;
    }
}

/// Drops what may be very many things.
async fn let_go<T>(many: impl IntoIterator<Item = T>) {
    let mut many = many.into_iter();
    loop {
        let gone = many.by_ref().take(PARTITIONS_AT_ONCE).count();
        if gone < PARTITIONS_AT_ONCE {
            break;
        }
        breathe(gone).await;
    }
}

/// A session is over.
async fn end(session: Option<Session>) {
    if let Some(session) = session {
        let_go(session.wanted).await;
    }
}

/// What is fetched, and what of it is told.
enum Basis {
    /// The request's own partitions, all told.
    Plain(Vec<Wanted>),
    /// As `Plain`, and a session is opened with them.
    Opening(Vec<Wanted>),
    /// An open session: only news are told.
    Session(i32, Session),
}

impl Basis {
    fn wanted(&self) -> &[Wanted] {
        match self {
            Basis::Plain(wanted) | Basis::Opening(wanted) => wanted,
            Basis::Session(_, session) => &session.wanted,
        }
    }

    async fn find(shard: &Shard, context: &Context<'_>, request: &Fetch, body: &Bytes) -> Result<Basis, ErrorCode> {
        if context.version < SESSIONS || request.session_epoch == FINAL_EPOCH || request.session_epoch == 0 {
            if request.session_id != 0 {
                end(shard.sessions.take(request.session_id)).await;
            }
            let mut wanted = Vec::with_capacity(request.partitions.len());
            merge(&mut wanted, request, body).await;
            let opens = context.version >= SESSIONS && request.session_epoch == 0;
            return Ok(if opens { Basis::Opening(wanted) } else { Basis::Plain(wanted) });
        }
        let epoch = shard.sessions.epoch(request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        let mut session = shard.sessions.take(request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_id != (context.version >= BY_ID) {
            end(shard.sessions.put(request.session_id, session, context.received)).await;
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if !request.partitions.is_empty() || !request.forgotten.is_empty() {
            forget(&mut session.wanted, request, body).await;
            merge(&mut session.wanted, request, body).await;
            session.bytes = bytes_of(&session.wanted).await;
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(Basis::Session(request.session_id, session))
    }
}
