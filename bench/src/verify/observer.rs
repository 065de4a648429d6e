use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use ottla_batch::Batch;

use super::writer::Signals;
use crate::connection::Connection;
use crate::error::Result;
use crate::frames::{FetchTerms, fetch_frame, read_fetched};
use crate::source::Source;

/// Bytes asked of all partitions, and of one, at once.
const FETCH_BYTES: i32 = 4 << 20;
const PARTITION_BYTES: i32 = 1 << 20;

/// A batch by what nothing may change any more once a consumer has read it: where it begins, and its checksum.
pub(super) type Mark = (i64, u32);

/// A consumer at the tail of every partition. What it has read must be there after a crash, acknowledged or not: visible means
/// durable.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    topic: String,
    /// Where each partition is read on.
    next: Vec<i64>,
    /// What was read of each partition.
    pub(super) seen: Vec<Vec<Mark>>,
}

impl Observer {
    pub(super) fn new(topic: &str, partitions: usize) -> Observer {
        Observer { topic: topic.to_owned(), next: vec![0; partitions], seen: vec![Vec::new(); partitions] }
    }

    /// Reads until told to stop, or until the broker is gone.
    pub(super) fn watch(&mut self, addr: SocketAddr, signals: &Signals) -> Result<()> {
        let mut connection = Connection::open(addr)?;
        let mut bytes = Vec::new();
        while !signals.stop.load(Ordering::Relaxed) {
            self.fetch(&mut connection, &mut bytes)?;
        }
        Ok(())
    }

    fn fetch(&mut self, connection: &mut Connection, bytes: &mut Vec<u8>) -> Result<()> {
        let terms = FetchTerms {
            max_wait_ms: 20,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            partition_max_bytes: PARTITION_BYTES,
            session_id: 0,
            session_epoch: -1,
        };
        let parts: Vec<(i32, i64)> = (0..).zip(self.next.iter().copied()).collect();
        let (mut frame, _) = fetch_frame(&self.topic, terms, &parts);
        let source = connection.exchange(&mut frame)?;
        read_fetched(source, |fetched, source| {
            bytes.resize(fetched.records_bytes, 0);
            source.fill(bytes)?;
            self.take(fetched.partition as usize, bytes);
            Ok(())
        })?;
        Ok(())
    }

    fn take(&mut self, partition: usize, mut rest: &[u8]) {
        let (Some(next), Some(seen)) = (self.next.get_mut(partition), self.seen.get_mut(partition)) else { return };
        while let Ok((batch, after)) = Batch::parse(rest) {
            rest = after;
            seen.push((batch.base_offset().get(), batch.crc()));
            *next = batch.next_offset().get();
        }
    }
}
