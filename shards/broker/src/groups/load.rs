use ottla_batch::{Batches, records};
use ottla_coordinator::Groups;
use ottla_partition::Partition;
use ottla_reactor::yield_now;
use ottla_storage::{Read, ReadRequest};
use ottla_units::limits::UNCOMPRESSED_BATCH_BYTES_MAX;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// Replays a partition of `__consumer_offsets` into `groups`, from its first record to its last. A record that cannot be
/// read is told and left aside: the groups of the others shall not suffer.
///
/// # Errors
/// Why the log cannot be read, as text for the log of the process.
pub(super) async fn replay(partition: &Partition, groups: &mut Groups) -> Result<(), String> {
    let (mut at, end) = (partition.log_start(), partition.high_watermark());
    let mut bytes = Vec::new();
    while at < end {
        let request = ReadRequest { from: at, upto: end, bytes_max: READ_BYTES, at_least_one: true };
        let read = match partition.log().read(request).map_err(|error| error.to_string())? {
            Read::Ready(records) => records,
            Read::Cold(coming) => coming.await.map_err(|error| error.to_string())?,
        };
        bytes.clear();
        read.slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        replay_batches(&bytes, groups);
        if read.next <= at {
            return Err(format!("nothing can be read at offset {at}"));
        }
        at = read.next;
        yield_now().await;
    }
    Ok(())
}

fn replay_batches(bytes: &[u8], groups: &mut Groups) {
    for batch in Batches::new(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return tracing::error!(%error, "a batch of __consumer_offsets cannot be read"),
        };
        let attributes = batch.attributes();
        if attributes.is_control() || attributes.is_transactional() {
            // Offsets of transactions count when these end. None are written as long as transactions are not served.
            continue;
        }
        let mut all = match records(&batch, UNCOMPRESSED_BATCH_BYTES_MAX) {
            Ok(all) => all,
            Err(error) => {
                tracing::error!(offset = %batch.base_offset(), %error, "a batch of __consumer_offsets cannot be read");
                continue;
            }
        };
        while let Some(record) = all.next() {
            let replayed = match record {
                Ok(record) => match record.key {
                    Some(key) => groups.replay(key, record.value).map_err(|error| (record.offset, error.to_string())),
                    None => Err((record.offset, "it has no key".to_owned())),
                },
                Err(error) => Err((batch.base_offset(), error.to_string())),
            };
            if let Err((offset, error)) = replayed {
                tracing::warn!(%offset, error, "a record of __consumer_offsets is left aside");
            }
        }
    }
}
