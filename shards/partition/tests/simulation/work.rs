//! What clients do: produce, read, trim, delete, wait.

use std::rc::Rc;
use std::time::Duration;

use ottla_batch::{Batch, Builder, Stamp, stamped_header};
use ottla_partition::{Acks, AppendError, Appended, Produce, Role, Rules};
use ottla_reactor::{Class, Task, simulation, sleep, spawn, wall_clock, yield_now};
use ottla_storage::{ReadRequest, StorageError, Ticket};
use ottla_units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::check::{bytes_of, same_as_sent};
use crate::coverage::Path;
use crate::life::{Broker, Host, log_settings};
use crate::model::{Request, Sent};
use crate::seed::{Run, Trouble};

/// Steps of one client.
const STEPS_MAX: usize = 30;
/// The time of the first record.
const FIRST_TIME: i64 = 1_000_000;

/// Starts clients; each ends with what storage reports, if that is an end.
pub(crate) fn clients(broker: &Rc<Broker>, count: usize) -> Vec<Task<Result<(), StorageError>>> {
    let start = |number| {
        let broker = Rc::clone(broker);
        spawn(Class::Data, async move {
            if number == 0 {
                repeat_all(&broker).await?;
            }
            for _ in 0..broker.run.below(STEPS_MAX) {
                step(&broker).await?;
            }
            Ok(())
        })
    };
    (0..count).map(start).collect()
}

async fn step(broker: &Rc<Broker>) -> Result<(), StorageError> {
    let run = &broker.run;
    let slot = run.below(broker.hosts.borrow().len());
    let Some(host) = broker.host(slot) else {
        yield_now().await;
        return Ok(());
    };
    let done = match run.below(100) {
        0..55 => produce(broker, &host, 1).await,
        55..70 => produce(broker, &host, 2 + run.below(4)).await,
        70..80 => read(broker, &host).await,
        80..85 => trim(broker, &host).await,
        85..87 => delete(broker, slot, &host).await,
        87..90 => change(broker, &host),
        90..94 => {
            sleep(Duration::from_micros(run.below(3_000) as u64)).await;
            Ok(())
        }
        _ => {
            yield_now().await;
            Ok(())
        }
    };
    look(broker, &host);
    match done {
        // Somebody else deletes or stops.
        Err(StorageError::Deleted | StorageError::Stopped | StorageError::DiskFull) => Ok(()),
        other => other,
    }
}

/// What consumers can see now, they may have seen: it is promised.
fn look(broker: &Broker, host: &Host) {
    let visible = host.partition.high_watermark().get();
    if let Some(log) = broker.run.model.borrow_mut().log(host.spec.key) {
        assert!(visible <= log.end(), "{}: {visible} is visible of {}", host.spec.folder(), log.end());
        log.sure = log.sure.max(visible);
    }
    let counters = host.partition.store().counters();
    broker.run.hit_if(Path::WrittenOut, counters.write_outs.get() > 0);
    broker.run.hit_if(Path::Released, counters.releases.get() > 0);
    broker.run.hit_if(Path::Recycled, counters.recycled.get() > 0);
    broker.run.hit_if(Path::ColdRead, counters.cold_reads.get() > 0);
}

fn rules() -> Rules {
    Rules { max_message_bytes: 60_000, ..Rules::default() }
}

/// Sends again what the last life left unanswered.
async fn repeat_all(broker: &Rc<Broker>) -> Result<(), StorageError> {
    let slots = broker.hosts.borrow().len();
    for slot in 0..slots {
        let Some(host) = broker.host(slot) else { continue };
        let repeats = broker.run.model.borrow_mut().log(host.spec.key).map(|log| std::mem::take(&mut log.repeats));
        for request in repeats.unwrap_or_default() {
            if !repeat(broker, &host, request.sequence, &request.bytes).await? {
                break;
            }
        }
    }
    Ok(())
}

