use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::files::FileData;
use super::folders::Folder;
use super::random::Random;

/// Bytes that a disk writes in one piece: a torn write keeps or loses whole sectors.
pub(super) const SECTOR: usize = 512;

/// What goes wrong on a disk besides crashes: chances in 10,000 operations of the kind.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// Reads that fail with EIO.
    pub read_errors: u32,
    /// Reads that bring less than was asked for.
    pub short_reads: u32,
    /// Writes that fail with EIO; some of it may be on the disk.
    pub write_errors: u32,
    /// Flushes that fail once with EIO; the next one says that all is well although it is not.
    pub flush_errors: u32,
    /// Writes that are said to be done and never are.
    pub lost_writes: u32,
    /// Writes that go to another place of the file.
    pub misdirected_writes: u32,
}

/// In the course of what a crash comes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Within {
    /// Any operation.
    #[default]
    Anything,
    /// A write to a file below this folder, which it may tear.
    WriteBelow(&'static str),
}

/// What a disk has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DiskCounters {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Flushes of files and folders.
    pub flushes: u64,
    /// Names made, removed and changed.
    pub names: u64,
    /// Operations that were under way when a crash came.
    pub interrupted: u64,
    /// Writes of which a crash kept some sectors and lost others.
    pub torn_writes: u64,
    /// Whole writes that a crash lost.
    pub lost_in_crash: u64,
    /// Names that a crash undid.
    pub names_undone: u64,
    /// Operations that failed because [`Faults`] say so.
    pub errors: u64,
    /// Writes that were lost or went elsewhere because [`Faults`] say so.
    pub silent_faults: u64,
    /// Operations refused for want of space.
    pub refused_full: u64,
}

/// A disk in memory. Clones are the same disk; it outlives the runs that use it.
#[derive(Clone, Debug)]
pub struct Disk(Rc<RefCell<State>>);

/// What is on the disk, and what is known to stay there.
#[derive(Debug)]
pub(super) struct State {
    pub(super) inodes: Vec<Option<Inode>>,
    pub(super) root: usize,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) counters: DiskCounters,
    /// Operations until the crash.
    pub(super) countdown: Option<u64>,
    pub(super) within: Within,
    pub(super) capacity: u64,
    pub(super) used: u64,
    /// Numbers changes of names, in the order in which they were made.
    pub(super) changes: u64,
    pub(super) traced: bool,
    /// How long the runs on this disk took, in virtual time.
    pub(super) clock: Duration,
}

/// A file or a folder.
#[derive(Debug)]
pub(super) struct Inode {
    /// The path at which it was made or put last, for the trace.
    pub(super) path: String,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    File(FileData),
    Folder(Folder),
}

