//! A consumer: fetches over one connection, looks at what it gets, and says what it has seen.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ottla_batch::HEADER_BYTES;

use crate::connection::connect;
use crate::error::{BenchError, Result};
use crate::frames::{FetchTerms, Fetched, fetch_frame, read_fetched, read_prefix};
use crate::measure::{Phase, Sampler, Tally};
use crate::source::{SocketSource, Source};
use crate::spec::Verify;
use crate::stamp::{self, LOOK_BYTES};
use crate::verifier::Sightings;

/// How long batches may take to arrive once the last has left.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two tries to connect, and after an answer that holds only errors.
const RETRY: Duration = Duration::from_millis(50);
/// Whole passes over old records that are kept to be judged.
const PASSES_MAX: usize = 8;
/// Bytes of a whole answer that are asked for (`fetch.max.bytes`).
const ANSWER_BYTES: i32 = 50 << 20;

/// From where to where a reader goes.
#[derive(Clone, Debug)]
pub enum Path {
    /// From these offsets on, one for each partition, until the run's end and what was sent has come.
    Tail(Vec<i64>),
    /// From the first set of offsets to the second, again and again until the run's end, or `once`.
    Between {
        /// Where it begins.
        from: Vec<i64>,
        /// Where it ends.
        to: Vec<i64>,
        /// It ends after one pass.
        once: bool,
    },
    /// The last so many bytes before these offsets, a place after the other.
    Places(Vec<Vec<i64>>),
}

/// What one consumer reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The topic's place in the list of topics.
    pub topic_at: usize,
    /// Its name.
    pub topic: String,
    /// The leader of its partitions.
    pub addr: SocketAddr,
    /// Which.
    pub partitions: Vec<i32>,
    /// From where to where.
    pub path: Path,
    /// How much it looks at.
    pub verify: Verify,
    /// `fetch.max.wait.ms`.
    pub max_wait_ms: i32,
    /// `fetch.min.bytes`.
    pub min_bytes: i32,
    /// `max.partition.fetch.bytes`.
    pub partition_bytes: i32,
    /// Fetches in flight ([`Path::Places`]).
    pub in_flight: usize,
    /// The first lost connection ends the run.
    pub fail_fast: bool,
}

/// What producers and readers of one stage tell each other.
#[derive(Debug, Default)]
pub struct Meeting {
    /// Readers that wait at the tail.
    pub ready: AtomicUsize,
    /// Load threads whose partitions have all taken a first batch.
    pub primed: AtomicUsize,
    /// When the first request of the load is due, once everybody is there.
    pub start_ns: OnceLock<u64>,
    /// Someone has given up.
    pub failed: AtomicBool,
    /// What is under way is not waited for: somebody is impatient.
    pub hurry: AtomicBool,
    /// The end of each partition once the last batch is acknowledged.
    pub ends: OnceLock<HashMap<(usize, i32), i64>>,
}

/// *Lives on: one consumer thread. Talks by: the phase, the meeting, the sampler's channel.*
struct Reader<'a> {
    plan: &'a Reading,
    phase: &'a Phase,
    meeting: &'a Meeting,
    source: SocketSource,
    correlation: i32,
    /// Where each partition is to be read from.
    next: Vec<i64>,
    /// Partitions that the session does not know the place of yet.
    moved: Vec<usize>,
    session: (i32, i32),
    sightings: Sightings,
    scratch: Vec<u8>,
    /// When batches of one answer were due and sent.
    times: Vec<(u64, u64)>,
    was_ready: bool,
}

/// Reads along the plan's path. Each whole pass is one entry of the result; the last may be cut short.
///
/// # Errors
/// Those of the first connection; with `fail_fast` also of later ones. The meeting is told.
pub fn read(plan: &Reading, phase: &Phase, meeting: &Meeting, mut sampler: Sampler) -> Result<Vec<Sightings>> {
    let outcome = Reader::open(plan, phase, meeting).and_then(|reader| match &plan.path {
        Path::Places(places) => reader.repeat(places, &mut sampler),
        Path::Tail(_) | Path::Between { .. } => reader.follow(&mut sampler),
    });
    sampler.turn(phase)?;
    sampler.hand_over()?;
    if outcome.is_err() {
        meeting.failed.store(true, Ordering::Relaxed);
    }
    outcome
}

