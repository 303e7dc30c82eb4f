//! A virtual interface in the tests' namespace, for peers that take no loopback interface for a network.

use super::{Context, Failure, Outcome};
use std::process::Command;

/// The interface.
pub const INTERFACE: &str = "phones0";
/// Its address.
pub const ADDRESS: &str = "10.99.0.1";
/// Where the default route leads: nobody is there.
const NOBODY: &str = "10.99.0.2";

/// Makes the interface unless another test has.
pub fn raise() -> Outcome<()> {
    ip(&format!(
        "ip link show {INTERFACE} >/dev/null 2>&1 || ip link add {INTERFACE} type veth peer name {INTERFACE}b || true
         ip addr replace {ADDRESS}/24 dev {INTERFACE} && ip link set {INTERFACE} up && ip link set {INTERFACE}b up"
    ))
}

/// A default route by the interface; it is there while this value lives. Firefox offers the address that leads to the world.
#[derive(Debug)]
pub struct DefaultRoute(());

impl DefaultRoute {
    /// Makes interface and route.
    pub fn raise() -> Outcome<DefaultRoute> {
        raise()?;
        ip(&format!("ip route replace default via {NOBODY} dev {INTERFACE}"))?;
        Ok(DefaultRoute(()))
    }
}

impl Drop for DefaultRoute {
    fn drop(&mut self) {
        let _ = ip("ip route del default");
    }
}

fn ip(script: &str) -> Outcome<()> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin; {script}")]);
    let output = shell.output().during("running ip")?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "no virtual interface can be made here, which the peer needs: {}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
