//! By subject.

mod partition;
mod producers;
mod snapshot;
mod waiting;
