use std::rc::Rc;

use bytes::Bytes;

use crate::event::{Protocol, Token};
use crate::timers::TimerId;

/// A member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its id, shared with its alarm.
    pub(crate) id: Rc<str>,
    /// `group.instance.id`, if it is static.
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In its order of preference.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// Its JoinGroup, held until the group's next generation.
    pub(crate) joining: Option<Token>,
    /// Its SyncGroup, held until the leader has assigned.
    pub(crate) syncing: Option<Token>,
    /// It joined and was never answered: a session cannot be expected of it yet.
    pub(crate) is_new: bool,
    pub(crate) session: Option<TimerId>,
}

impl Member {
    /// What it said for `protocol`; nothing if it does not know it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|p| p.name == protocol).map(|p| p.metadata.clone()).unwrap_or_default()
    }

    /// The first of its protocols that everyone knows.
    pub(crate) fn vote(&self, everyone_knows: impl Fn(&str) -> bool) -> Option<&str> {
        self.protocols.iter().map(|p| p.name.as_str()).find(|name| everyone_knows(name))
    }

    /// Whether it need not be heard of now: it waits for the broker, not the other way round.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    pub(crate) fn is_static(&self) -> bool {
        self.instance.is_some()
    }
}
