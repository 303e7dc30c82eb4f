//! What whoever starts the node is told: where to go, with which passwords.

use crate::configuration::Loaded;
use ringfort_base::Transport;
use ringfort_call::OwnAddresses;
use ringfort_store::write_atomic;
use ringfort_web::OneTimePassword;
use serde::Serialize;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// The addresses in use, for scripts: `addresses.json` in the run folder.
#[derive(Serialize)]
struct Addresses<'a> {
    pid: u32,
    sip: Vec<&'a (Transport, SocketAddr)>,
    web: SocketAddr,
    advertised: std::net::IpAddr,
}

/// Writes the addresses down. They are a convenience: without them the node runs all the same.
pub fn write_addresses(dir: &Path, own: &OwnAddresses, web: SocketAddr) {
    let sip = own.all().flat_map(|interface| &interface.listeners).collect();
    let addresses = Addresses { pid: std::process::id(), sip, web, advertised: own.first().advertised };
    let json = serde_json::to_vec(&addresses).unwrap_or_default();
    if let Err(error) = write_atomic(&dir.join("addresses.json"), &json, 0o644) {
        tracing::warn!(%error, "addresses.json");
    }
}

/// The text printed at start.
pub fn text(loaded: &Loaded, own: &OwnAddresses, web: SocketAddr, admin: Option<&OneTimePassword>, self_signed: bool) -> String {
    let mut text = String::new();
    let host = SocketAddr::new(if web.ip().is_unspecified() { own.first().advertised } else { web.ip() }, web.port());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n  Ringfort {} is running as `{}`.\n", env!("CARGO_PKG_VERSION"), loaded.snapshot.node.name);
    let _ = writeln!(text, "  Page and web phone   https://{host}/");
    if self_signed {
        let _ = writeln!(text, "                       (self-signed certificate: the browser asks once)");
    }
    match admin {
        Some(first) => {
            let _ = writeln!(text, "  Administrator        {}   one-time password: {}", first.name, *first.password);
        }
        None => {
            let _ = writeln!(text, "  Administrator        as set before; `ringfort reset-admin` makes a new one-time password");
        }
    }
    for (user, password) in &loaded.made {
        let _ = writeln!(text, "  User                 {user}   password: {}", **password);
    }
    if loaded.passwords.is_file() {
        let _ = writeln!(text, "                       (passwords that were made are kept in {})", loaded.passwords.display());
    }
    for interface in own.all() {
        for (transport, address) in &interface.listeners {
            let _ = writeln!(text, "  SIP over {:<4}        {}:{}", transport.via_token(), interface.host(), address.port());
        }
    }
    let echo = &loaded.snapshot.services.echo;
    if !echo.is_empty() {
        let _ = writeln!(text, "\n  First call: open the page, sign in as a user, dial {echo} and hear yourself.");
    }
    text
}
