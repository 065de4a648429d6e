//! Files and folders, through the shard's ring.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use io_uring::{opcode, squeue, types};

use crate::buffer::{AlignedBuffer, Blocks};
use crate::{ring, simulation};

/// Largest single write, in bytes: the kernel hands larger ones to a worker thread.
const WRITE_BYTES_MAX: usize = 512 << 10;
/// How new files and folders may be used: by their owner, readable by its group.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// How to open a file.
#[derive(Clone, Copy, Default, Debug)]
pub struct Open {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Make it when it is not there.
    pub create: bool,
    /// Make it, and fail when it is there.
    pub create_new: bool,
    /// Cut it to nothing.
    pub truncate: bool,
    /// Past the page cache (O_DIRECT), where the file system can; see [`File::is_direct`].
    pub direct: bool,
}

impl Open {
    fn flags(self, direct: bool) -> i32 {
        let mut flags = libc::O_CLOEXEC;
        flags |= match (self.read, self.write) {
            (true, true) => libc::O_RDWR,
            (false, true) => libc::O_WRONLY,
            _ => libc::O_RDONLY,
        };
        for (wanted, flag) in [
            (self.create || self.create_new, libc::O_CREAT),
            (self.create_new, libc::O_EXCL),
            (self.truncate, libc::O_TRUNC),
            (direct, libc::O_DIRECT),
        ] {
            if wanted {
                flags |= flag;
            }
        }
        flags
    }
}

/// An open file. Dropping it closes it.
///
/// *Lives on:* the shard that opened it.
#[derive(Debug)]
pub struct File {
    place: Place,
    direct: bool,
}

/// Where an open file is.
#[derive(Debug)]
enum Place {
    Kernel(OwnedFd),
    Simulated(simulation::Handle),
}

/// What a write comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    Written,
    Durable,
}

impl Made {
    fn flags(self) -> i32 {
        if self == Made::Durable && !cfg!(feature = "unflushed") { libc::RWF_DSYNC } else { 0 }
    }
}

/// Blocks for one write, and where they are, for the kernel.
struct Row {
    blocks: Vec<Blocks>,
    vectors: Vec<libc::iovec>,
}

impl Row {
    fn new(blocks: Vec<Blocks>) -> Row {
        let vectors = blocks
            .iter()
            .map(|blocks| libc::iovec { iov_base: blocks.as_raw().cast_mut().cast(), iov_len: blocks.len() })
            .collect();
        Row { blocks, vectors }
    }
}

/// How something is written: from a registered buffer, and what it comes to.
#[derive(Clone, Copy, Debug)]
struct How {
    slot: Option<u16>,
    made: Made,
}

impl How {
    const PLAIN: How = How { slot: None, made: Made::Written };
}

impl File {
    /// Bytes that [`File::write_durably`] writes and flushes in one operation.
    pub const DURABLE_WRITE_BYTES: usize = WRITE_BYTES_MAX;

