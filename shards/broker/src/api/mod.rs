//! One file for each API, in the order of their keys.

pub(crate) mod produce;

pub(crate) mod fetch;

pub(crate) mod api_versions;