/// Sends a batch once more; says whether the next one may follow.
async fn repeat(broker: &Broker, host: &Host, sequence: i32, bytes: &[u8]) -> Result<bool, StorageError> {
    let (run, key) = (&broker.run, host.spec.key);
    loop {
        let known = match run.model.borrow_mut().log(key) {
            Some(log) => {
                let known = log.sent.iter().find(|sent| log.own(sent).is_some_and(|found| found.sequence == sequence));
                if known.is_none() && log.sequence != sequence {
                    // Another client of this producer was faster.
                    return Ok(false);
                }
                if known.is_some_and(|sent| sent.base < log.start_asked) {
                    // Removed meanwhile, and perhaps forgotten.
                    return Ok(true);
                }
                known.map(|sent| sent.base)
            }
            None => return Ok(false),
        };
        match host.partition.append(bytes, &rules(), &Produce::CLIENT, wall_clock()) {
            Ok(appended) if appended.bytes == 0 => {
                assert_eq!(
                    Some(appended.base_offset.get()),
                    known,
                    "{}: sequence {sequence} repeated",
                    host.spec.folder()
                );
                run.hit(Path::Repeated);
                return Ok(true);
            }
            Ok(appended) => {
                assert_eq!(known, None, "{}: sequence {sequence} is there twice", host.spec.folder());
                run.hit(Path::Resent);
                note_sent(broker, host, bytes, &appended, true);
                return Ok(true);
            }
            Err(AppendError::Storage(StorageError::Busy)) => host.partition.store().room(bytes.len()).await,
            Err(AppendError::Storage(error)) => return Err(error),
            Err(AppendError::NotLeader) => return Ok(false),
            // The producer sent more since.
            Err(AppendError::Producer(_)) if known.is_some() || forgotten(broker, host) => return Ok(false),
            Err(error) => panic!("{}: sequence {sequence}: {error:?}", host.spec.folder()),
        }
    }
}

/// Appends batches in a row, and then waits as one of the kinds of `acks` does.
async fn produce(broker: &Broker, host: &Host, count: usize) -> Result<(), StorageError> {
    let run = &broker.run;
    let mut last = None;
    let before = host.partition.store().latest_ticket();
    for _ in 0..count {
        let idempotent = run.chance(60);
        match append(broker, host, idempotent, size_of_batch(run)).await? {
            Some(appended) => last = Some(appended),
            None => return Ok(()),
        }
    }
    let Some((ticket, next)) = last else { return Ok(()) };
    run.hit_if(Path::Shared, count > 1 && before != ticket);
    acknowledge(broker, host, ticket, next).await
}

fn size_of_batch(run: &Run) -> usize {
    match run.below(20) {
        0..14 if run.long_batches => 300 + run.below(3_000),
        0..14 => 1 + run.below(300),
        14..18 => 300 + run.below(2_000),
        18 => 3_000 + run.below(3_000),
        _ => 5_000 + run.below(20_000),
    }
}

/// Waits for an append, or not, and notes what that promises.
async fn acknowledge(broker: &Broker, host: &Host, ticket: Ticket, next: i64) -> Result<(), StorageError> {
    let run = &broker.run;
    let store = host.partition.store();
    match run.below(10) {
        0 => {}
        1..3 => {
            store.written(ticket).await?;
            if let Some(log) = run.model.borrow_mut().log(host.spec.key) {
                log.written = log.written.max(next);
            }
            simulation::note(|| format!("== {} up to {next} is acknowledged (1)", host.spec.folder()));
        }
        _ => {
            store.durable(ticket).await?;
            if let Some(log) = run.model.borrow_mut().log(host.spec.key) {
                log.sure = log.sure.max(next);
            }
            simulation::note(|| format!("== {} up to {next} is acknowledged (all)", host.spec.folder()));
        }
    }
    Ok(())
}

