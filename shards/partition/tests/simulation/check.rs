//! Comparing logs with the model.

use std::collections::BTreeMap;

use ottla_batch::Batch;
use ottla_reactor::{simulation, wall_clock};
use ottla_storage::{
    INDEX_ENTRY_BYTES, IndexEntry, ReadRequest, Records, SegmentFile, StorageError, TIME_ENTRY_BYTES, TimeEntry,
};
use ottla_units::{LeaderEpoch, Offset, Timestamp};

use crate::coverage::Path;
use crate::life::{Broker, Host};
use crate::model::Expected;
use crate::seed::Trouble;

/// Times looked up in each log.
const LOOKUPS: usize = 2;

/// Compares what a recovery found with what was promised, and goes on from there.
pub(crate) async fn found(broker: &Broker) -> Result<(), StorageError> {
    let hosts: Vec<_> = broker.hosts.borrow().iter().flatten().cloned().collect();
    for host in &hosts {
        settle(broker, host);
    }
    broker.run.model.borrow_mut().power_failed = false;
    contents(broker).await
}

fn settle(broker: &Broker, host: &Host) {
    let (run, log) = (&broker.run, host.partition.log());
    let mut model = run.model.borrow_mut();
    let power_failed = model.power_failed;
    let Some(expected) = model.log(host.spec.key) else { return };
    let (start, end) = (log.start().get(), log.end().get());
    let doubtful = run.doubtful.get();
    let floor = if doubtful { 0 } else { expected.floor(power_failed) };
    let name = host.spec.folder();
    simulation::note(|| format!("== {name}: {start}..{end}, promised {}..{floor}", expected.start));
    assert!(end >= floor, "{name} ends at {end}, but {floor} was promised");
    assert!(end <= expected.end(), "{name} ends at {end}, but only {} were ever sent", expected.end());
    let whole = end == 0 || expected.sent.iter().any(|sent| sent.next == end);
    assert!(whole, "{name} ends at {end}, within a batch");
    let highest = expected.start_asked.min(end);
    let lowest = if doubtful { 0 } else { expected.start };
    let fits = (lowest..=highest).contains(&start);
    assert!(fits, "{name} starts at {start}, not within {}..={highest}", expected.start);
    run.hit_if(Path::Unpromised, end < expected.end());
    run.hit_if(Path::Survived, end > floor);
    expected.settle(start, end);
}

/// Compares everything in all logs with the model.
pub(crate) async fn contents(broker: &Broker) -> Result<(), StorageError> {
    let hosts: Vec<_> = broker.hosts.borrow().iter().flatten().cloned().collect();
    for host in &hosts {
        let expected = broker.run.model.borrow_mut().log(host.spec.key).cloned();
        let Some(expected) = expected else { continue };
        let checked = compare(broker, host, &expected).await;
        match checked {
            Err(error) if broker.run.trouble == Trouble::Rot && broker.run.explains(&error) => {
                broker.run.hit(Path::ReadDamage);
                return Err(error);
            }
            other => other?,
        }
    }
    Ok(())
}

async fn compare(broker: &Broker, host: &Host, expected: &Expected) -> Result<(), StorageError> {
    let (log, name) = (host.partition.log(), host.spec.folder());
    assert_eq!(log.end().get(), expected.end(), "{name}: the end");
    assert!((expected.start..=expected.start_asked).contains(&log.start().get()), "{name}: the start");
    // Leaderships may be read from a file without checksum.
    let doubtful = broker.run.doubtful.get();
    let mut scan = log.scan(log.start());
    for sent in expected.readable() {
        let batch = scan.next().await?;
        let batch = batch.unwrap_or_else(|| panic!("{name}: the batch at {} is missing", sent.base));
        let same = batch.bytes() == sent.bytes
            || (broker.run.trouble == Trouble::Rot && checksummed(batch.bytes()) == checksummed(&sent.bytes));
        assert!(same, "{name}: the batch at {} has other bytes", sent.base);
        if doubtful {
            continue;
        }
        let at = Offset::new(sent.base.max(expected.start));
        assert_eq!(
            log.epoch_of(at),
            LeaderEpoch::new(sent.epoch),
            "{name}: the leadership at {at} in {:?}",
            log.epochs()
        );
    }
    assert!(scan.next().await?.is_none(), "{name}: there is more than was sent");
    if !doubtful {
        assert_eq!(log.epochs().entries(), expected.epochs(), "{name}: the leaderships");
    }
    producers(host, expected);
    for _ in 0..LOOKUPS {
        look_up(broker, host, expected).await?;
    }
    Ok(())
}

/// A batch without its leadership: Kafka's checksum leaves that out, so damage there cannot be seen.
fn checksummed(batch: &[u8]) -> (&[u8], &[u8]) {
    (&batch[..12], &batch[16..])
}

