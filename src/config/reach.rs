use std::net::SocketAddr;
use std::sync::Arc;

use ottla_cluster::Listener;
use ottla_cluster::config::NodeSettings;

/// The listeners as clients are told them: as advertised, with the port that was bound where it was left to the system,
/// and with this machine's name where no host was said. `bound`: what each of `node.listeners` was bound to, in order.
pub fn announced(node: &NodeSettings, bound: &[SocketAddr]) -> Vec<Listener> {
    let ports = bound.iter().map(SocketAddr::port).chain(std::iter::repeat(0));
    let endpoints = node.advertised.iter().zip(ports);
    endpoints
        .map(|(endpoint, bound_port)| {
            let everywhere = matches!(endpoint.host.as_str(), "" | "0.0.0.0" | "::");
            let host = if everywhere { host_name() } else { endpoint.host.clone() };
            let port = if endpoint.port == 0 { bound_port } else { endpoint.port };
            Listener { name: Arc::from(endpoint.name.as_str()), host: Arc::from(host), port }
        })
        .collect()
}

/// This machine's name; `localhost` when it has none.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() || name == "(none)" { "localhost".to_owned() } else { name.to_owned() }
}
