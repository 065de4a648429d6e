//! The answer around the records, and what the session keeps of it.

use std::ops::Range;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use ottla_reactor::monotonic;
use ottla_reactor::socket::Piece;
use ottla_units::{ErrorCode, PartitionIndex};
use ottla_wire::fetch::{self as wire, Gap, PartitionAnswer, ResponseWriter};
use ottla_wire::{ApiKey, TopicRef, frame};

use super::collect::Part;
use super::wanted::bytes_of;
use super::{BY_ID, Basis, PARTITIONS_AT_ONCE, breathe, end, let_go};
use crate::connection::Answer;
use crate::dispatch::Context;
use crate::sessions::{Session, Told, Wanted};
use crate::shard::Shard;

/// Answers that the whole request failed.
pub(super) async fn refuse(shard: &Rc<Shard>, context: &Context<'_>, code: ErrorCode) -> Answer {
    shard.metrics.failed(ApiKey::Fetch, code);
    encode(shard, context, code, 0, &[], Vec::new(), |_| false).await
}

/// Writes the answer and puts the session back.
pub(super) async fn respond(shard: &Rc<Shard>, context: &Context<'_>, basis: Basis, parts: Vec<Part>) -> Answer {
    match basis {
        Basis::Plain(wanted) => {
            let answer = encode(shard, context, ErrorCode::None, 0, &wanted, parts, |_| true).await;
            let_go(wanted).await;
            answer
        }
        Basis::Opening(wanted) => open(shard, context, wanted, parts).await,
        Basis::Session(id, mut session) => {
            let news = tell(&mut session.wanted, &parts).await;
            let served = served(&parts).await;
            let answer = encode(shard, context, ErrorCode::None, id, &session.wanted, parts, |place| news[place]).await;
            session.rotate(&served).await;
            end(shard.sessions.put(id, session, monotonic())).await;
            answer
        }
    }
}

async fn open(shard: &Rc<Shard>, context: &Context<'_>, mut wanted: Vec<Wanted>, parts: Vec<Part>) -> Answer {
    tell(&mut wanted, &parts).await;
    let bytes = bytes_of(&wanted).await;
    let max = shard.settings().network.fetch_sessions_max as usize;
    let shards = shard.links.shards();
    let each = max.div_ceil(shards);
    let id = if wanted.is_empty() {
        0
    } else {
        end(shard.sessions.evict(bytes, context.received, each)).await;
        shard.sessions.admit(bytes, each, shards)
    };
    let answer = encode(shard, context, ErrorCode::None, id, &wanted, parts, |_| true).await;
    let session = Session::new(context.version >= BY_ID, wanted, bytes, context.received);
    let left = if id == 0 { Some(session) } else { shard.sessions.put(id, session, context.received) };
    end(left).await;
    answer
}

/// Notes what the client is told now, and says which of it is news.
async fn tell(wanted: &mut [Wanted], parts: &[Part]) -> Vec<bool> {
    let mut news = Vec::with_capacity(wanted.len());
    for (wanted, parts) in wanted.chunks_mut(PARTITIONS_AT_ONCE).zip(parts.chunks(PARTITIONS_AT_ONCE)) {
        for (wanted, part) in wanted.iter_mut().zip(parts) {
            let told =
                Told { high_watermark: part.high_watermark, last_stable: part.last_stable, log_start: part.log_start };
            news.push(part.bytes > 0 || part.code != 0 || part.diverging.is_some() || wanted.told != Some(told));
            wanted.told = (part.code == 0).then_some(told);
        }
        breathe(parts.len()).await;
    }
    news
}

/// Which partitions get records.
async fn served(parts: &[Part]) -> Vec<bool> {
    let mut served = Vec::with_capacity(parts.len());
    for some in parts.chunks(PARTITIONS_AT_ONCE) {
        served.extend(some.iter().map(|part| part.bytes > 0));
        breathe(some.len()).await;
    }
    served
}

