//! Tail fetch: the end of each partition, read again and again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::connection::connect;
use crate::error::{BenchError, Result};
use crate::frames::{FetchTerms, Frame, fetch_frame, read_fetched, read_prefix};
use crate::measure::{Phase, Tally};
use crate::source::{SocketSource, Source};

/// Bytes asked of one partition by one fetch: what consumers ask by default (`max.partition.fetch.bytes`).
pub const PARTITION_BYTES: usize = 1 << 20;
/// How many different places a connection reads from, in turn.
pub const PLACES: usize = 8;
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What one connection reads.
#[derive(Clone, Debug)]
pub struct Share {
    /// The leader of the partitions.
    pub addr: SocketAddr,
    /// Requests, each for all partitions from another place of their end.
    pub frames: Vec<Frame>,
    /// Requests in flight.
    pub window: usize,
    /// Bytes of one batch.
    pub batch_bytes: usize,
}

/// The requests for some partitions that hold `batches` batches of `records` records each, of which one fetch brings
/// `per_fetch`.
pub fn frames(topic: &str, partitions: &[i32], batches: usize, per_fetch: usize, records: usize) -> Vec<Frame> {
    let terms = FetchTerms {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        partition_max_bytes: PARTITION_BYTES as i32,
        session_id: 0,
        session_epoch: -1,
    };
    let places = (batches / per_fetch).max(1);
    let place = |at: usize| {
        let offset = (at * per_fetch * records) as i64;
        let parts: Vec<(i32, i64)> = partitions.iter().map(|index| (*index, offset)).collect();
        fetch_frame(topic, terms, &parts).0
    };
    (0..places).map(place).collect()
}

/// Reads until the phase stops.
///
/// # Errors
/// The first error; `failed` is set then so that the others end too.
pub fn drive(share: &Share, phase: &Phase, failed: &AtomicBool) -> Result<Tally> {
    let outcome = read(share, phase, failed);
    if outcome.is_err() {
        failed.store(true, Ordering::Relaxed);
    }
    outcome
}

fn read(share: &Share, phase: &Phase, failed: &AtomicBool) -> Result<Tally> {
    let socket = connect(share.addr)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut source = SocketSource::new(socket);
    let mut frames = share.frames.clone();
    let (mut tally, mut counting) = (Tally::new()?, false);
    let (mut sent, mut answered) = (0i32, 0i32);
    let mut queued = Instant::now();
    while !phase.stopped() && !failed.load(Ordering::Relaxed) {
        if !counting && phase.counts() {
            counting = true;
            tally = Tally { errors: std::mem::take(&mut tally.errors), ..Tally::new()? };
        }
        while ((sent - answered) as usize) < share.window {
            sent += 1;
            let at = sent as usize % frames.len();
            std::io::Write::write_all(source.socket(), frames[at].with_correlation(sent))?;
        }
        answered += 1;
        answer(&mut source, answered, share.batch_bytes, &mut tally)?;
        tally.took(queued.elapsed());
        queued = Instant::now();
    }
    Ok(tally)
}

fn answer(source: &mut SocketSource, correlation: i32, batch_bytes: usize, tally: &mut Tally) -> Result<()> {
    read_prefix(source, correlation)?;
    let mut empty = true;
    let session = read_fetched(source, |fetched, source| {
        tally.error(fetched.error);
        tally.bytes += fetched.records_bytes as u64;
        tally.batches += (fetched.records_bytes / batch_bytes) as u64;
        empty &= fetched.records_bytes == 0;
        source.skip(fetched.records_bytes)
    })?;
    tally.error(session.error);
    tally.requests += 1;
    if empty && tally.errors.is_empty() {
        return Err(BenchError::Malformed { what: "a fetch of old records that brought none" });
    }
    Ok(())
}
