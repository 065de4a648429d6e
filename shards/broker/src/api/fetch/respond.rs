//! The answer around the records, and what the session keeps of it.

use std::rc::Rc;

use bytes::BytesMut;
use ottla_reactor::monotonic;
use ottla_reactor::socket::Piece;
use ottla_units::{ErrorCode, PartitionIndex};
use ottla_wire::fetch::{self as wire, PartitionAnswer, ResponseWriter};
use ottla_wire::{ApiKey, TopicRef, frame};

use super::collect::Part;
use super::{BY_ID, Basis, PARTITIONS_AT_ONCE, breathe};
use crate::connection::{Answer, Closed};
use crate::dispatch::Context;
use crate::sessions::{Session, Told, Wanted};
use crate::shard::Shard;

/// Writes the answer and puts the session back.
pub(super) async fn respond(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    basis: Basis,
    parts: Vec<Part>,
) -> Result<Answer, Closed> {
    let told = |part: &Part| Told {
        high_watermark: part.high_watermark,
        last_stable: part.last_stable,
        log_start: part.log_start,
    };
    match basis {
        Basis::Plain(wanted) => Ok(encode(shard, context, ErrorCode::None, 0, &wanted, parts, |_, _| true).await),
        Basis::Opening(mut wanted) => {
            for (wanted, part) in wanted.iter_mut().zip(&parts) {
                wanted.told = (part.code == 0).then(|| told(part));
            }
            let max = shard.settings().network.fetch_sessions_max as usize;
            let shards = shard.links.shards();
            let each = max.div_ceil(shards);
            let by_id = context.version >= BY_ID;
            let id = if wanted.is_empty() {
                0
            } else {
                shard.sessions.open(wanted.clone(), by_id, context.received, each, shards)
            };
            breathe(wanted.len()).await;
            Ok(encode(shard, context, ErrorCode::None, id, &wanted, parts, |_, _| true).await)
        }
        Basis::Session(id, mut session) => {
            let news: Vec<bool> = session
                .wanted
                .iter()
                .zip(&parts)
                .map(|(wanted, part)| {
                    part.bytes > 0 || part.code != 0 || part.diverging.is_some() || wanted.told != Some(told(part))
                })
                .collect();
            let served: Vec<bool> = parts.iter().map(|part| part.bytes > 0).collect();
            for (wanted, part) in session.wanted.iter_mut().zip(&parts) {
                wanted.told = (part.code == 0).then(|| told(part));
            }
            let told = |place: usize, _: &Part| news[place];
            let answer = encode(shard, context, ErrorCode::None, id, &session.wanted, parts, told).await;
            session.rotate(&served);
            shard.sessions.put(id, session, monotonic());
            Ok(answer)
        }
    }
}

impl Session {
    /// Partitions that got something go to the end, so that all get their turn.
    fn rotate(&mut self, served: &[bool]) {
        if served.iter().all(|served| *served) || !served.iter().any(|served| *served) {
            return;
        }
        let (mut first, mut last) = (Vec::with_capacity(self.wanted.len()), Vec::new());
        for (place, wanted) in self.wanted.drain(..).enumerate() {
            if served.get(place).copied().unwrap_or(false) { last.push(wanted) } else { first.push(wanted) }
        }
        first.append(&mut last);
        self.wanted = first;
    }
}

/// Writes a frame around the records of the partitions that `told` picks.
pub(super) async fn encode(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    code: ErrorCode,
    session: i32,
    wanted: &[Wanted],
    mut parts: Vec<Part>,
    told: impl Fn(usize, &Part) -> bool,
) -> Answer {
    let places: Vec<usize> = (0..wanted.len()).filter(|place| told(*place, &parts[*place])).collect();
    let same = |a: usize, b: usize| wanted[a].id == wanted[b].id && wanted[a].name == wanted[b].name;
    let groups: Vec<&[usize]> = places.chunk_by(|a, b| same(*a, *b)).collect();
    let mut out = BytesMut::with_capacity(64 + places.len() * 64);
    let mut gaps = Vec::with_capacity(places.len());
    let open = frame::begin_response(&mut out, ApiKey::Fetch, context.version, context.correlation_id);
    let mut writer = ResponseWriter::begin(&mut out, context.version, &mut gaps, 0, code.code(), session, groups.len());
    for group in groups {
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
    let head = out.freeze();
    let mut pieces = Vec::with_capacity(gaps.len() * 2 + 1);
    for piece in wire::pieces(0..head.len(), &gaps) {
        match piece {
            wire::Piece::Head(range) if range.is_empty() => {}
            wire::Piece::Head(range) => pieces.push(Piece::Bytes(head.slice(range))),
            wire::Piece::Records(gap) => {
                let part = &mut parts[places[gap.partition]];
                pieces.extend(part.records.drain(..).map(Piece::Slice));
            }
        }
    }
    shard.metrics.answered(ApiKey::Fetch, context.version, context.received.elapsed());
    Answer::Ready(pieces)
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