fn open(addr: SocketAddr) -> Result<SocketSource> {
    let socket = connect(addr)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(SocketSource::new(socket))
}

impl<'a> Reader<'a> {
    fn open(plan: &'a Reading, phase: &'a Phase, meeting: &'a Meeting) -> Result<Reader<'a>> {
        let next = match &plan.path {
            Path::Tail(from) | Path::Between { from, .. } => from.clone(),
            Path::Places(_) => Vec::new(),
        };
        Ok(Reader {
            source: open(plan.addr)?,
            plan,
            phase,
            meeting,
            correlation: 0,
            moved: (0..next.len()).collect(),
            next,
            session: (0, 0),
            sightings: Sightings::default(),
            scratch: Vec::new(),
            times: Vec::new(),
            was_ready: false,
        })
    }

    /// Tail and catch-up: one fetch after the other, with an incremental session (KIP-227) as clients do.
    fn follow(mut self, sampler: &mut Sampler) -> Result<Vec<Sightings>> {
        let mut passes = Vec::new();
        let mut deadline = None;
        while !self.meeting.failed.load(Ordering::Relaxed) {
            sampler.turn(self.phase)?;
            let fetched = self.fetch(sampler.tally());
            match fetched {
                Err(BenchError::Closed | BenchError::Io { .. }) if !self.plan.fail_fast => {
                    sampler.tally().outages += 1;
                    if !self.reopen() {
                        break;
                    }
                }
                other => other?,
            }
            if !self.was_ready {
                self.was_ready = true;
                self.meeting.ready.fetch_add(1, Ordering::Relaxed);
            }
            if self.ends_now(&mut passes, &mut deadline) {
                break;
            }
        }
        passes.push(self.sightings);
        Ok(passes)
    }

    /// Whether the path is at its end. A pass between two places begins again.
    fn ends_now(&mut self, passes: &mut Vec<Sightings>, deadline: &mut Option<Instant>) -> bool {
        match &self.plan.path {
            Path::Between { from, to, once } => {
                if self.next.iter().zip(to).all(|(next, to)| next >= to) {
                    self.sightings.to_the_end = true;
                    if *once || self.phase.stopped() {
                        return true;
                    }
                    let pass = std::mem::take(&mut self.sightings);
                    if passes.len() < PASSES_MAX {
                        passes.push(pass);
                    }
                    self.next.clone_from(from);
                    self.moved = (0..from.len()).collect();
                }
                !*once && self.phase.stopped()
            }
            Path::Tail(_) => {
                let Some(ends) = self.meeting.ends.get() else { return false };
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + DRAIN_TIMEOUT);
                let end = |partition: &i32| ends.get(&(self.plan.topic_at, *partition)).copied().unwrap_or(0);
                self.sightings.to_the_end =
                    self.plan.partitions.iter().zip(&self.next).all(|(partition, next)| *next >= end(partition));
                self.sightings.to_the_end || Instant::now() > deadline || self.meeting.hurry.load(Ordering::Relaxed)
            }
            Path::Places(_) => true,
        }
    }

    /// Connects again; false when the run ended meanwhile.
    fn reopen(&mut self) -> bool {
        while !self.phase.stopped() && !self.meeting.failed.load(Ordering::Relaxed) {
            std::thread::sleep(RETRY);
            if let Ok(source) = open(self.plan.addr) {
                self.source = source;
                self.correlation = 0;
                self.session = (0, 0);
                self.moved = (0..self.next.len()).collect();
                return true;
            }
        }
        false
    }

    fn terms(&self) -> FetchTerms {
        FetchTerms {
            // The first answer, which may be empty, tells that the session stands.
            max_wait_ms: if self.correlation == 0 { 0 } else { self.plan.max_wait_ms },
            min_bytes: self.plan.min_bytes,
            max_bytes: ANSWER_BYTES,
            partition_max_bytes: self.plan.partition_bytes,
            session_id: self.session.0,
            session_epoch: self.session.1,
        }
    }

