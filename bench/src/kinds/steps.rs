use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::{Outcome, Run};
use crate::connection::connect;
use crate::error::{BenchError, Result};
use crate::frames::RESPONSE_BYTES_MAX;
use crate::prepared;
use crate::result::Stage;
use crate::spec::Spec;
use crate::stage::{self, Plan};
use crate::usage::Look;
use crate::verifier::Verdict;

impl Run<'_> {
    /// The same load over more and more connections.
    pub(super) fn connections(&mut self) -> Outcome {
        let topics = self.create()?;
        let (mut stages, mut ledgers) = (Vec::new(), Vec::new());
        let mut first = 0;
        for step in self.spec.steps.clone() {
            if self.control.stopped() {
                break;
            }
            let memory = self.idle_memory(step)?;
            let mut spec = self.spec.clone();
            spec.produce.producers = step;
            let each = self.spec.produce.rate_each.map(|rate| rate * f64::from(step));
            let plan = Plan {
                shares: prepared::shares(&spec, &topics, first, self.control.seed)?,
                requests_per_second: each.or(self.requests_per_second()),
                ..self.plan(&format!("{step} connections"), &topics)
            };
            let (mut stage, evidence) = stage::run(plan, self.target, self.control)?;
            ledgers.extend(evidence.ledgers);
            first += step;
            stage.scale = Some(step.into());
            if let Some(memory) = memory {
                stage.extra.insert("kib_per_connection".to_owned(), memory / 1024.0);
            }
            stages.push(stage);
        }
        let verdict = self.read_back(&topics, &ledgers)?;
        Ok((stages, verdict))
    }

    /// Bytes by which the broker grows for each of so many connections that ask once and then wait. `None`: it is not seen.
    fn idle_memory(&mut self, count: u32) -> Result<Option<f64>> {
        let Some(pid) = self.target.pid else { return Ok(None) };
        let before = Look::at(pid).resident();
        let mut open = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let mut socket = connect(self.target.addr)?;
            ask_versions(&mut socket)?;
            open.push(socket);
        }
        let grown = Look::at(pid).resident().saturating_sub(before);
        Ok(Some(grown as f64 / f64::from(count.max(1))))
    }

    /// The same load over more and more partitions, a topic for each stage.
    pub(super) fn partitions(&mut self) -> Outcome {
        let (mut stages, mut verdict): (Vec<Stage>, Verdict) = Default::default();
        for (at, step) in self.spec.steps.clone().into_iter().enumerate() {
            if self.control.stopped() {
                break;
            }
            let (stage, one) = self.partitions_step(at as u32, step)?;
            stages.push(stage);
            verdict.add(&one);
        }
        Ok((stages, verdict))
    }

    fn partitions_step(&mut self, at: u32, step: u32) -> Result<(Stage, Verdict)> {
        let begun = Instant::now();
        let topics = [self.create_one(at, step)?];
        let created = begun.elapsed().as_secs_f64();
        let mut spec: Spec = self.spec.clone();
        spec.topics.partitions = step;
        spec.produce.partitions_per_request =
            spec.produce.partitions_per_request.min(step.div_ceil(spec.produce.producers));
        spec.produce.producers = spec.produce.producers.min(step);
        let each = spec.produce.partitions_per_request;
        let plan = Plan {
            shares: prepared::shares(&spec, &topics, 0, self.control.seed)?,
            requests_per_second: spec.shape().batches_per_second.map(|rate| rate / f64::from(each)),
            ..self.plan(&format!("{step} partitions"), &topics)
        };
        let (mut stage, evidence) = stage::run(plan, self.target, self.control)?;
        stage.scale = Some(step.into());
        stage.extra.insert("create_seconds".to_owned(), created);
        let verdict = self.read_back(&topics, &evidence.ledgers)?;
        Ok((stage, verdict))
    }
}

/// ApiVersions version 0 of client "b", and its whole answer: what every client begins with.
fn ask_versions(socket: &mut TcpStream) -> Result<()> {
    const FRAME: [u8; 15] = [0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 1, 0, 1, b'b'];
    socket.write_all(&FRAME)?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = i32::from_be_bytes(length);
    if !(4..=RESPONSE_BYTES_MAX.min(1 << 20)).contains(&length) {
        return Err(BenchError::Malformed { what: "length of an answer" });
    }
    let mut answer = vec![0; length as usize];
    Ok(socket.read_exact(&mut answer)?)
}
