//! By subject.

mod producers;
mod snapshot;
