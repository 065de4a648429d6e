//! The verifier must be able to fail: each kind of damage is found, and an undamaged log has none.

use ottla_batch::Batch;

use super::super::content::Profile;
use super::super::writer::Acked;
use super::*;
use crate::random::Random;

const ADDR: &str = "127.0.0.1:1";
/// An idempotent writer of small batches.
const WRITER: u32 = 2;

fn batches(content: Content, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(5);
    let mut next = 0;
    let mut bytes = Vec::new();
    for _ in 0..count {
        let mut sent = content.batch(Profile::of(WRITER), 0, next, None, &mut random);
        sent.bytes[..8].copy_from_slice(&(next as i64).to_be_bytes());
        next += sent.count;
        bytes.push(sent.bytes);
    }
    bytes
}

/// Reads a log of these bytes and looks for everything, when all its batches were acknowledged.
fn findings_in(bytes: &[u8], acked: &[Acked]) -> Findings {
    let mut findings = Findings::default();
    let reading = Reading { topic: "t", partition: 0, end: i64::MAX, content: Content::new(1) };
    let mut log = Log::default();
    reading.take_batches(bytes, &mut log, &mut findings);
    let logs = [log];
    find_doubled(&logs, &mut findings);
    let mut writer = Writer::new(WRITER, Content::new(1), "t", ADDR.parse().unwrap(), 1, 1);
    writer.acked = acked.to_vec();
    find_lost(&writer, &logs, None, &mut findings);
    findings
}

fn acked(batches: &[Vec<u8>]) -> Vec<Acked> {
    let of = |bytes: &Vec<u8>| {
        let (batch, _) = Batch::parse(bytes).unwrap();
        let base = batch.base_offset().get();
        Acked { partition: 0, base, first: base as u64, count: batch.record_count() as u64, at: Instant::now() }
    };
    batches.iter().map(of).collect()
}

fn counts(findings: &Findings) -> (bool, bool, bool) {
    (findings.lost > 0, findings.doubled > 0, findings.wrong > 0)
}

#[test]
fn a_good_log_has_no_findings() {
    let batches = batches(Content::new(1), 20);
    assert_eq!(counts(&findings_in(&batches.concat(), &acked(&batches))), (false, false, false));
}

#[test]
fn acknowledged_without_an_offset_is_found_wherever_it_is() {
    let batches = batches(Content::new(1), 20);
    let mut said = acked(&batches);
    said[7].base = -1;
    assert_eq!(counts(&findings_in(&batches.concat(), &said)), (false, false, false));
    said[7].first += 1_000_000;
    assert_eq!(counts(&findings_in(&batches.concat(), &said)), (true, false, false));
}

#[test]
fn a_lost_tail_is_lost() {
    let batches = batches(Content::new(1), 20);
    let said = acked(&batches);
    assert_eq!(counts(&findings_in(&batches[..19].concat(), &said)), (true, false, false));
}

#[test]
fn a_hole_is_a_wrong_offset_and_lost() {
    let mut batches = batches(Content::new(1), 20);
    let said = acked(&batches);
    batches.remove(3);
    assert_eq!(counts(&findings_in(&batches.concat(), &said)), (true, false, true));
}

#[test]
fn a_flipped_bit_is_wrong() {
    let batches = batches(Content::new(1), 3);
    let mut bytes = batches.concat();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(counts(&findings_in(&bytes, &[])), (false, false, true));
}

#[test]
fn a_repeated_batch_is_doubled_and_out_of_order() {
    let mut batches = batches(Content::new(1), 4);
    let (first, _) = Batch::parse(&batches[0]).unwrap();
    let end: i64 = batches.iter().map(|bytes| i64::from(Batch::parse(bytes).unwrap().0.record_count())).sum();
    let mut again = first.bytes().to_vec();
    again[..8].copy_from_slice(&end.to_be_bytes());
    batches.push(again);
    assert_eq!(counts(&findings_in(&batches.concat(), &[])), (false, true, true));
}

#[test]
fn another_rounds_records_are_wrong() {
    assert_eq!(counts(&findings_in(&batches(Content::new(2), 2).concat(), &[])), (false, false, true));
}

#[test]
fn what_a_consumer_has_read_must_stay() {
    let batches = batches(Content::new(1), 6);
    let marks: Vec<Mark> = batches
        .iter()
        .map(|bytes| Batch::parse(bytes).map(|(batch, _)| (batch.base_offset().get(), batch.crc())).unwrap())
        .collect();
    let wrong = |there: &[Mark]| {
        let mut observer = Observer::new("t", 1);
        observer.seen = vec![marks.clone()];
        let mut findings = Findings::default();
        find_vanished(&observer, &[Log { records: Vec::new(), batches: there.to_vec() }], &mut findings);
        findings.wrong
    };
    assert_eq!(wrong(&marks), 0);
    assert_eq!(wrong(&marks[..5]), 1);
    let mut changed = marks.clone();
    changed[2].1 ^= 1;
    assert_eq!(wrong(&changed), 1);
}

#[test]
fn a_power_cut_may_take_what_was_answered_late_or_not_flushed() {
    let batches = batches(Content::new(1), 20);
    let said = acked(&batches);
    let lost = |number: u32, cut_at: Instant| {
        let mut findings = Findings::default();
        let mut writer = Writer::new(number, Content::new(1), "t", ADDR.parse().unwrap(), 1, 1);
        writer.acked = said.clone();
        find_lost(&writer, &[Log::default()], Some(cut_at), &mut findings);
        (findings.lost > 0, findings.lost_unflushed > 0, findings.answered_late > 0)
    };
    let (before, after) = (said[0].at, Instant::now());
    assert_eq!(lost(WRITER, after), (true, false, false));
    assert_eq!(lost(WRITER, before), (false, false, true));
    // This one asks for acks=1.
    assert_eq!(lost(3, after), (false, true, false));
}
