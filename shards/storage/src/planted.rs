//! Defects made on purpose, so that the simulation can be seen to find them. Nothing of it is in a program that is not built for
//! that test.

/// What is done wrong.
#[cfg_attr(not(feature = "planted-faults"), allow(unreachable_pub, reason = "public only for that test"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// A frame is acknowledged without a flush.
    FrameUnflushed,
    /// A journal file is used again although a log still needs it.
    TrimmedEarly,
    /// The names of new segments are not flushed.
    FolderUnflushed,
    /// What is written to a segment is not flushed.
    SegmentUnflushed,
    /// What was written to a segment earlier is not flushed before the journal lets go of it.
    ReleasedUnflushed,
    /// The checksum of a batch is not looked at when a segment's end is scanned.
    BatchUnchecked,
    /// The checksum of a journal's frame is not looked at.
    FrameUnchecked,
}

#[cfg(feature = "planted-faults")]
mod here {
    use std::cell::Cell;

    use super::Planted;

    thread_local! {
        static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    impl Planted {
        /// All of them.
        pub const ALL: [Planted; 7] = [
            Planted::FrameUnflushed,
            Planted::TrimmedEarly,
            Planted::FolderUnflushed,
            Planted::SegmentUnflushed,
            Planted::ReleasedUnflushed,
            Planted::BatchUnchecked,
            Planted::FrameUnchecked,
        ];

        /// From now on this is done wrong on this thread, and nothing else.
        pub fn plant(defect: Option<Planted>) {
            PLANTED.set(defect);
        }

        pub(crate) fn is_there(self) -> bool {
            PLANTED.get() == Some(self)
        }
    }
}

#[cfg(not(feature = "planted-faults"))]
impl Planted {
    pub(crate) const fn is_there(self) -> bool {
        false
    }
}
