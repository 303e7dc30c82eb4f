//! The configuration of a node under test, written as a person would write it.

use super::{Outcome, Scene};
use std::fmt::Write;

/// SIP domain of every test.
pub const DOMAIN: &str = "ringfort.test";

/// The password of an account in every test, at the node and in the cloud.
pub fn password_of(user: &str) -> String {
    format!("secret-{user}")
}

/// A configuration in the making. Ports are fixed when it is made, so that a restarted node has them again.
#[derive(Clone, Debug)]
pub struct Site {
    /// SIP over UDP.
    pub udp: u16,
    /// SIP over TCP.
    pub tcp: u16,
    /// SIP over TLS.
    pub tls: u16,
    /// SIP over WebSocket without TLS.
    pub ws: u16,
    /// Page, API, and SIP over WebSocket with TLS.
    pub web: u16,
    head: String,
    sections: String,
}

impl Site {
    /// Without accounts, peers and routes.
    pub fn new(scene: &Scene) -> Outcome<Site> {
        let [udp, tcp, tls, ws, web] = [scene.port()?, scene.port()?, scene.port()?, scene.port()?, scene.port()?];
        let media = scene.ports().borrow_mut().take_block()?;
        let (state, run) = (scene.file("state"), scene.file("run"));
        let head = format!(
            "[node]\nname = \"test\"\ndomain = \"{DOMAIN}\"\nstate_dir = {state:?}\nrun_dir = {run:?}\n\n\
             [sip]\nlisten = [\"udp:127.0.0.1:{udp}\", \"tcp:127.0.0.1:{tcp}\", \"tls:127.0.0.1:{tls}\", \"ws:127.0.0.1:{ws}\"]\n\
             advertise = \"127.0.0.1\"\n\n\
             [web]\nlisten = \"127.0.0.1:{web}\"\n\n\
             [media]\nbind = \"127.0.0.1\"\nport_first = {}\nport_last = {}\n",
            media.first, media.last
        );
        Ok(Site { udp, tcp, tls, ws, web, head, sections: String::new() })
    }

    /// The configuration that is embedded in the binary, with its well-known ports.
    pub fn shipped() -> Site {
        Site { udp: 5060, tcp: 5060, tls: 5061, ws: 0, web: 8443, head: String::new(), sections: String::new() }
    }

    /// Listens on this UDP port of `::1` too.
    pub fn by_ipv6(mut self, port: u16) -> Site {
        let ws = format!("\"ws:127.0.0.1:{}\"", self.ws);
        self.head = self.head.replacen(&ws, &format!("{ws}, \"udp:[::1]:{port}\""), 1);
        self
    }

    fn with(mut self, section: std::fmt::Arguments<'_>) -> Site {
        // Writing to a String cannot fail.
        let _ = write!(self.sections, "\n{section}");
        self
    }

    /// Media at another address than loopback.
    pub fn media_at(mut self, address: &str) -> Site {
        self.head = self
            .head
            .replace("[media]\nbind = \"127.0.0.1\"", &format!("[media]\nbind = \"{address}\"\nadvertise = \"{address}\""));
        self
    }

    /// On a host of its own: SIP and media at this address, the page at loopback.
    pub fn at(mut self, address: &str) -> Site {
        let (before, web) = self.head.split_once("[web]").unwrap_or_default();
        let (web, media) = web.split_once("[media]").unwrap_or_default();
        let (before, media) = (before.replace("127.0.0.1", address), media.replace("127.0.0.1", address));
        self.head = format!("{before}[web]{web}[media]{media}");
        self
    }

    /// The page at every address of the host.
    pub fn page_everywhere(mut self) -> Site {
        self.head = self.head.replacen("[web]\nlisten = \"127.0.0.1:", "[web]\nlisten = \"0.0.0.0:", 1);
        self
    }

    /// What may carry audio.
    pub fn tier(mut self, tier: &str) -> Site {
        self.head = self.head.replacen("[media]\n", &format!("[media]\ntier = \"{tier}\"\n"), 1);
        self
    }

    /// These interfaces' frames are steered past the kernel's sockets.
    pub fn af_xdp(mut self, names: &[&str]) -> Site {
        self.head = self.head.replacen("[media]\n", &format!("[media]\naf_xdp = {names:?}\n"), 1);
        self
    }

    /// So many workers of the relay.
    pub fn workers(mut self, workers: usize) -> Site {
        self.head = self.head.replacen("[media]\n", &format!("[media]\nworkers = {workers}\n"), 1);
        self
    }

    /// An account whose password is [`password_of`] it.
    pub fn account(self, user: &str) -> Site {
        let password = password_of(user);
        self.with(format_args!("[[account]]\nuser = \"{user}\"\npassword = \"{password}\"\n"))
    }

    /// The cloud at this port, trusted again after so many milliseconds; otherwise watched as by default.
    pub fn cloud(self, port: u16, hold_down_ms: u32) -> Site {
        self.with(format_args!("[cloud]\naddress = \"127.0.0.1:{port}\"\nhold_down_ms = {hold_down_ms}\n"))
    }

    /// A trunk that is not supervised.
    pub fn trunk(self, name: &str, port: u16) -> Site {
        self.with(format_args!("[[trunk]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\noptions_interval_ms = 0\n"))
    }

    /// A trunk that is asked by OPTIONS at this interval.
    pub fn watched_trunk(self, name: &str, port: u16, interval_ms: u32) -> Site {
        self.with(format_args!(
            "[[trunk]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\noptions_interval_ms = {interval_ms}\n\
             patience_ms = 300\nhold_down_ms = 500\n"
        ))
    }

    /// Numbers of this pattern go there.
    pub fn route(self, name: &str, number: &str, to: &str) -> Site {
        self.with(format_args!("[[route]]\nname = \"{name}\"\nnumber = \"{number}\"\nto = [\"{to}\"]\n"))
    }

    /// Any further section.
    pub fn section(self, text: &str) -> Site {
        self.with(format_args!("{text}\n"))
    }

    /// The file's text.
    pub fn text(&self) -> String {
        format!("{}{}", self.head, self.sections)
    }
}