    /// Opens `path`.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn open(path: &Path, how: Open) -> io::Result<File> {
        if simulation::active() {
            let place = Place::Simulated(simulation::open(path, how).await?);
            return Ok(File { place, direct: how.direct });
        }
        match File::open_with(path, how, how.direct).await {
            // What a file system without O_DIRECT says.
            Err(error) if how.direct && error.raw_os_error() == Some(libc::EINVAL) => {
                File::open_with(path, how, false).await
            }
            other => other,
        }
    }

    async fn open_with(path: &Path, how: Open, direct: bool) -> io::Result<File> {
        let path = c_path(path)?;
        let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr())
            .flags(how.flags(direct))
            .mode(FILE_MODE)
            .build();
        let (result, _) = run(entry, path).await;
        let fd = i32::try_from(result?).map_err(io::Error::other)?;
        // SAFETY: the kernel just gave us this descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(File { place: Place::Kernel(fd), direct })
    }

    /// Whether reads and writes go past the page cache, and so need whole blocks.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The descriptor; none of a simulated file, which is never given to the kernel.
    fn fd(&self) -> types::Fd {
        match &self.place {
            Place::Kernel(fd) => types::Fd(fd.as_raw_fd()),
            Place::Simulated(_) => types::Fd(-1),
        }
    }

    /// Reads `len` bytes from `at` into the front of `buffer`; fewer only at the end of the file. Both are multiples of
    /// [`crate::BLOCK`] where the file is direct.
    ///
    /// # Errors
    /// The operating system's; the buffer comes back in any case.
    pub async fn read_at(&self, buffer: AlignedBuffer, len: usize, at: u64) -> (io::Result<usize>, AlignedBuffer) {
        self.read_into(buffer, 0..len, at).await
    }

    /// The same into a part of `buffer`, whose bounds are then multiples of [`crate::BLOCK`], too; says how much came.
    ///
    /// # Errors
    /// The operating system's; the buffer comes back in any case.
    pub async fn read_into(
        &self,
        mut buffer: AlignedBuffer,
        range: Range<usize>,
        at: u64,
    ) -> (io::Result<usize>, AlignedBuffer) {
        let len = range.end.min(buffer.len()).saturating_sub(range.start);
        let mut done = 0;
        while done < len {
            let left = range.start + done..range.start + len;
            let (result, back) = self.read_once(buffer, left, at + done as u64).await;
            buffer = back;
            match result {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    if self.direct && !count.is_multiple_of(crate::BLOCK) {
                        // A direct read that stops within a block has met the end of the file.
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(done), buffer)
    }

    async fn read_once(
        &self,
        mut buffer: AlignedBuffer,
        range: Range<usize>,
        at: u64,
    ) -> (io::Result<usize>, AlignedBuffer) {
        if let Place::Simulated(handle) = &self.place {
            return handle.read(buffer, range, at).await;
        }
        let entry = self.read_entry(&mut buffer, range, at);
        run(entry, buffer).await
    }

    fn read_entry(&self, buffer: &mut AlignedBuffer, range: Range<usize>, at: u64) -> squeue::Entry {
        let slot = buffer.slot_index();
        let start = buffer[range.start..range.end].as_mut_ptr();
        let len = (range.end - range.start) as u32;
        match slot {
            Some(slot) => opcode::ReadFixed::new(self.fd(), start, len, slot).offset(at).build(),
            None => opcode::Read::new(self.fd(), start, len).offset(at).build(),
        }
    }

    /// Writes `range` of `buffer` at `at`, all of it.
    ///
    /// # Errors
    /// The operating system's; the buffer comes back in any case.
    pub async fn write_at(
        &self,
        buffer: AlignedBuffer,
        range: Range<usize>,
        at: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        self.write_pieces(buffer, range, at, Made::Written).await
    }

    /// Writes `range` of `buffer` at `at` and makes it durable, in the same operations (`RWF_DSYNC`), side by side where there
    /// is more than [`File::DURABLE_WRITE_BYTES`]: cheaper than a write and a flush where the blocks were written before.
    ///
    /// # Errors
    /// The operating system's; then nobody knows what is on the disk, as after a failed flush.
    pub async fn write_durably(
        &self,
        buffer: AlignedBuffer,
        range: Range<usize>,
        at: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        self.write_pieces(buffer, range, at, Made::Durable).await
    }

    async fn write_pieces(
        &self,
        buffer: AlignedBuffer,
        range: Range<usize>,
        at: u64,
        made: Made,
    ) -> (io::Result<()>, AlignedBuffer) {
        if let Place::Simulated(handle) = &self.place {
            return simulation::write(handle, buffer, range, at, made == Made::Durable).await;
        }
        let how = How { slot: buffer.slot_index(), made };
        let start: *const u8 = buffer[range.start..range.end].as_ptr();
        let pieces = self.start_pieces(start, range.end - range.start, at, how);
        // The buffer stays in this frame until every piece has ended: each piece is awaited, and a dropped future
        // leaves the buffer to the guard below.
        let guard = KeepAlive(Some(buffer), pieces);
        guard.finish(self, how, range, at).await
    }

    fn start_pieces(
        &self,
        start: *const u8,
        len: usize,
        at: u64,
        how: How,
    ) -> Vec<(usize, usize, ring::Operation<()>)> {
        let ring = ring::current();
        let mut pieces = Vec::with_capacity(len.div_ceil(WRITE_BYTES_MAX));
        let mut from = 0;
        while from < len {
            let count = (len - from).min(WRITE_BYTES_MAX);
            let entry = self.write_entry(start.wrapping_add(from), count, at + from as u64, how);
            pieces.push((from, count, ring.submit(entry, ())));
            from += count;
        }
        pieces
    }

    fn write_entry(&self, start: *const u8, len: usize, at: u64, how: How) -> squeue::Entry {
        let len = len as u32;
        let flags = how.made.flags();
        match how.slot {
            Some(slot) => opcode::WriteFixed::new(self.fd(), start, len, slot).offset(at).rw_flags(flags).build(),
            None => opcode::Write::new(self.fd(), start, len).offset(at).rw_flags(flags).build(),
        }
    }

    /// Writes blocks of several chunks, one behind the other, at `at`, all of them, in one operation.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn write_row(&self, row: Vec<Blocks>, at: u64) -> io::Result<()> {
        if let Place::Simulated(handle) = &self.place {
            return simulation::write_row(handle, row, at).await;
        }
        let row = Row::new(row);
        let entry = opcode::Writev::new(self.fd(), row.vectors.as_ptr(), row.vectors.len() as u32).offset(at).build();
        let (result, row) = run(entry, row).await;
        let (mut done, mut at) = (progress(result)?, at);
        for blocks in &row.blocks {
            let first = done.min(blocks.len());
            self.write_rest(blocks, first, at).await?;
            done -= first;
            at += blocks.len() as u64;
        }
        Ok(())
    }

    /// Goes on after a short write: `done` bytes of these blocks, which begin at `at`, are written.
    async fn write_rest(&self, blocks: &Blocks, mut done: usize, at: u64) -> io::Result<()> {
        while done < blocks.len() {
            let start = blocks.as_raw().wrapping_add(done);
            let entry = self.write_entry(start, blocks.len() - done, at + done as u64, How::PLAIN);
            let (result, _) = run(entry, blocks.clone()).await;
            done += no_zero(progress(result)?)?;
        }
        Ok(())
    }

    /// Makes written data durable (`fdatasync`).
    ///
    /// # Errors
    /// The operating system's. After one, nobody knows what is on the disk: never ask again and go on.
    pub async fn sync_data(&self) -> io::Result<()> {
        if let Place::Simulated(handle) = &self.place {
            return handle.flush().await.map(drop);
        }
        if cfg!(feature = "unflushed") {
            return Ok(());
        }
        let entry = opcode::Fsync::new(self.fd()).flags(types::FsyncFlags::DATASYNC).build();
        run(entry, ()).await.0.map(drop)
    }

    /// Makes data and all of the file's attributes durable (`fsync`).
    ///
    /// # Errors
    /// As [`File::sync_data`].
    pub async fn sync_all(&self) -> io::Result<()> {
        if let Place::Simulated(handle) = &self.place {
            return handle.flush().await.map(drop);
        }
        if cfg!(feature = "unflushed") {
            return Ok(());
        }
        run(opcode::Fsync::new(self.fd()).build(), ()).await.0.map(drop)
    }

    /// Reserves disk space for `len` bytes from `at`; the file grows to hold them.
    ///
    /// # Errors
    /// The operating system's, such as a full disk.
    pub async fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        self.fallocate(at, len, 0).await
    }

    /// As [`File::allocate`], without a change of the file's size.
    ///
    /// # Errors
    /// The operating system's, such as a full disk.
    pub async fn allocate_keep_size(&self, at: u64, len: u64) -> io::Result<()> {
        self.fallocate(at, len, libc::FALLOC_FL_KEEP_SIZE).await
    }

    async fn fallocate(&self, at: u64, len: u64, mode: i32) -> io::Result<()> {
        if let Place::Simulated(handle) = &self.place {
            return handle.allocate(at, len, mode & libc::FALLOC_FL_KEEP_SIZE != 0).await.map(drop);
        }
        let entry = opcode::Fallocate::new(self.fd(), len).offset(at).mode(mode).build();
        run(entry, ()).await.0.map(drop)
    }

    /// Cuts or grows the file to `len` bytes.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn truncate(&self, len: u64) -> io::Result<()> {
        if let Place::Simulated(handle) = &self.place {
            return handle.truncate(len).await.map(drop);
        }
        let (result, ()) = run(opcode::Ftruncate::new(self.fd(), len).build(), ()).await;
        match result {
            // Kernels before 6.9 have no such operation.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                // SAFETY: a call on a descriptor that `self` owns.
                let code =
                    unsafe { libc::ftruncate(self.fd().0, libc::off_t::try_from(len).map_err(io::Error::other)?) };
                if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
            }
            other => other.map(drop),
        }
    }

    /// The file's size in bytes.
    ///
    /// # Errors
    /// The operating system's.
    pub fn size(&self) -> io::Result<u64> {
        if let Place::Simulated(handle) = &self.place {
            return handle.size();
        }
        Ok(u64::try_from(self.stat()?.st_size).unwrap_or(0))
    }

    fn stat(&self) -> io::Result<libc::stat> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: writes one `stat` into the local place.
        if unsafe { libc::fstat(self.fd().0, stat.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the place is filled.
        Ok(unsafe { stat.assume_init() })
    }

    /// Whether no folder names it any more: it was removed, and what is written to it goes with its last descriptor.
    ///
    /// # Errors
    /// The operating system's.
    pub fn is_removed(&self) -> io::Result<bool> {
        if let Place::Simulated(handle) = &self.place {
            return Ok(handle.is_removed());
        }
        Ok(self.stat()?.st_nlink == 0)
    }

    /// Closes it without blocking the shard.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn close(self) -> io::Result<()> {
        use std::os::fd::IntoRawFd;
        let Place::Kernel(fd) = self.place else { return Ok(()) };
        let fd = fd.into_raw_fd();
        run(opcode::Close::new(types::Fd(fd)).build(), ()).await.0.map(drop)
    }
}

