//! By subject.

mod producers;
mod snapshot;
mod waiting;
