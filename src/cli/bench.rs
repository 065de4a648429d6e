//! `ottla bench`: the load generator.

use ottla_bench::cli::{Bench, Trouble};

use super::Failure;

pub(super) fn run(command: Bench) -> Result<(), Failure> {
    command.run().map_err(|trouble| match trouble {
        Trouble::Usage(what) => Failure::usage(what),
        Trouble::Interrupted(what) => Failure::interrupted(what),
        Trouble::Run(what, None) => Failure::runtime(what),
        Trouble::Run(what, Some(next)) => Failure::runtime(what).next(next),
    })
}