/// A buffer whose write is under way, together with the operations that read it.
struct KeepAlive(Option<AlignedBuffer>, Vec<(usize, usize, ring::Operation<()>)>);

impl KeepAlive {
    async fn finish(mut self, file: &File, how: How, range: Range<usize>, at: u64) -> (io::Result<()>, AlignedBuffer) {
        let mut outcome = Ok(());
        while let Some((from, count, piece)) = self.1.last_mut() {
            let (from, count) = (*from, *count);
            let (result, ()) = piece.await;
            self.1.pop();
            let mut done = match progress(result) {
                Ok(done) => done,
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            while done < count && outcome.is_ok() {
                let Some(buffer) = &self.0 else { break };
                let start = buffer[range.start + from + done..].as_ptr();
                let entry = file.write_entry(start, count - done, at + (from + done) as u64, how);
                self.1.push((from + done, count - done, ring::current().submit(entry, ())));
                done = count;
            }
        }
        match self.0.take() {
            Some(buffer) => (outcome, buffer),
            None => panic!("the buffer of a write is taken only here"),
        }
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        if let Some(buffer) = self.0.take()
            && !self.1.is_empty()
        {
            // The write was abandoned half-way: the kernel may still read these pages, so they are never freed.
            std::mem::forget(buffer);
        }
    }
}

/// Bytes written, where being interrupted counts as none.
fn progress(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        other => other,
    }
}