/// Appends one batch: its ticket and the offset after it, or nothing when the partition is closed.
async fn append(
    broker: &Broker,
    host: &Host,
    idempotent: bool,
    size: usize,
) -> Result<Option<(Ticket, i64)>, StorageError> {
    let run = &broker.run;
    loop {
        let Some(bytes) = build(broker, host, idempotent, size) else { return Ok(None) };
        let produce = Produce { acks: Acks::All, ..Produce::CLIENT };
        let bulk = host.partition.store().counters().bulk_bytes.get();
        match host.partition.append(&bytes, &rules(), &produce, wall_clock()) {
            Ok(appended) => {
                note_sent(broker, host, &bytes, &appended, idempotent);
                let passed = host.partition.store().counters().bulk_bytes.get() > bulk;
                run.hit(if passed { Path::Bulk } else { Path::Framed });
                return Ok(Some((appended.ticket, appended.last_offset.get() + 1)));
            }
            Err(AppendError::Storage(StorageError::Busy)) => {
                run.hit(Path::Busy);
                let gauges = host.partition.store().gauges();
                simulation::note(|| format!("== {} waits for room: {gauges:?}", host.spec.folder()));
                host.partition.store().room(bytes.len()).await;
            }
            Err(AppendError::Storage(error)) => return Err(error),
            Err(AppendError::NotLeader) => return Ok(None),
            // Its last batch was removed, and a crash took what was known of it: a client goes on with a new identity.
            Err(AppendError::Producer(_)) if forgotten(broker, host) => {}
            Err(error) => panic!("{}: {error:?}", host.spec.folder()),
        }
    }
}

/// Whether all that the producer of now sent was removed; then it is another from now on.
fn forgotten(broker: &Broker, host: &Host) -> bool {
    let mut model = broker.run.model.borrow_mut();
    let producer = model.new_producer();
    let Some(log) = model.log(host.spec.key) else { return true };
    let all_gone = !log.sent.iter().any(|sent| sent.next > log.start && log.own(sent).is_some());
    if all_gone {
        (log.producer, log.sequence) = (producer, 0);
        log.repeats.clear();
    }
    all_gone
}

/// A batch as a client sends it.
fn build(broker: &Broker, host: &Host, idempotent: bool, size: usize) -> Option<Vec<u8>> {
    let run = &broker.run;
    let mut model = run.model.borrow_mut();
    let log = model.log(host.spec.key)?;
    let mut builder = Builder::new();
    if idempotent {
        let id = ProducerId::new(log.producer);
        builder = builder.producer(id, ProducerEpoch::new(0), Sequence::new(log.sequence));
    }
    let end = log.end();
    // Most times ascend; some are late.
    let late = if run.chance(15) { run.below(20) as i64 } else { 0 };
    let mut random = run.random.borrow_mut();
    let records = 1 + random.below(3);
    for i in 0..records {
        let mut value = vec![0; size / records + 1];
        for piece in value.chunks_mut(8) {
            let bytes = random.number().to_le_bytes();
            piece.copy_from_slice(&bytes[..piece.len()]);
        }
        builder.push(Timestamp::new(FIRST_TIME + end + i as i64 - late), None, Some(&value), &[]);
    }
    Some(builder.build())
}

/// Takes what was appended into the model.
fn note_sent(broker: &Broker, host: &Host, bytes: &[u8], appended: &Appended, idempotent: bool) {
    let (batch, _) = Batch::parse(bytes).unwrap();
    let epoch = host.partition.leader_epoch();
    let base = appended.base_offset;
    let mut stored = stamped_header(&batch, &Stamp::at(base, epoch)).to_vec();
    stored.extend_from_slice(batch.payload());
    let mut model = broker.run.model.borrow_mut();
    let Some(log) = model.log(host.spec.key) else { return };
    assert_eq!(log.end(), base.get(), "{}: an append at the wrong offset", host.spec.folder());
    broker.run.hit_if(Path::Epochs, log.sent.last().is_some_and(|last| last.epoch != epoch.get()));
    let count = i64::from(batch.record_count());
    let mut records = ottla_batch::records(&batch, 1 << 20).unwrap();
    let times = std::iter::from_fn(|| records.next().map(|record| record.unwrap().timestamp.get())).collect();
    let sequence = batch.base_sequence().get();
    log.sent.push(Sent {
        base: base.get(),
        next: base.get() + count,
        bytes: stored,
        epoch: epoch.get(),
        times,
        request: idempotent.then(|| Request { producer: batch.producer_id().get(), sequence, bytes: bytes.to_vec() }),
    });
    if idempotent {
        log.sequence = sequence + count as i32;
    }
    drop(model);
    broker.run.hit_if(
        Path::Rolled,
        host.partition.log().segments().last().is_some_and(|last| last.base == base && base > Offset::ZERO),
    );
    simulation::note(|| format!("== {} gets {base}+{count}, {} bytes", host.spec.folder(), bytes.len()));
}

