//! The `ottla` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Frees across cores without a lock: a frame is read on one shard and may be dropped on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ottla::cli::run(std::env::args_os())
}
