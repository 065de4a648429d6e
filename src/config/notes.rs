use ottla_cluster::config::{Effect, Layers, broker_key, broker_keys, removed};

use crate::cli::suggest::nearest;

/// Something worth saying about a key that was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The key, or the variable of the environment.
    pub key: String,
    /// What is worth saying.
    pub kind: NoteKind,
}

/// What is worth saying.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoteKind {
    /// Nothing is called that.
    Unknown {
        /// What is called nearly that.
        nearest: Option<String>,
    },
    /// It is ignored.
    Ignored {
        /// Why.
        why: &'static str,
    },
    /// It is kept and shown, but what it controls is not there yet.
    Stored {
        /// What is not there.
        why: &'static str,
    },
    /// The file says it twice; the last counts.
    Repeated {
        /// Where it is said again.
        line: usize,
    },
    /// Several folders; the first is used.
    SeveralFolders,
}

impl NoteKind {
    /// Whether something is probably not as it was meant.
    pub fn is_warning(&self) -> bool {
        !matches!(self, NoteKind::Stored { .. })
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.key;
        match &self.kind {
            NoteKind::Unknown { nearest: Some(nearest) } => {
                write!(f, "{key} is not a setting and is ignored; did you mean {nearest}?")
            }
            NoteKind::Unknown { nearest: None } => {
                write!(f, "{key} is not a setting and is ignored; ottla config list shows all")
            }
            NoteKind::Ignored { why } => write!(f, "{key} is ignored: {why}"),
            NoteKind::Stored { why } => write!(f, "{key} is kept but has no effect yet: {why}"),
            NoteKind::Repeated { line } => write!(f, "{key} is there again on line {line}; the last one counts"),
            NoteKind::SeveralFolders => write!(f, "{key} names several folders; the first is used"),
        }
    }
}

/// What is worth saying about a key with this value.
pub(super) fn about(name: &str, value: &str) -> Option<Note> {
    let note = |kind| Some(Note { key: name.to_owned(), kind });
    if let Some(key) = broker_key(name) {
        let is_default = key.default == Some(value.trim());
        return match key.effect {
            _ if is_default => None,
            Effect::Honoured => None,
            Effect::Stored(why) => note(NoteKind::Stored { why }),
            Effect::Meaningless(why) => note(NoteKind::Ignored { why }),
        };
    }
    if let Some(why) = removed(name) {
        return note(NoteKind::Ignored { why });
    }
    if name.starts_with("listener.name.") {
        return note(NoteKind::Stored { why: "settings of one listener come with TLS and SASL" });
    }
    let nearest = nearest(name, broker_keys().map(|key| key.name)).map(str::to_owned);
    note(NoteKind::Unknown { nearest })
}

/// What is worth saying about the data folders.
pub(super) fn about_folders(layers: &Layers<'_>) -> Option<Note> {
    let key = ["log.dirs", "log.dir"].into_iter().find(|name| layers.set(name).is_some())?;
    (layers.list(key).len() > 1).then(|| Note { key: key.to_owned(), kind: NoteKind::SeveralFolders })
}