/// A write that goes nowhere, twice, would loop for ever.
fn no_zero(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::Error::from(io::ErrorKind::WriteZero)) } else { Ok(count) }
}

async fn run<R: Unpin + 'static>(entry: squeue::Entry, resource: R) -> (io::Result<usize>, R) {
    ring::current().submit(entry, resource).await
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// What a folder holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name; names that are no UTF-8 are left out by [`list`].
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// A file's size in bytes.
    pub len: u64,
}

/// What the folder at `path` holds, in the order of names. Blocks the shard: for start-up and rare work.
///
/// # Errors
/// The operating system's.
pub async fn list(path: &Path) -> io::Result<Vec<Entry>> {
    if simulation::active() {
        return simulation::list(path);
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let len = if kind.is_file() { entry.metadata()?.len() } else { 0 };
        entries.push(Entry { name, is_dir: kind.is_dir(), len });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The whole content of a small file.
///
/// # Errors
/// The operating system's.
pub async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path, Open { read: true, ..Open::default() }).await?;
    let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
    let (result, buffer) = file.read_at(AlignedBuffer::new(size + 1), size, 0).await;
    let count = result?;
    Ok(buffer[..count].to_vec())
}

/// Puts `bytes` at `path` so that a crash leaves either the old content or the new: temporary file, flush, rename, flush of the folder.
///
/// # Errors
/// The operating system's; `path` is then unchanged.
pub async fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = File::open(&temporary, Open { write: true, create: true, truncate: true, ..Open::default() }).await?;
    let mut buffer = AlignedBuffer::new(bytes.len());
    buffer[..bytes.len()].copy_from_slice(bytes);
    file.write_at(buffer, 0..bytes.len(), 0).await.0?;
    file.sync_all().await?;
    file.close().await?;
    rename(&temporary, path).await?;
    sync_parent(path).await
}