fn producers(host: &Host, expected: &Expected) {
    let (now, name) = (wall_clock(), host.spec.folder());
    let wanted = expected.producers(now);
    let found = host.partition.producers();
    for (producer, state) in wanted.iter() {
        // What was removed from the log may be forgotten, as by Kafka.
        let readable = state.batches().iter().filter(|batch| batch.last_offset.get() >= expected.start).count();
        match found.get(producer) {
            Some(found) if readable > 0 => {
                let (known, all) = (found.batches(), state.batches());
                let same = known.len() >= readable && known[known.len() - readable..] == all[all.len() - readable..];
                assert!(same, "{name}: {found:?} is not {state:?}");
                assert_eq!(found.epoch(), state.epoch(), "{name}: producer {producer}");
                assert_eq!(found.last_timestamp(), state.last_timestamp(), "{name}: producer {producer}");
            }
            Some(_) => {}
            None => assert_eq!(readable, 0, "{name}: producer {producer} is forgotten"),
        }
    }
    let unknown = found.iter().find(|(producer, _)| wanted.get(*producer).is_none());
    assert!(unknown.is_none(), "{name}: a producer that never sent anything: {unknown:?}");
}

/// Looks for a time and reads from some offset.
async fn look_up(broker: &Broker, host: &Host, expected: &Expected) -> Result<(), StorageError> {
    let (log, name, run) = (host.partition.log(), host.spec.folder(), &broker.run);
    let sent = expected.sent.get(run.below(expected.sent.len()));
    let time = sent.map_or(5, |sent| sent.times[run.below(sent.times.len())] + run.below(3) as i64 - 1);
    let found = log.offset_for_timestamp(Timestamp::new(time), log.end()).await?;
    let found = found.map(|(offset, time)| (offset.get(), time.get()));
    // A time index has no checksum.
    assert!(found == expected.at_time(time) || run.trouble == Trouble::Rot, "{name}: time {time} gave {found:?}");
    let (start, end) = (log.start().get(), expected.end());
    let from = start + run.below((end - start) as usize + 1) as i64;
    let request =
        ReadRequest { from: Offset::new(from), upto: log.end(), bytes_max: run.below(20_000), at_least_one: true };
    let records = log.read(request)?.records().await?;
    let found = bytes_of(&records);
    same_as_sent(&name, from, &found, expected, run.trouble == Trouble::Rot);
    Ok(())
}

/// What was read, in one piece.
pub(crate) fn bytes_of(records: &Records) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.bytes);
    records.slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
    bytes
}

/// Whether what was read from an offset on is what was sent.
pub(crate) fn same_as_sent(name: &str, from: i64, found: &[u8], expected: &Expected, rot: bool) {
    let mut rest = found;
    for sent in &expected.sent[expected.holding(from)..] {
        let Some((first, behind)) = rest.split_at_checked(sent.bytes.len()) else { break };
        let same = first == sent.bytes || (rot && checksummed(first) == checksummed(&sent.bytes));
        assert!(same, "{name}: a read from {from} gave other bytes for the batch at {}", sent.base);
        rest = behind;
    }
    assert!(rest.is_empty(), "{name}: a read from {from} gave {} bytes too many", rest.len());
    assert!(!found.is_empty() || from >= expected.end(), "{name}: a read from {from} gave nothing");
}

/// Looks into the files of finished segments: batches, indexes.
pub(crate) fn files(broker: &Broker) {
    for host in broker.hosts.borrow().iter().flatten() {
        let folder = broker.layout.partition(&host.spec.folder());
        let segments = host.partition.log().segments();
        let ends = segments.iter().skip(1).map(|next| next.base).chain([host.partition.log_end()]);
        for (segment, end) in segments.iter().zip(ends) {
            if end <= host.partition.log_start() {
                // Removed, but for what is known of it.
                continue;
            }
            let read = |kind: SegmentFile| broker.run.disk.content(&kind.path(&folder, segment.base).to_string_lossy());
            let Some(bytes) = read(SegmentFile::Log) else {
                assert_eq!(segment.bytes, 0, "{}: segment {} has no file", folder.display(), segment.base);
                continue;
            };
            let what = format!("{} {}", folder.display(), segment.base);
            if broker.run.trouble == Trouble::Rot {
                continue;
            }
            assert_eq!(bytes.len() as u64, segment.bytes, "{what}: the file's length");
            let index = read(SegmentFile::Index).unwrap_or_default();
            indexes(&what, segment.base, &bytes, &index, &read(SegmentFile::TimeIndex).unwrap_or_default());
        }
    }
}

fn indexes(what: &str, base: Offset, log: &[u8], index: &[u8], times: &[u8]) {
    let mut batches = BTreeMap::new();
    let mut at = 0;
    while let Ok((batch, _)) = Batch::parse(&log[at..]) {
        batches.insert(batch.last_offset(), (at, batch.max_timestamp()));
        at += batch.total_len();
    }
    assert_eq!(at, log.len(), "{what}: bytes behind the last batch");
    let (entries, rest) = index.as_chunks::<INDEX_ENTRY_BYTES>();
    assert!(rest.is_empty(), "{what}: an index entry is cut");
    for entry in entries.iter().map(IndexEntry::from_bytes) {
        let found = batches.get(&base.plus(i64::from(entry.offset))).map(|(at, _)| *at);
        assert_eq!(found, Some(entry.position as usize), "{what}: {entry:?}");
    }
    let (entries, rest) = times.as_chunks::<TIME_ENTRY_BYTES>();
    assert!(rest.is_empty(), "{what}: a time index entry is cut");
    for entry in entries.iter().map(TimeEntry::from_bytes) {
        let found = batches.get(&base.plus(i64::from(entry.offset))).map(|(_, time)| *time);
        assert_eq!(found, Some(entry.timestamp), "{what}: {entry:?}");
    }
}
