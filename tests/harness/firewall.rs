//! A firewall of the site: what is outside may answer and begins nothing. It stands in the tests' namespace, and parts inside from
//! outside by addresses of the loopback interface.

use super::programs::require;
use super::{Context, Failure, Outcome};
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

/// The rules; they are gone with this value.
#[derive(Debug)]
pub struct Firewall {
    table: String,
}

impl Firewall {
    /// Nothing from `outside` comes in but answers.
    pub fn raise(outside: IpAddr) -> Outcome<Firewall> {
        let table = format!("ringfort_{}", outside.to_string().replace(['.', ':'], "_"));
        nft(&format!(
            "add table inet {table}\n\
             add chain inet {table} input {{ type filter hook input priority 0; }}\n\
             add rule inet {table} input ip saddr {outside} ip daddr != {outside} ct state new counter drop\n"
        ))?;
        Ok(Firewall { table })
    }
}

impl Firewall {
    /// Nothing passes from and to these UDP ports any more, as if the network that they are on had gone.
    pub fn cut(ports: &[u16]) -> Outcome<Firewall> {
        let table = "ringfort_cut".to_string();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        nft(&format!(
            "add table inet {table}\n\
             add chain inet {table} input {{ type filter hook input priority 0; }}\n\
             add rule inet {table} input udp sport {{ {ports} }} drop\n\
             add rule inet {table} input udp dport {{ {ports} }} drop\n"
        ))?;
        Ok(Firewall { table })
    }
}

impl Firewall {
    /// The system refuses to send to this UDP port.
    pub fn refuse(port: u16) -> Outcome<Firewall> {
        let table = format!("ringfort_refuse_{port}");
        nft(&format!(
            "add table inet {table}\n\
             add chain inet {table} output {{ type filter hook output priority 0; }}\n\
             add rule inet {table} output udp dport {port} drop\n"
        ))?;
        Ok(Firewall { table })
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        let _ = nft(&format!("delete table inet {}\n", self.table));
    }
}

fn nft(rules: &str) -> Outcome<()> {
    let mut command = Command::new(require("nft")?);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().during("starting nft")?;
    child.stdin.take().during("nft's input")?.write_all(rules.as_bytes()).during("writing to nft")?;
    let output = child.wait_with_output().during("waiting for nft")?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("no firewall can be made here: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}
