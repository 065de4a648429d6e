//! `ottla start`: a broker in the foreground.
use super::Failure;
use clap::Args;
/// Run a broker
#[derive(Args, Debug)]
pub(super) struct Start {}
impl Start {
    pub(super) fn run(&self) -> Result<(), Failure> {
        Ok(())
    }
}
