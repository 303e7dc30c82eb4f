//! A virtual interface in the tests' namespace, for peers that take no loopback interface for a network.

use super::wait::{await_until, seconds};
use super::{Context, Failure, Outcome};
use std::process::Command;
use std::sync::OnceLock;

/// The interface.
pub const INTERFACE: &str = "phones0";
/// Its address.
pub const ADDRESS: &str = "10.99.0.1";
/// Where the default route leads: nobody is there.
const NOBODY: &str = "10.99.0.2";

/// The interface, or why there is none.
static RAISED: OnceLock<Result<(), String>> = OnceLock::new();

/// Makes the interface, once for all tests of the process, and returns when nothing of it changes any more: a browser that is there
/// already, or comes before the carrier does, breaks off what it loads because its network has changed. It has no IPv6 address, whose
/// check for duplicates ends seconds later.
pub fn raise() -> Outcome<()> {
    let raised = RAISED.get_or_init(|| make().map_err(|failure| failure.to_string()));
    raised.clone().map_err(Failure::new)
}

fn make() -> Outcome<()> {
    ip(&format!(
        "ip link show {INTERFACE} >/dev/null 2>&1 || ip link add {INTERFACE} type veth peer name {INTERFACE}b
         for end in {INTERFACE} {INTERFACE}b; do ip link set $end addrgenmode none && ip link set $end up || exit 1; done
         ip addr replace {ADDRESS}/24 dev {INTERFACE}"
    ))?;
    await_until("the interface has a carrier", seconds(10), || {
        Ok(ip(&format!("ip link show {INTERFACE} | grep -q 'state UP'")).ok())
    })
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