pub(super) fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl Disk {
    /// An empty disk of `capacity` bytes; `seed` decides what faults and crashes do.
    pub fn new(seed: u64, capacity: u64) -> Disk {
        let root = Inode { path: "/".to_owned(), content: Content::Folder(Folder::default()) };
        Disk(Rc::new(RefCell::new(State {
            inodes: vec![Some(root)],
            root: 0,
            random: Random::new(seed),
            faults: Faults::default(),
            counters: DiskCounters::default(),
            countdown: None,
            within: Within::Anything,
            capacity,
            used: 0,
            changes: 0,
            traced: false,
            clock: Duration::ZERO,
        })))
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.borrow_mut())
    }

    /// The disk crashes in the course of the `operations`th operation from now, or of the next one after it that is what
    /// `within` says; `None`: not at all.
    pub fn crash_after(&self, operations: Option<u64>, within: Within) {
        self.with(|state| (state.countdown, state.within) = (operations, within));
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.with(|state| state.faults = faults);
    }

    /// Changes its size in bytes; what is there stays.
    pub fn set_capacity(&self, bytes: u64) {
        self.with(|state| state.capacity = bytes);
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.with(|state| state.used)
    }

    /// What it has done.
    pub fn counters(&self) -> DiskCounters {
        self.with(|state| state.counters)
    }

    /// Prints every operation to standard output from now on.
    pub fn trace(&self) {
        self.with(|state| state.traced = true);
    }

    /// Adds a line to the trace; `line` is called only when there is one.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let traced = self.with(|state| state.traced);
        if traced {
            println!("{}", line());
        }
    }

    /// The files below `folder`, as paths, in order.
    pub fn files(&self, folder: &str) -> Vec<String> {
        self.with(|state| {
            let mut found = Vec::new();
            state.each_file(state.root, "", &mut |path, _| {
                if path.starts_with(folder) {
                    found.push(path.to_owned());
                }
            });
            found
        })
    }

    /// The content of a file as a program would read it; nothing when it is not there.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|state| {
            let inode = state.resolve(path.as_ref()).ok()?;
            let file = state.file(inode).ok()?;
            let mut bytes = vec![0; usize::try_from(file.size()).ok()?];
            file.copy_out(0, &mut bytes);
            Some(bytes)
        })
    }

    /// Turns one bit of a file over, on the disk itself. Says whether there was such a place.
    pub fn flip_bit(&self, path: &str, at: u64, bit: u8) -> bool {
        self.damage(path, |file| file.change(at, |byte| byte ^ (1 << (bit % 8))))
    }

    /// Makes the sector of a file that holds `at` unreadable, until it is written again.
    pub fn spoil_sector(&self, path: &str, at: u64) -> bool {
        self.damage(path, |file| file.spoil(at))
    }

    fn damage(&self, path: &str, work: impl FnOnce(&mut FileData) -> bool) -> bool {
        self.with(|state| {
            let Ok(inode) = state.resolve(path.as_ref()) else { return false };
            let done = state.file_mut(inode).is_ok_and(work);
            if state.traced && done {
                println!("** damage done to {path}");
            }
            done
        })
    }
}

impl State {
    pub(super) fn inode(&self, inode: usize) -> io::Result<&Inode> {
        self.inodes.get(inode).and_then(Option::as_ref).ok_or_else(|| os_error(libc::ENOENT))
    }

    pub(super) fn inode_mut(&mut self, inode: usize) -> io::Result<&mut Inode> {
        self.inodes.get_mut(inode).and_then(Option::as_mut).ok_or_else(|| os_error(libc::ENOENT))
    }

    pub(super) fn file(&self, inode: usize) -> io::Result<&FileData> {
        match &self.inode(inode)?.content {
            Content::File(file) => Ok(file),
            Content::Folder(_) => Err(os_error(libc::EISDIR)),
        }
    }

    pub(super) fn file_mut(&mut self, inode: usize) -> io::Result<&mut FileData> {
        match &mut self.inode_mut(inode)?.content {
            Content::File(file) => Ok(file),
            Content::Folder(_) => Err(os_error(libc::EISDIR)),
        }
    }

    pub(super) fn folder(&self, inode: usize) -> io::Result<&Folder> {
        match &self.inode(inode)?.content {
            Content::Folder(folder) => Ok(folder),
            Content::File(_) => Err(os_error(libc::ENOTDIR)),
        }
    }

    pub(super) fn folder_mut(&mut self, inode: usize) -> io::Result<&mut Folder> {
        match &mut self.inode_mut(inode)?.content {
            Content::Folder(folder) => Ok(folder),
            Content::File(_) => Err(os_error(libc::ENOTDIR)),
        }
    }

    /// Counts an operation, which may be a write to a file; whether the crash comes in its course.
    pub(super) fn reaches_crash(&mut self, written: Option<usize>) -> bool {
        match &mut self.countdown {
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return false;
            }
            None => return false,
        }
        match self.within {
            Within::Anything => true,
            Within::WriteBelow(folder) => {
                written.and_then(|inode| self.inode(inode).ok()).is_some_and(|inode| inode.path.starts_with(folder))
            }
        }
    }

    pub(super) fn add(&mut self, path: String, content: Content) -> usize {
        self.inodes.push(Some(Inode { path, content }));
        self.inodes.len() - 1
    }

    /// Whether a fault with this chance in 10,000 strikes now.
    pub(super) fn strikes(&mut self, chance: u32) -> bool {
        chance > 0 && self.random.below(10_000) < chance as usize
    }

    pub(super) fn say(&self, inode: usize, what: impl FnOnce() -> String) {
        if self.traced {
            let path = self.inode(inode).map_or("?", |inode| inode.path.as_str());
            println!("   disk: {path}: {}", what());
        }
    }
}