    fn fetch(&mut self, tally: &mut Tally) -> Result<()> {
        let parts: Vec<(i32, i64)> = self.moved.iter().map(|at| (self.plan.partitions[*at], self.next[*at])).collect();
        let (mut frame, _) = fetch_frame(&self.plan.topic, self.terms(), &parts);
        self.correlation += 1;
        let asked_ns = self.phase.now_ns();
        self.source.socket().write_all(frame.with_correlation(self.correlation))?;
        let length = read_prefix(&mut self.source, self.correlation)?;
        tally.wire.0 += frame.total_len() as u64;
        tally.wire.1 += length as u64 + 8;
        self.moved.clear();
        self.times.clear();
        let Reader { plan, phase, source, next, moved, sightings, scratch, times, .. } = self;
        let mut look = Look { plan, phase, sightings, scratch, times, tracks: true };
        let (mut brought, mut refused) = (0, false);
        let session = read_fetched(source, |fetched, source| {
            tally.error(fetched.error);
            refused |= fetched.error != 0;
            let at = plan.partitions.iter().position(|partition| *partition == fetched.partition);
            let at = at.ok_or(BenchError::Malformed { what: "a partition that was not asked for" })?;
            if fetched.records_bytes > 0 {
                brought += fetched.records_bytes;
                next[at] = look.batches(source, fetched, next[at], tally)?;
                moved.push(at);
            }
            Ok(())
        })?;
        tally.error(session.error);
        let now = phase.now_ns();
        if phase.counts() {
            tally.requests += 1;
        }
        if matches!(plan.path, Path::Tail(_)) {
            for (due, sent) in times.iter().filter(|(due, _)| phase.covers(*due)) {
                tally.took(now, *due, *sent);
            }
        } else if brought > 0 && phase.covers(asked_ns) {
            tally.took(now, asked_ns, asked_ns);
        }
        self.keep_session(session.error, session.session_id);
        if refused && brought == 0 {
            std::thread::sleep(RETRY);
        }
        Ok(())
    }

    fn keep_session(&mut self, error: i16, session_id: i32) {
        if error != 0 || session_id == 0 {
            // No session, or it is gone: name all partitions again.
            self.session = (0, 0);
            self.moved = (0..self.next.len()).collect();
        } else {
            self.session = (session_id, self.session.1.wrapping_add(1).max(1));
        }
    }

    /// The same places again and again, several fetches in flight, without sessions.
    fn repeat(mut self, places: &[Vec<i64>], sampler: &mut Sampler) -> Result<Vec<Sightings>> {
        let terms = FetchTerms { session_epoch: -1, max_wait_ms: self.plan.max_wait_ms, ..self.terms() };
        let frame = |offsets: &Vec<i64>| {
            let parts: Vec<(i32, i64)> = self.plan.partitions.iter().copied().zip(offsets.iter().copied()).collect();
            fetch_frame(&self.plan.topic, terms, &parts).0
        };
        let mut frames: Vec<_> = places.iter().map(frame).collect();
        let mut asked = std::collections::VecDeque::new();
        self.meeting.ready.fetch_add(1, Ordering::Relaxed);
        let mut sent = 0i32;
        while !self.phase.stopped() && !self.meeting.failed.load(Ordering::Relaxed) {
            sampler.turn(self.phase)?;
            while asked.len() < self.plan.in_flight {
                sent += 1;
                let at = sent as usize % frames.len();
                asked.push_back(self.phase.now_ns());
                self.source.socket().write_all(frames[at].with_correlation(sent))?;
                sampler.tally().wire.0 += frames[at].total_len() as u64;
            }
            let asked_ns = asked.pop_front().unwrap_or_default();
            self.correlation += 1;
            self.answer(asked_ns, sampler.tally())?;
        }
        Ok(vec![self.sightings])
    }

