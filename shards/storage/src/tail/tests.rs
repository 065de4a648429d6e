use ottla_units::Offset;

use super::*;

fn tail_with(position: u64, sizes: &[usize]) -> Tail {
    let mut tail = Tail::new(position, 256 << 10);
    for (i, size) in sizes.iter().enumerate() {
        let batch = TailBatch { base_offset: Offset::new(10 * i as i64), at: tail.end() };
        tail.append(batch, &[i as u8; 61], &vec![i as u8; size - 61]);
    }
    tail
}

fn bytes(tail: &Tail, places: Range<u64>) -> Vec<u8> {
    tail.slices(places).iter().flat_map(|slice| slice.iter().copied()).collect()
}

#[test]
fn chunks_lie_as_the_files_blocks_do() {
    let tail = tail_with(5000, &[3000, 300, 9000]);
    assert_eq!((tail.position(), tail.end()), (17_300, 17_300));
    let all = bytes(&tail, 5000..17_300);
    assert_eq!((all.len(), all[2999], all[3000], all[3300]), (12_300, 0, 1, 2));
    let (seam, runs) = tail.runs(5000..17_300);
    let seam = seam.unwrap();
    assert_eq!((seam.position, seam.gap, seam.bytes.len()), (4096, 904, 4096 - 904));
    let mut next = 8192;
    for run in &runs {
        assert_eq!(run.position, next);
        next += run.blocks.len() as u64;
    }
    assert_eq!(next, 20_480);
}

#[test]
fn finds_whole_batches_by_offset_and_size() {
    let tail = tail_with(0, &[100, 200, 300, 400]);
    let find = |from, upto, max, one| tail.find(Offset::new(from), Offset::new(upto), Offset::new(40), max, one);
    assert_eq!(find(0, 40, 1000, false), Some((0..1000, Offset::new(40))));
    assert_eq!(find(15, 40, 500, false), Some((100..600, Offset::new(30))));
    assert_eq!(find(15, 40, 499, false), Some((100..300, Offset::new(20))));
    assert_eq!(find(15, 40, 10, true), Some((100..300, Offset::new(20))));
    assert_eq!(find(15, 40, 10, false), Some((100..100, Offset::new(10))));
    assert_eq!(find(0, 25, 1000, true), Some((0..300, Offset::new(20))));
    // A batch that reaches past what may be seen is not given, not even as the only one.
    assert_eq!(find(20, 25, 1000, true), Some((300..300, Offset::new(20))));
}

#[test]
fn evicts_only_what_is_written_and_goes_on_behind_it() {
    let mut tail = tail_with(0, &[4000, 4000]);
    assert_eq!(tail.evict(4095), 0);
    assert_eq!(tail.evict(4096), 4096);
    assert_eq!(tail.find(Offset::ZERO, Offset::new(20), Offset::new(20), 1 << 20, true), None);
    let second = tail.find(Offset::new(10), Offset::new(20), Offset::new(20), 1 << 20, true);
    assert_eq!(second, None, "the batch that begins in the dropped chunk is gone with it");
    let before = bytes(&tail, 4096..8000);
    assert!(tail.evict(8000) > 0);
    assert_eq!((tail.memory(), tail.chunks(), tail.end()), (0, 0, 8000));
    tail.append(TailBatch { base_offset: Offset::new(20), at: 8000 }, &[7; 61], &[7; 39]);
    assert_eq!(bytes(&tail, 8000..8100), [7; 100]);
    let (seam, runs) = tail.runs(8000..8100);
    assert!(seam.is_none(), "the file's last block is written anew from what the dropped chunk left");
    assert_eq!((runs.len(), runs[0].position), (1, 4096));
    assert_eq!(bytes(&tail, 4096..8000), before, "as it was");
}

#[test]
fn a_block_that_only_the_file_has_is_read_before_it_is_written() {
    let mut tail = Tail::new(8000, 1 << 16);
    tail.append(TailBatch { base_offset: Offset::new(20), at: 8000 }, &[7; 61], &[7; 39]);
    assert_eq!(tail.runs(8000..8100).0.map(|seam| (seam.position, seam.gap)), Some((4096, 3904)));
    assert!(tail.evict(8100) > 0);
    tail.append(TailBatch { base_offset: Offset::new(21), at: 8100 }, &[8; 61], &[8; 39]);
    assert_eq!(tail.runs(8100..8200).0.map(|seam| (seam.position, seam.gap)), Some((4096, 4004)));
    tail.roll();
    assert!(tail.evict(8200) > 0);
    tail.append(TailBatch { base_offset: Offset::new(22), at: 8200 }, &[9; 61], &[9; 39]);
    assert_eq!(tail.runs(8200..8300).1[0].position, 0, "nothing is left over in a new segment");
}

#[test]
fn a_read_crosses_from_one_segment_into_the_next() {
    let mut tail = tail_with(0, &[1000]);
    tail.roll();
    assert_eq!(tail.position(), 0);
    tail.append(TailBatch { base_offset: Offset::new(10), at: 1000 }, &[9; 61], &[9; 39]);
    let (places, next) = tail.find(Offset::ZERO, Offset::new(20), Offset::new(20), 1 << 20, true).unwrap();
    assert_eq!((places.clone(), next), (0..1100, Offset::new(20)));
    assert_eq!(bytes(&tail, places).len(), 1100);
    assert_eq!(tail.runs(1000..1100).1[0].position, 0, "the new segment's file begins with it");
}