/// Reads from somewhere.
async fn read(broker: &Broker, host: &Host) -> Result<(), StorageError> {
    let (run, log) = (&broker.run, host.partition.log());
    let (start, upto) = (log.start().get(), host.partition.high_watermark());
    let from = start + run.below((upto.get() - start).max(0) as usize + 1) as i64;
    let request = ReadRequest { from: Offset::new(from), upto, bytes_max: run.below(20_000), at_least_one: true };
    let records = match log.read(request) {
        Ok(read) => read.records().await,
        Err(error) => Err(error),
    };
    let records = match records {
        Ok(records) => records,
        // The start moved meanwhile.
        Err(StorageError::OutOfRange { .. }) if log.start().get() > from => return Ok(()),
        Err(error) => return Err(error),
    };
    let found = bytes_of(&records);
    if let Some(expected) = run.model.borrow_mut().log(host.spec.key)
        && from < upto.get()
    {
        same_as_sent(&host.spec.folder(), from, &found, expected, run.trouble == Trouble::Rot);
    }
    Ok(())
}

/// Removes the oldest records.
async fn trim(broker: &Broker, host: &Host) -> Result<(), StorageError> {
    let (run, key) = (&broker.run, host.spec.key);
    let (low, high) = (host.partition.log_start().get(), host.partition.high_watermark().get());
    if high <= low {
        return Ok(());
    }
    let start = low + 1 + run.below((high - low) as usize) as i64;
    if let Some(log) = run.model.borrow_mut().log(key) {
        log.start_asked = log.start_asked.max(start);
    }
    simulation::note(|| format!("== {} is to start at {start}", host.spec.folder()));
    loop {
        let before = host.partition.log().segments().len();
        match host.partition.log().advance_start(Offset::new(start)).await {
            Ok(()) => {
                run.hit_if(Path::Trimmed, host.partition.log().segments().len() < before);
                break;
            }
            Err(StorageError::Busy) => host.partition.store().room(4096).await,
            Err(error) => return Err(error),
        }
    }
    if let Some(log) = run.model.borrow_mut().log(key) {
        log.start = log.start.max(start);
    }
    Ok(())
}

/// Deletes a topic and makes it again: the cluster's metadata say so before anything happens here.
async fn delete(broker: &Broker, slot: usize, host: &Host) -> Result<(), StorageError> {
    if !broker.host(slot).is_some_and(|found| Rc::ptr_eq(&found.partition, &host.partition)) {
        // Somebody else deletes it.
        return Ok(());
    }
    broker.hosts.borrow_mut()[slot] = None;
    let spec = {
        let mut model = broker.run.model.borrow_mut();
        model.replace(slot);
        model.deleting += 1;
        model.topics[slot].spec.clone()
    };
    simulation::note(|| format!("== {} is deleted and made again", host.spec.folder()));
    host.partition.close();
    host.partition.store().delete_log(host.spec.key).await?;
    let host = broker.open(spec, None).await?;
    broker.hosts.borrow_mut()[slot] = Some(host);
    broker.run.model.borrow_mut().deleting -= 1;
    broker.run.hit(Path::Deleted);
    Ok(())
}

/// A new leadership, another producer, other settings.
fn change(broker: &Broker, host: &Host) -> Result<(), StorageError> {
    match broker.run.below(3) {
        0 => {
            let epoch = LeaderEpoch::new(host.partition.leader_epoch().get() + 1);
            host.partition.begin_epoch(epoch, Role::Leader);
        }
        1 => {
            let mut model = broker.run.model.borrow_mut();
            let producer = model.new_producer();
            if let Some(log) = model.log(host.spec.key) {
                (log.producer, log.sequence) = (producer, 0);
                log.repeats.clear();
            }
        }
        _ => host.partition.log().set_settings(log_settings(&broker.run)),
    }
    Ok(())
}