impl Session {
    /// Partitions that got something go to the end, so that all get their turn.
    async fn rotate(&mut self, served: &[bool]) {
        if served.iter().all(|served| *served) || !served.iter().any(|served| *served) {
            return;
        }
        let mut before = std::mem::take(&mut self.wanted).into_iter();
        let (mut first, mut last) = (Vec::with_capacity(served.len()), Vec::new());
        for some in served.chunks(PARTITIONS_AT_ONCE) {
            // In this order: a zip asks its first half once more than it gives.
            for (served, wanted) in some.iter().zip(before.by_ref()) {
                if *served { last.push(wanted) } else { first.push(wanted) }
            }
            breathe(some.len()).await;
        }
        first.append(&mut last);
        self.wanted = first;
    }
}

/// Writes a frame around the records of the partitions that `told` picks.
async fn encode(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    code: ErrorCode,
    session: i32,
    wanted: &[Wanted],
    mut parts: Vec<Part>,
    told: impl Fn(usize) -> bool,
) -> Answer {
    let places = pick(wanted.len(), told).await;
    let topics = topics(wanted, &places).await;
    let mut out = BytesMut::with_capacity(64 + places.len() * 64);
    let mut gaps = Vec::with_capacity(places.len());
    let open = frame::begin_response(&mut out, ApiKey::Fetch, context.version, context.correlation_id);
    let mut writer = ResponseWriter::begin(&mut out, context.version, &mut gaps, 0, code.code(), session, topics.len());
    for group in topics.into_iter().map(|range| &places[range]) {
        let topic = &wanted[group[0]];
        writer.topic(TopicRef { name: &topic.name, id: topic.id }, group.len());
        for some in group.chunks(PARTITIONS_AT_ONCE) {
            for place in some {
                write_part(&mut writer, wanted[*place].asked.index, &parts[*place]);
            }
            breathe(some.len()).await;
        }
    }
    let records = writer.finish(&[]);
    open.close(&mut out, records);
    let pieces = with_records(out.freeze(), &gaps, &places, &mut parts).await;
    let_go(parts).await;
    shard.metrics.answered(ApiKey::Fetch, context.version, context.received.elapsed());
    Answer::Ready(pieces)
}

async fn pick(count: usize, told: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut places = Vec::with_capacity(count);
    for first in (0..count).step_by(PARTITIONS_AT_ONCE) {
        let some = first..count.min(first + PARTITIONS_AT_ONCE);
        breathe(some.len()).await;
        places.extend(some.filter(|place| told(*place)));
    }
    places
}

/// Ranges of `places` that are of one topic.
async fn topics(wanted: &[Wanted], places: &[usize]) -> Vec<Range<usize>> {
    let mut topics: Vec<Range<usize>> = Vec::new();
    for (turn, some) in places.chunks(PARTITIONS_AT_ONCE).enumerate() {
        for (at, place) in (turn * PARTITIONS_AT_ONCE..).zip(some) {
            match topics.last_mut() {
                Some(topic) if wanted[places[topic.start]].is_beside(&wanted[*place]) => topic.end = at + 1,
                _ => topics.push(at..at + 1),
            }
        }
        breathe(some.len()).await;
    }
    topics
}

/// The written bytes and the records in the order of sending.
async fn with_records(head: Bytes, gaps: &[Gap], places: &[usize], parts: &mut [Part]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(gaps.len() * 2 + 1);
    let mut written = 0;
    for some in gaps.chunks(PARTITIONS_AT_ONCE) {
        for piece in wire::pieces(written..some[some.len() - 1].at, some) {
            match piece {
                wire::Piece::Head(range) if range.is_empty() => {}
                wire::Piece::Head(range) => pieces.push(Piece::Bytes(head.slice(range))),
                wire::Piece::Records(gap) => {
                    let part = &mut parts[places[gap.partition]];
                    pieces.extend(part.records.drain(..).map(Piece::Slice));
                }
            }
        }
        written = some[some.len() - 1].at;
        breathe(some.len()).await;
    }
    if written < head.len() {
        pieces.push(Piece::Bytes(head.slice(written..)));
    }
    pieces
}

fn write_part(writer: &mut ResponseWriter<'_>, index: PartitionIndex, part: &Part) {
    writer.partition(&PartitionAnswer {
        index,
        code: part.code,
        high_watermark: part.high_watermark,
        last_stable_offset: part.last_stable,
        log_start_offset: part.log_start,
        diverging_epoch: part.diverging,
        current_leader: None,
        aborted_transactions: part.aborted.as_deref(),
        preferred_read_replica: -1,
        records_bytes: part.bytes,
    });
}

#[cfg(test)]
mod tests;
