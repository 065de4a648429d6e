//! By subject: bytes recorded from other implementations, round trips and hostile bytes, a broker's checks, stamping.

mod bombs;
mod golden;
mod hostile;
mod stamp;
mod validate;
