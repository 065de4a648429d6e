//! What folders hold: names, now and for certain after a crash.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use super::disk::{Content, State, os_error};
use super::files::FileData;
use crate::file::{Entry, Open};

/// One folder: its names and what they name.
#[derive(Default, Debug)]
pub(super) struct Folder {
    pub(super) now: BTreeMap<String, usize>,
    pub(super) kept: BTreeMap<String, usize>,
    pub(super) pending: Vec<Change>,
}

/// A change of names that is not flushed.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Its place among the changes of all folders.
    pub(super) number: u64,
    pub(super) what: Naming,
}

#[derive(Clone, Debug)]
pub(super) enum Naming {
    Made(String, usize),
    Removed(String),
    Renamed(String, String, usize),
}

impl Naming {
    pub(super) fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Naming::Made(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Naming::Removed(name) => {
                names.remove(name);
            }
            Naming::Renamed(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

impl Folder {
    pub(super) fn flush(&mut self) {
        self.kept.clone_from(&self.now);
        self.pending.clear();
    }
}

impl State {
    /// The inode at `path`.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<usize> {
        let mut inode = self.root;
        for part in path.components() {
            if let Component::Normal(name) = part {
                let name = name.to_str().ok_or_else(|| os_error(libc::EINVAL))?;
                inode = *self.folder(inode)?.now.get(name).ok_or_else(|| os_error(libc::ENOENT))?;
            }
        }
        Ok(inode)
    }

    /// The folder that holds `path`, and the name in it.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(usize, &'a str)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| os_error(libc::EINVAL))?;
        if name.len() > 255 {
            return Err(os_error(libc::ENAMETOOLONG));
        }
        let parent = path.parent().ok_or_else(|| os_error(libc::EINVAL))?;
        Ok((self.resolve(parent)?, name))
    }

    fn change(&mut self, folder: usize, what: Naming) -> io::Result<()> {
        self.counters.names += 1;
        self.changes += 1;
        let number = self.changes;
        self.say(folder, || format!("{what:?}"));
        let folder = self.folder_mut(folder)?;
        what.apply(&mut folder.now);
        folder.pending.push(Change { number, what });
        Ok(())
    }

    pub(super) fn open(&mut self, path: &Path, how: Open) -> io::Result<usize> {
        match self.resolve(path) {
            Ok(_) if how.create_new => Err(os_error(libc::EEXIST)),
            Ok(inode) => {
                if how.write && how.truncate {
                    self.truncate(inode, 0)?;
                }
                Ok(inode)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) && (how.create || how.create_new) => {
                let (folder, name) = self.place(path)?;
                let inode = self.add(path.display().to_string(), Content::File(FileData::default()));
                self.change(folder, Naming::Made(name.to_owned(), inode))?;
                Ok(inode)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        if self.folder(folder)?.now.contains_key(name) {
            return Err(os_error(libc::EEXIST));
        }
        let inode = self.add(path.display().to_string(), Content::Folder(Folder::default()));
        self.change(folder, Naming::Made(name.to_owned(), inode))
    }

    pub(super) fn unlink(&mut self, path: &Path, as_folder: bool) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        let inode = self.resolve(path)?;
        match (&self.inode(inode)?.content, as_folder) {
            (Content::File(file), false) => self.used -= file.allocated,
            (Content::Folder(inner), true) if inner.now.is_empty() => {}
            (Content::Folder(_), true) => return Err(os_error(libc::ENOTEMPTY)),
            (Content::Folder(_), false) => return Err(os_error(libc::EISDIR)),
            (Content::File(_), true) => return Err(os_error(libc::ENOTDIR)),
        }
        if let Ok(file) = self.file_mut(inode) {
            file.removed = true;
        }
        self.change(folder, Naming::Removed(name.to_owned()))
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((folder, old), (target, new)) = (self.place(from)?, self.place(to)?);
        let inode = self.resolve(from)?;
        if folder != target {
            // Storage renames within one folder only: there it is atomic everywhere.
            return Err(os_error(libc::EXDEV));
        }
        if let Ok(replaced) = self.resolve(to) {
            let freed = self.file(replaced)?.allocated;
            self.used -= freed.min(self.used);
        }
        self.inode_mut(inode)?.path = to.display().to_string();
        self.change(folder, Naming::Renamed(old.to_owned(), new.to_owned(), inode))
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let folder = self.folder(self.resolve(path)?)?;
        let entries = folder.now.iter().map(|(name, inode)| {
            let content = self.inode(*inode).map(|inode| &inode.content);
            let (is_dir, len) = match content {
                Ok(Content::File(file)) => (false, file.size()),
                _ => (true, 0),
            };
            Entry { name: name.clone(), is_dir, len }
        });
        Ok(entries.collect())
    }

    /// Calls `work` for every file below a folder.
    pub(super) fn each_file(&self, inode: usize, path: &str, work: &mut impl FnMut(&str, usize)) {
        let Ok(folder) = self.folder(inode) else { return work(path, inode) };
        for (name, inner) in &folder.now {
            self.each_file(*inner, &format!("{path}/{name}"), work);
        }
    }
}