/// Makes a folder and those above it that are missing, durably: each folder in which one was made is flushed.
///
/// # Errors
/// The operating system's.
pub async fn create_dir_all(path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut next = Some(path);
    while let Some(folder) = next {
        if folder.as_os_str().is_empty() || exists(folder) {
            break;
        }
        missing.push(folder);
        next = folder.parent();
    }
    for folder in missing.into_iter().rev() {
        match make_folder(folder).await {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sync_parent(folder).await?;
    }
    Ok(())
}

/// Makes a folder whose parent is there. It is durable once that is flushed: [`sync_dir`].
///
/// # Errors
/// The operating system's. A folder that is there already is none.
pub async fn create_dir(path: &Path) -> io::Result<()> {
    match make_folder(path).await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Makes the name of `path` durable: flushes the folder that holds it.
///
/// # Errors
/// The operating system's.
pub async fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")).await,
        Some(parent) => sync_dir(parent).await,
        None => Ok(()),
    }
}

async fn make_folder(path: &Path) -> io::Result<()> {
    if simulation::active() {
        return simulation::make_folder(path).await.map(drop);
    }
    let name = c_path(path)?;
    let entry = opcode::MkDirAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).mode(FOLDER_MODE).build();
    run(entry, name).await.0.map(drop)
}

/// Makes names in a folder durable.
///
/// # Errors
/// The operating system's.
pub async fn sync_dir(path: &Path) -> io::Result<()> {
    let folder = File::open(path, Open { read: true, ..Open::default() }).await?;
    folder.sync_all().await
}

/// Removes a file.
///
/// # Errors
/// The operating system's.
pub async fn remove(path: &Path) -> io::Result<()> {
    unlink(path, 0).await
}

async fn unlink(path: &Path, flags: i32) -> io::Result<()> {
    if simulation::active() {
        return simulation::unlink(path, flags & libc::AT_REMOVEDIR != 0).await.map(drop);
    }
    let name = c_path(path)?;
    let entry = opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).flags(flags).build();
    run(entry, name).await.0.map(drop)
}

/// Removes a folder and all in it; links are removed, not followed.
///
/// # Errors
/// The operating system's.
pub async fn remove_dir_all(path: &Path) -> io::Result<()> {
    let mut folders = vec![path.to_path_buf()];
    let mut emptied = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in list(&folder).await? {
            let inner = folder.join(&entry.name);
            if entry.is_dir { folders.push(inner) } else { remove(&inner).await? }
        }
        emptied.push(folder);
    }
    for folder in emptied.into_iter().rev() {
        unlink(&folder, libc::AT_REMOVEDIR).await?;
    }
    Ok(())
}

/// Renames a file or folder, over what may be there.
///
/// # Errors
/// The operating system's.
pub async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if simulation::active() {
        return simulation::rename(from, to).await.map(drop);
    }
    let names = (c_path(from)?, c_path(to)?);
    let cwd = types::Fd(libc::AT_FDCWD);
    let entry = opcode::RenameAt::new(cwd, names.0.as_ptr(), cwd, names.1.as_ptr()).build();
    run(entry, names).await.0.map(drop)
}

/// Whether anything is at `path`.
pub fn exists(path: &Path) -> bool {
    if simulation::active() { simulation::exists(path) } else { fs::symlink_metadata(path).is_ok() }
}

/// Bytes free for this process on the file system of `path`.
///
/// # Errors
/// The operating system's.
pub fn free_space(path: &Path) -> io::Result<u64> {
    space(path).map(|space| space.free)
}

/// How large a file system is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// All of it, in bytes.
    pub total: u64,
    /// What this process may still use, in bytes.
    pub free: u64,
}

/// The size of the file system of `path`.
///
/// # Errors
/// The operating system's.
pub fn space(path: &Path) -> io::Result<Space> {
    if simulation::active() {
        return Ok(simulation::space());
    }
    let name = c_path(path)?;
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: a terminated path, and one `statvfs` written into the local place.
    if unsafe { libc::statvfs(name.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the place is filled.
    let stat = unsafe { stat.assume_init() };
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
}

/// An exclusive lock on a file, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct FileLock {
    file: fs::File,
}

/// Takes the lock of the file at `path`, which is made when missing, and writes this process's id into it.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when another process holds it: the message is that process's id as found in the file.
pub fn lock(path: &Path) -> io::Result<FileLock> {
    use std::io::{Read, Write};
    let mut file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    // SAFETY: a call on a descriptor that `file` owns.
    if unsafe { libc::flock(file.as_raw_fd() as RawFd, libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(error);
        }
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        return Err(io::Error::new(io::ErrorKind::WouldBlock, holder.trim().to_owned()));
    }
    file.set_len(0)?;
    write!(file, "{}", std::process::id())?;
    Ok(FileLock { file })
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Empty means: nobody. The lock itself goes with the descriptor.
        let _ = self.file.set_len(0);
    }
}
