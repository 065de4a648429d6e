use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// A file's bytes, a piece of them in memory.
pub(super) struct Reader {
    file: File,
    /// Bytes of the file.
    pub(super) size: u64,
    /// What the buffer holds: from where.
    from: u64,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> io::Result<Reader> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Reader { file, size, from: 0, buffer: Vec::new() })
    }

    /// At least `count` bytes from `at` on; fewer only at the end of the file.
    pub(super) fn at(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = count.min(left);
        if at < self.from || at + count as u64 > self.from + self.buffer.len() as u64 {
            self.buffer.clear();
            self.buffer.resize(count.max(READ_BYTES).min(left), 0);
            self.from = at;
            let mut done = 0;
            while done < self.buffer.len() {
                match self.file.read_at(&mut self.buffer[done..], at + done as u64) {
                    Ok(0) => break,
                    Ok(more) => done += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // What came before it is good; whoever needs the bytes behind is told.
                    Err(error) if done < count => {
                        self.buffer.clear();
                        return Err(error);
                    }
                    Err(_) => break,
                }
            }
            self.buffer.truncate(done);
        }
        let start = usize::try_from(at - self.from).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(&self.buffer[start..])
    }
}
