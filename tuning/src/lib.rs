//! The host tuner: facts about a machine, rules over them, findings, and changes that can be taken back.
//!
//! Rules are pure: the same facts give the same findings on any machine, so that a recorded fact set is a test. Nothing here fails
//! for what it may not read: the fact then says why it is unknown, and so does the finding.
#![forbid(unsafe_code)]

// What is known about a host, and why the rest is not.
mod fact;
mod facts;
pub use fact::Fact;
pub use facts::{
    Clock, Cpu, Disk, Facts, Governor, Host, IdleState, Interface, Interrupt, Limits, Memory, Mount, Network, Ring,
};

// Where facts come from.
mod gather;
mod source;
pub use gather::{FACTS_VERSION, gather};
pub use source::Source;

// What the facts mean.
mod rule;
mod rules;
pub use rule::{Area, Change, Finding, Rule, Verdict, judge};
pub use rules::{RULES, find_rule};

// How a disk is best written to.
mod probe;
pub use probe::{Durable, Measured, Probe, ProbeError, Rate, Took, choose};
mod profile;
pub use profile::{DiskProfile, Flush, JournalProfile, PROFILE_FILE, ProfileError, SegmentProfile};

// How it is told.
mod report;
pub use report::{Shown, explain, report, to_json};

// Changing the host and taking it back.
mod apply;
mod journal;
pub use apply::{Applied, Host as Changeable, Kept, LiveHost, Plan, Reverted, apply, plan, revert, way_out};
pub use journal::{Entry, Journal, JournalError};
