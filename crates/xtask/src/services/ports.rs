//! Free ports of this machine, which only this machine reaches.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// The address of this machine for itself. Nothing listens on another one.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Ports that were free a moment ago, each another one. Someone else may take one before it is used: see [`is_clash`].
pub(super) fn free<const N: usize>() -> Result<[u16; N]> {
    let [ports] = free_in_groups()?;
    Ok(ports)
}

/// As [`free`], of several groups.
pub(super) fn free_in_groups<const N: usize, const M: usize>() -> Result<[[u16; N]; M]> {
    // All are held until the last is known, so that none comes twice.
    let mut listeners = Vec::with_capacity(N * M);
    let mut ports = [[0; N]; M];
    for port in ports.as_flattened_mut() {
        let listener = TcpListener::bind((HOST, 0)).context("cannot find a free port")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// Whether a server that ended says in its log that its port was taken.
pub(super) fn is_clash(log: &str) -> bool {
    ["Address already in use", "java.net.BindException", "seems to be in use by another process"]
        .iter()
        .any(|sign| log.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_distinct() {
        let ports = free::<8>().unwrap();
        let listeners: Vec<TcpListener> =
            ports.iter().map(|port| TcpListener::bind((HOST, *port)).unwrap()).collect();
        assert_eq!(listeners.len(), 8);
    }

    #[test]
    fn taken_port_is_told_from_other_errors() {
        assert!(is_clash(
            "org.apache.kafka.common.KafkaException: Socket server failed to bind: Address already in use."
        ));
        assert!(is_clash("Port 8081 seems to be in use by another process."));
        assert!(!is_clash("java.lang.OutOfMemoryError: Java heap space"));
    }
}
