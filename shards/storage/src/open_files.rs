//! Descriptors of segments: opened on demand, the least recently used closed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ottla_reactor::file::{File, Open};
use ottla_units::{Offset, TopicPartition};

use crate::StorageError;
use crate::layout::SegmentFile;
use crate::log::LogCore;

/// Open segment files of one shard. One in use stays open beyond the limit until its user is done.
pub(crate) struct OpenFiles {
    files: RefCell<HashMap<(TopicPartition, Offset), Opened>>,
    limit: usize,
    clock: Cell<u64>,
}

struct Opened {
    file: Rc<File>,
    used: u64,
}

impl OpenFiles {
    pub(crate) fn new(limit: usize) -> OpenFiles {
        OpenFiles { files: RefCell::default(), limit: limit.max(8), clock: Cell::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.borrow().len()
    }

    pub(crate) fn clear(&self) {
        self.files.borrow_mut().clear();
    }

    /// The `.log` file of a segment, made if asked.
    pub(crate) async fn segment(&self, log: &LogCore, base: Offset, create: bool) -> Result<Rc<File>, StorageError> {
        let key = (log.key, base);
        let now = self.clock.get() + 1;
        self.clock.set(now);
        if let Some(opened) = self.files.borrow_mut().get_mut(&key) {
            opened.used = now;
            return Ok(Rc::clone(&opened.file));
        }
        let path = SegmentFile::Log.path(&log.path(), base);
        let how = Open { read: true, write: true, create, direct: true, ..Open::default() };
        let file = Rc::new(File::open(&path, how).await.map_err(StorageError::io(&path, "open"))?);
        let mut files = self.files.borrow_mut();
        files.insert(key, Opened { file: Rc::clone(&file), used: now });
        if files.len() > self.limit {
            close_oldest(&mut files);
        }
        Ok(file)
    }

    /// Closes a segment's file.
    pub(crate) fn close(&self, key: TopicPartition, base: Offset) {
        self.files.borrow_mut().remove(&(key, base));
    }
}

/// Closes an eighth of the files, so that the search for the oldest is rare.
fn close_oldest(files: &mut HashMap<(TopicPartition, Offset), Opened>) {
    let mut uses: Vec<u64> = files.values().map(|opened| opened.used).collect();
    let eighth = uses.len() / 8;
    let (_, limit, _) = uses.select_nth_unstable(eighth);
    let limit = *limit;
    files.retain(|_, opened| opened.used > limit);
}
