use std::collections::BTreeMap;
use std::rc::Rc;

/// What is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Alarm {
    /// A member's (or would-be member's) session, by group and member id.
    Session(Rc<str>, Rc<str>),
    /// A group's join phase.
    Join(Rc<str>),
    /// A group's sync phase.
    Sync(Rc<str>),
    /// Look for what is past its retention.
    Retention,
}

/// Where an alarm stands; its owner keeps this to move or stop it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct TimerId {
    due_ms: u64,
    serial: u64,
}

/// All alarms of one partition's groups, by the time they are due. Moving one allocates nothing new.
#[derive(Default, Debug)]
pub(crate) struct Timers {
    alarms: BTreeMap<TimerId, Alarm>,
    serial: u64,
}

impl Timers {
    /// Sets or moves the alarm in `slot` to `due_ms`; `make` says what it is when there was none.
    pub(crate) fn set(&mut self, slot: &mut Option<TimerId>, due_ms: u64, make: impl FnOnce() -> Alarm) {
        let alarm = slot.take().and_then(|id| self.alarms.remove(&id)).unwrap_or_else(make);
        self.serial += 1;
        let id = TimerId { due_ms, serial: self.serial };
        self.alarms.insert(id, alarm);
        *slot = Some(id);
    }

    /// Stops the alarm in `slot`, if it runs.
    pub(crate) fn cancel(&mut self, slot: &mut Option<TimerId>) {
        if let Some(id) = slot.take() {
            self.alarms.remove(&id);
        }
    }

    /// The first alarm that is due, taken out. Its owner's slot still names it; nothing is under that name any more.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<(TimerId, Alarm)> {
        let first = self.alarms.first_entry()?;
        (first.key().due_ms <= now_ms).then(|| first.remove_entry())
    }

    /// When the next alarm is due.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.alarms.first_key_value().map(|(id, _)| id.due_ms)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.alarms.len()
    }

    pub(crate) fn clear(&mut self) {
        self.alarms.clear();
    }
}
