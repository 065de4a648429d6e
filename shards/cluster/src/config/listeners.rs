use super::layers::Layers;
use std::collections::{BTreeMap, BTreeSet};

/// Where connections are taken, or where clients are sent: `NAME://host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The listener's name, in capital letters.
    pub name: String,
    /// Empty: every address, or the host's own name.
    pub host: String,
    /// 0: any that is free.
    pub port: u16,
    /// How bytes go over it.
    pub protocol: SecurityProtocol,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

/// How bytes go over a connection (`SecurityProtocol`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecurityProtocol {
    /// As they are.
    Plaintext,
    /// With TLS.
    Ssl,
    /// As they are, after a login.
    SaslPlaintext,
    /// With TLS, after a login.
    SaslSsl,
}

impl SecurityProtocol {
    /// The protocol of this name.
    pub fn named(name: &str) -> Option<SecurityProtocol> {
        Some(match name {
            "PLAINTEXT" => SecurityProtocol::Plaintext,
            "SSL" => SecurityProtocol::Ssl,
            "SASL_PLAINTEXT" => SecurityProtocol::SaslPlaintext,
            "SASL_SSL" => SecurityProtocol::SaslSsl,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }
}

/// Listeners that cannot be understood, or that contradict each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenerError {
    /// Not `NAME://host:port`.
    Malformed {
        /// The key.
        key: &'static str,
        /// The part that is not.
        value: String,
    },
    /// A name that `listener.security.protocol.map` lacks.
    NoProtocol {
        /// The name.
        name: String,
    },
    /// A protocol that does not exist.
    UnknownProtocol {
        /// The listener's name.
        name: String,
        /// What was said.
        protocol: String,
    },
    /// A name that is there twice.
    Twice {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
    },
    /// A port that two listeners of one host share.
    PortTwice {
        /// The port.
        port: u16,
    },
    /// An advertised listener that is none of the listeners.
    NotAListener {
        /// Its name.
        name: String,
    },
    /// An advertised host that no client can reach.
    Unroutable {
        /// What was said.
        value: String,
    },
    /// Nothing is left to listen on for clients.
    None,
    /// A listener with a protocol that Ottla does not speak yet.
    NotYet {
        /// The listener's name.
        name: String,
        /// Its protocol.
        protocol: SecurityProtocol,
    },
}

impl std::fmt::Display for ListenerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenerError::Malformed { key, value } => {
                write!(f, "{key}: {value:?} is not NAME://host:port, as in PLAINTEXT://127.0.0.1:9092")
            }
            ListenerError::NoProtocol { name } => {
                write!(f, "listener {name} has no protocol: add {name}:PLAINTEXT to listener.security.protocol.map")
            }
            ListenerError::UnknownProtocol { name, protocol } => write!(
                f,
                "listener.security.protocol.map: {name} has protocol {protocol:?}; allowed are PLAINTEXT, SSL, \
                 SASL_PLAINTEXT and SASL_SSL"
            ),
            ListenerError::Twice { key, name } => {
                write!(f, "{key}: {name} is there twice; each name may be there once")
            }
            ListenerError::PortTwice { port } => write!(f, "listeners: port {port} is there twice for one host"),
            ListenerError::NotAListener { name } => {
                write!(f, "advertised.listeners: {name} is none of the listeners")
            }
            ListenerError::Unroutable { value } => {
                write!(f, "advertised.listeners: {value} cannot be reached by a client; name a host")
            }
            ListenerError::None => f.write_str("listeners: none is left for clients; say PLAINTEXT://127.0.0.1:9092"),
            ListenerError::NotYet { name, protocol } => write!(
                f,
                "listener {name} has protocol {}, which comes later; only PLAINTEXT is spoken now",
                protocol.name()
            ),
        }
    }
}

impl std::error::Error for ListenerError {}

