//! Fetch, key 1: records out.
//!
//! [`answer`] finds out what is wanted (the request's partitions, or those of its session), reads on each owning shard, and
//! where that is less than `min_bytes` waits on those shards for more. Records are never copied: the answer is written
//! around the places where they lie.

// What is asked for, reading and waiting, the answer.
mod collect;
mod respond;
mod wanted;

use std::rc::Rc;

use bytes::Bytes;
use ottla_reactor::yield_now;
use ottla_units::ErrorCode;
use ottla_wire::ApiKey;
use ottla_wire::fetch::Fetch;

use self::collect::{Limits, collect};
use self::respond::{encode, respond};
use self::wanted::listed;
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
/// Partitions that a request is worked on at once: between so many others have a turn.
const PARTITIONS_AT_ONCE: usize = 2_000;

/// Answers a fetch.
pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, body: Bytes) -> Result<Answer, Closed> {
    let mut request = context.connection.fetch.take();
    request.decode(&body, context.version).map_err(Closed::Invalid)?;
    let home = Sessions::shard_of(request.session_id, shard.links.shards());
    if request.session_id > 0 && request.session_epoch > 0 && home != shard.id.index() {
        // The session was opened over another connection, which another shard served: it stays there.
        request.session_id = 0;
        let error = whole_error(shard, context, ErrorCode::FetchSessionIdNotFound).await;
        context.connection.fetch.replace(request);
        return error;
    }
    breathe(request.partitions.len()).await;
    let basis = match Basis::find(shard, context, &request, &body) {
        Ok(basis) => basis,
        Err(code) => {
            context.connection.fetch.replace(request);
            return whole_error(shard, context, code).await;
        }
    };
    let limits = Limits::of(shard, &request, basis.wanted());
    context.connection.fetch.replace(request);
    let parts = collect(shard, &limits, basis.wanted(), context.version).await;
    respond(shard, context, basis, parts).await
}

/// Gives others a turn after work on so many partitions, if those are many.
async fn breathe(partitions: usize) {
    if partitions >= PARTITIONS_AT_ONCE {
        yield_now().await;
    }
}

async fn whole_error(shard: &Rc<Shard>, context: &Context<'_>, code: ErrorCode) -> Result<Answer, Closed> {
    shard.metrics.failed(ApiKey::Fetch, code);
    Ok(encode(shard, context, code, 0, &[], Vec::new(), |_, _| false).await)
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

    fn find(shard: &Shard, context: &Context<'_>, request: &Fetch, body: &Bytes) -> Result<Basis, ErrorCode> {
        if context.version < SESSIONS || request.session_epoch == FINAL_EPOCH || request.session_epoch == 0 {
            if request.session_id != 0 {
                shard.sessions.close(request.session_id);
            }
            let wanted = listed(request, body);
            let opens = context.version >= SESSIONS && request.session_epoch == 0;
            return Ok(if opens { Basis::Opening(wanted) } else { Basis::Plain(wanted) });
        }
        let epoch = shard.sessions.epoch(request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        let mut session = shard.sessions.take(request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_id != (context.version >= BY_ID) {
            shard.sessions.put(request.session_id, session, context.received);
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.update(request, body);
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(Basis::Session(request.session_id, session))
    }
}
