use ottla_batch::Batch;
use ottla_units::Offset;

use crate::store::tests::{append, batch, config, offsets, produce, spec};
use crate::*;

/// A batch of one record at an offset, as it lies in a log.
fn placed(offset: i64, bytes: usize) -> Vec<u8> {
    let mut bytes = batch(1, bytes, offset);
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes
}

/// Writes a log anew from batches of one record at these offsets, up to `end`.
fn rebuilt(layout: &Layout, kept: &[i64], start: i64, end: i64) {
    ottla_reactor::block_on(async {
        let rebuild = Rebuild::begin(layout).await.unwrap();
        let log = rebuild.log(&spec(0), Offset::new(start));
        for offset in kept {
            let bytes = placed(*offset, 1000);
            log.append(&Batch::parse(&bytes).unwrap().0).await.unwrap();
        }
        let image = log.finish(Offset::new(start), Offset::new(end), b"producers".to_vec()).await.unwrap();
        Rebuild::finish(layout, vec![(spec(0).key, image)]).await.unwrap();
    })
    .unwrap();
}

#[test]
fn what_was_left_out_is_read_over_and_offsets_stay() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::below(folder.path());
    let kept: Vec<i64> = (5..300).filter(|offset| !(100..110).contains(offset) && *offset != 200).collect();
    rebuilt(&layout, &kept, 3, 320);
    ottla_reactor::block_on(async {
        let mut recovery = recover(&layout, &[spec(0)], &RecoverOptions::default()).await.unwrap();
        assert!(recovery.report.clean, "{:?}", recovery.report);
        let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
        let log = store.open_log(&spec(0), recovery.logs.remove(&spec(0).key), LogSettings::default());
        assert_eq!((log.start().get(), log.end().get()), (5, 320));
        assert_eq!(log.snapshot(), Some((Offset::new(320), b"producers".to_vec())));
        assert_eq!(offsets(&log, Offset::new(5)).await, kept);
        // From within a gap the records behind it come; from within the one at the end, none, until there are.
        for (from, first) in [(103, 110), (200, 201), (99, 99)] {
            let request = ReadRequest { from: Offset::new(from), upto: log.end(), bytes_max: 1, at_least_one: true };
            assert_eq!(log.read(request).unwrap().records().await.unwrap().next.get(), first + 1);
        }
        let at_end = |from| ReadRequest { from: Offset::new(from), upto: log.end(), bytes_max: 1, at_least_one: true };
        let records = log.read(at_end(305)).unwrap().records().await.unwrap();
        assert_eq!((records.bytes, records.next.get()), (0, 305));
        append(&log, &batch(1, 10, 7)).unwrap();
        assert_eq!(log.read(at_end(305)).unwrap().records().await.unwrap().next.get(), 321);
        for i in 0..400 {
            produce(&store, &log, &batch(1, 3000, i)).await;
        }
        store.durable(store.latest_ticket()).await.unwrap();
        drop((log, store));
        // After a crash all is as it was.
        let mut recovery = recover(&layout, &[spec(0)], &RecoverOptions::default()).await.unwrap();
        let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
        let log = store.open_log(&spec(0), recovery.logs.remove(&spec(0).key), LogSettings::default());
        let all: Vec<i64> = kept.iter().copied().chain(320..721).collect();
        assert_eq!(offsets(&log, Offset::new(5)).await, all);
    })
    .unwrap();
}

#[test]
fn a_log_of_which_nothing_is_left_keeps_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::below(folder.path());
    rebuilt(&layout, &[], 0, 50);
    ottla_reactor::block_on(async {
        let mut recovery = recover(&layout, &[spec(0)], &RecoverOptions::default()).await.unwrap();
        let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
        let log = store.open_log(&spec(0), recovery.logs.remove(&spec(0).key), LogSettings::default());
        assert_eq!((log.start().get(), log.end().get()), (50, 50));
        append(&log, &batch(1, 10, 7)).unwrap();
        assert_eq!(offsets(&log, Offset::new(50)).await, [50]);
    })
    .unwrap();
}