    /// One answer of [`Reader::repeat`].
    fn answer(&mut self, asked_ns: u64, tally: &mut Tally) -> Result<()> {
        let length = read_prefix(&mut self.source, self.correlation)?;
        tally.wire.1 += length as u64 + 8;
        let Reader { plan, phase, source, sightings, scratch, times, .. } = self;
        times.clear();
        let mut look = Look { plan, phase, sightings, scratch, times, tracks: false };
        let mut brought = 0;
        read_fetched(source, |fetched, source| {
            tally.error(fetched.error);
            brought += fetched.records_bytes;
            if plan.verify == Verify::Off {
                if phase.counts() {
                    tally.bytes += fetched.records_bytes as u64;
                }
                return source.skip(fetched.records_bytes);
            }
            look.batches(source, fetched, 0, tally).map(drop)
        })?;
        if brought == 0 && tally.errors.is_empty() {
            return Err(BenchError::Malformed { what: "a fetch of old records that brought none" });
        }
        if phase.counts() {
            tally.requests += 1;
        }
        if phase.covers(asked_ns) {
            let now = phase.now_ns();
            tally.took(now, asked_ns, asked_ns);
        }
        Ok(())
    }
}

/// Looks at the batches of one partition in an answer.
struct Look<'a> {
    plan: &'a Reading,
    phase: &'a Phase,
    sightings: &'a mut Sightings,
    scratch: &'a mut Vec<u8>,
    times: &'a mut Vec<(u64, u64)>,
    /// Whether numbers are followed.
    tracks: bool,
}

impl Look<'_> {
    /// The offset after the last whole batch.
    fn batches(&mut self, source: &mut SocketSource, fetched: Fetched, from: i64, tally: &mut Tally) -> Result<i64> {
        let mut left = fetched.records_bytes;
        let mut next = from;
        while left > HEADER_BYTES {
            let mut head = [0; LOOK_BYTES];
            source.fill(&mut head[..HEADER_BYTES])?;
            let total = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
            let total = usize::try_from(total).unwrap_or(0) + 12;
            if total <= HEADER_BYTES || total > left {
                // Cut off by the answer's size limit: it comes again with the next fetch.
                left -= HEADER_BYTES;
                break;
            }
            let look = total.min(LOOK_BYTES);
            source.fill(&mut head[HEADER_BYTES..look])?;
            let mut base = &head[..8];
            let mut delta = &head[23..27];
            let (base, delta) = (base.i64()?, delta.i32()?);
            if base + i64::from(delta) >= from {
                next = base + i64::from(delta) + 1;
                self.batch(source, fetched.partition, &head[..look], total)?;
                if self.phase.counts() {
                    tally.batches += 1;
                    tally.bytes += total as u64;
                    tally.records += u64::try_from(delta).unwrap_or(0) + 1;
                }
            } else {
                source.skip(total - look)?;
            }
            left -= total;
        }
        source.skip(left)?;
        Ok(next)
    }

    /// One batch, of which `head` has been read.
    fn batch(&mut self, source: &mut SocketSource, partition: i32, head: &[u8], total: usize) -> Result<()> {
        let read = if self.plan.verify == Verify::Off { None } else { stamp::read(head, self.phase.wall_ms()) };
        if self.plan.verify == Verify::Full {
            self.scratch.resize(total, 0);
            self.scratch[..head.len()].copy_from_slice(head);
            source.fill(&mut self.scratch[head.len()..])?;
            if !self.is_whole(read.map(|(stamp, end)| (stamp.rest_crc, end))) {
                self.sightings.damaged += 1;
            }
        } else {
            source.skip(total - head.len())?;
        }
        // The end of a transaction: a control batch, the broker's own.
        if head[22] & 0x20 != 0 {
            return Ok(());
        }
        let Some((stamp, _)) = read else {
            self.sightings.damaged += u64::from(self.plan.verify == Verify::Sequence);
            return Ok(());
        };
        self.times.push((stamp.due_ns, stamp.sent_ns));
        if self.tracks {
            let key = (self.plan.topic_at, partition, stamp.producer);
            let track = self.sightings.tracks.entry(key).or_default();
            track.see(stamp.sequence_near(track.next()));
        }
        Ok(())
    }

    /// Whether the batch's checksums match, its own and the one in its stamp.
    fn is_whole(&self, rest: Option<(Option<u32>, usize)>) -> bool {
        let bytes = &self.scratch[..];
        let own = u32::from_be_bytes([bytes[17], bytes[18], bytes[19], bytes[20]]);
        own == crc32c::crc32c(&bytes[21..])
            && match rest {
                Some((Some(crc), end)) => crc == crc32c::crc32c(&bytes[end..]),
                Some((None, _)) => true,
                None => false,
            }
    }
}
