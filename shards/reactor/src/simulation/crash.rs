use super::disk::{Content, Disk, State};
use super::files::Share;

/// What a crash leaves alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Everything that was done: only the process died. What was not flushed is still not flushed.
    AllDone,
    /// What was flushed, and something of the rest: the power failed.
    Flushed,
}

/// In which order names reach the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    /// In that of their making, as journaling file systems do.
    Made,
    /// In any: nothing more is promised.
    Any,
}

impl Disk {
    /// Crashes: to be called when a run ended with [`super::Ended::Crashed`], or instead of a next run.
    pub fn crash(&self, kept: Kept) {
        self.note(|| format!("** crash: {kept:?}"));
        if kept == Kept::Flushed {
            self.with(State::cut_power);
        }
        self.with(|state| state.countdown = None);
    }
}

impl State {
    fn cut_power(&mut self) {
        let share = match self.random.below(10) {
            0 => Share::Nothing,
            1 => Share::Everything,
            _ => Share::Some,
        };
        self.undo_names(share);
        let mut random = self.random.clone();
        for inode in self.inodes.iter_mut().flatten() {
            if let Content::File(file) = &mut inode.content {
                let losses = file.crash(share, &mut random);
                self.counters.lost_in_crash += losses.lost;
                self.counters.torn_writes += losses.torn;
            }
        }
        self.random = random;
        self.forget_unreachable();
    }

    fn undo_names(&mut self, share: Share) {
        let order = if self.random.chance(50) { Order::Made } else { Order::Any };
        let folders = self.inodes.iter().flatten().filter_map(|inode| match &inode.content {
            Content::Folder(folder) => Some(folder),
            Content::File(_) => None,
        });
        let mut numbers: Vec<u64> =
            folders.flat_map(|folder| folder.pending.iter().map(|change| change.number)).collect();
        numbers.sort_unstable();
        let last = numbers.get(self.random.below(numbers.len() + 1)).copied().unwrap_or(u64::MAX);
        let mut random = self.random.clone();
        let mut undone = 0;
        for inode in self.inodes.iter_mut().flatten() {
            let Content::Folder(folder) = &mut inode.content else { continue };
            for change in std::mem::take(&mut folder.pending) {
                let kept = match (share, order) {
                    (Share::Nothing, _) => false,
                    (Share::Everything, _) => true,
                    (Share::Some, Order::Made) => change.number < last,
                    (Share::Some, Order::Any) => random.chance(50),
                };
                if kept {
                    change.what.apply(&mut folder.kept);
                } else {
                    undone += 1;
                }
            }
            folder.now.clone_from(&folder.kept);
        }
        self.counters.names_undone += undone;
        self.random = random;
    }

    /// Drops what no name leads to, and counts the space anew.
    fn forget_unreachable(&mut self) {
        let mut reached = vec![false; self.inodes.len()];
        let mut next = vec![self.root];
        self.used = 0;
        while let Some(inode) = next.pop() {
            reached[inode] = true;
            match self.inodes[inode].as_ref().map(|inode| &inode.content) {
                Some(Content::Folder(folder)) => next.extend(folder.now.values().filter(|inner| !reached[**inner])),
                Some(Content::File(file)) => self.used += file.allocated,
                None => {}
            }
        }
        for (inode, reached) in self.inodes.iter_mut().zip(reached) {
            if !reached {
                *inode = None;
            }
        }
    }
}