/// Where clients connect: `listeners` without those of the controller.
pub(super) fn listeners(layers: &Layers<'_>) -> Result<Vec<Endpoint>, ListenerError> {
    let protocols = protocols(layers)?;
    let controllers: BTreeSet<String> =
        layers.list("controller.listener.names").iter().map(|name| name.to_uppercase()).collect();
    let mut endpoints = Vec::new();
    for text in layers.list("listeners") {
        let endpoint = parse("listeners", &text, &protocols)?;
        if endpoints.iter().any(|other: &Endpoint| other.name == endpoint.name) {
            return Err(ListenerError::Twice { key: "listeners", name: endpoint.name });
        }
        let clash = |other: &&Endpoint| other.port == endpoint.port && other.host == endpoint.host;
        if endpoint.port != 0 && endpoints.iter().any(|other| clash(&other)) {
            return Err(ListenerError::PortTwice { port: endpoint.port });
        }
        endpoints.push(endpoint);
    }
    endpoints.retain(|endpoint| !controllers.contains(&endpoint.name));
    if endpoints.is_empty() {
        return Err(ListenerError::None);
    }
    match endpoints.iter().find(|endpoint| endpoint.protocol != SecurityProtocol::Plaintext) {
        Some(secure) => Err(ListenerError::NotYet { name: secure.name.clone(), protocol: secure.protocol }),
        None => Ok(endpoints),
    }
}

/// What clients are told, one for each listener: what `advertised.listeners` says, else the listener itself.
pub(super) fn advertised(layers: &Layers<'_>, listeners: &[Endpoint]) -> Result<Vec<Endpoint>, ListenerError> {
    let protocols = protocols(layers)?;
    let mut said: Vec<Endpoint> = Vec::new();
    for text in layers.list("advertised.listeners") {
        let endpoint = parse("advertised.listeners", &text, &protocols)?;
        if said.iter().any(|other| other.name == endpoint.name) {
            return Err(ListenerError::Twice { key: "advertised.listeners", name: endpoint.name });
        }
        if !listeners.iter().any(|listener| listener.name == endpoint.name) {
            return Err(ListenerError::NotAListener { name: endpoint.name });
        }
        if matches!(endpoint.host.as_str(), "0.0.0.0" | "::") {
            return Err(ListenerError::Unroutable { value: text });
        }
        said.push(endpoint);
    }
    let of =
        |listener: &Endpoint| said.iter().find(|endpoint| endpoint.name == listener.name).unwrap_or(listener).clone();
    Ok(listeners.iter().map(of).collect())
}

fn protocols(layers: &Layers<'_>) -> Result<BTreeMap<String, SecurityProtocol>, ListenerError> {
    let text = layers.text("listener.security.protocol.map").unwrap_or_default();
    let mut protocols = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let malformed = || ListenerError::Malformed { key: "listener.security.protocol.map", value: part.to_owned() };
        let (name, protocol) = part.rsplit_once(':').ok_or_else(malformed)?;
        let (name, protocol) = (name.trim().to_uppercase(), protocol.trim().to_uppercase());
        let unknown = || ListenerError::UnknownProtocol { name: name.clone(), protocol: protocol.clone() };
        let protocol = SecurityProtocol::named(&protocol).ok_or_else(unknown)?;
        protocols.insert(name, protocol);
    }
    Ok(protocols)
}

/// `NAME://host:port`; the host may be empty or an IPv6 address in brackets.
fn parse(
    key: &'static str,
    text: &str,
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<Endpoint, ListenerError> {
    let malformed = || ListenerError::Malformed { key, value: text.to_owned() };
    let (name, rest) = text.trim().split_once("://").ok_or_else(malformed)?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(malformed)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(malformed)?,
        None if host.contains([':', '/', ' ']) => return Err(malformed()),
        None => host,
    };
    let name = name.to_uppercase();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err(malformed());
    }
    let port = port.parse().map_err(|_| malformed())?;
    let protocol = *protocols.get(&name).ok_or_else(|| ListenerError::NoProtocol { name: name.clone() })?;
    Ok(Endpoint { name, host: host.to_owned(), port, protocol })
}
