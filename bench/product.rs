//! The products that are compared: how each is configured and started. Both are told to do the same work as far as they can.

use crate::load::{self, Guard};
use std::fs;
use std::io::{self, Error};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// This one: a back-to-back user agent that also anchors media.
    Ringfort,
    /// Kamailio as Debian ships it: a proxy that stays in the signalling path, no media.
    Kamailio,
}

impl Product {
    /// Both, in the order of their turns.
    pub const BOTH: [Product; 2] = [Product::Kamailio, Product::Ringfort];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Product::Ringfort => "Ringfort",
            Product::Kamailio => "Kamailio",
        }
    }

    /// Whether the machine has it.
    pub fn is_there(self) -> bool {
        self == Product::Ringfort || modules().is_some()
    }
}

/// Ports of one measurement.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The product listens here.
    pub sip: u16,
    /// Ringfort listens here by TCP.
    pub tcp: u16,
    /// Ringfort listens here by TLS.
    pub tls: u16,
    /// Ringfort listens here by WebSocket.
    pub ws: u16,
    /// Ringfort's page, and WebSocket with TLS.
    pub web: u16,
    /// SIPp calls from here.
    pub caller: u16,
    /// SIPp is called here.
    pub callee: u16,
}

impl Ports {
    /// Free ones.
    pub fn free() -> io::Result<Ports> {
        let [tcp, tls, ws, web] = [load::free_tcp()?, load::free_tcp()?, load::free_tcp()?, load::free_tcp()?];
        Ok(Ports { sip: load::free_udp()?, tcp, tls, ws, web, caller: load::free_udp()?, callee: load::free_udp()? })
    }
}

/// A product that runs.
pub struct Running {
    root: Guard,
    /// Ports that it and its load use.
    pub ports: Ports,
    /// Working folder; gone afterwards.
    pub folder: PathBuf,
    /// From the start of the process to its first answer.
    pub started_in: Duration,
}

impl Running {
    /// Starts a product and waits until it answers. `accounts` devices may register.
    pub fn start(product: Product, binary: &Path, accounts: u32) -> io::Result<Running> {
        let ports = Ports::free()?;
        let folder = std::env::temp_dir().join(format!("ringfort-bench-{}-{}", std::process::id(), ports.sip));
        fs::create_dir_all(&folder)?;
        let mut command = match product {
            Product::Ringfort => ringfort(binary, &folder, ports, accounts)?,
            Product::Kamailio => kamailio(&folder, ports)?,
        };
        let begun = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let root = child.map(Guard).map_err(|error| Error::new(error.kind(), format!("{}: {error}", product.name())))?;
        await_answer(ports.sip)?;
        Ok(Running { root, ports, folder, started_in: begun.elapsed() })
    }

    /// All its processes.
    pub fn processes(&self) -> Vec<u32> {
        load::family(self.root.0.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Kamailio's children end with their parent when that is asked to end, not when it is killed.
        let root = self.root.0.id().to_string();
        let _ = Command::new("kill").arg(&root).status();
        let _ = load::until(|| self.root.0.try_wait().ok().flatten().is_some());
        let _ = fs::remove_dir_all(load::in_ram(&self.folder));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Asks by OPTIONS until an answer comes.
fn await_answer(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let from = socket.local_addr()?;
    let mut asked = 0;
    let mut answer = [0; 2_048];
    load::until(|| {
        asked += 1;
        let options = format!(
            "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKo{asked}\r\nMax-Forwards: 70\r\n\
             From: <sip:bench@{from}>;tag=o\r\nTo: <sip:127.0.0.1:{port}>\r\nCall-ID: {asked}@{from}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let _ = socket.send_to(options.as_bytes(), ("127.0.0.1", port));
        std::thread::sleep(Duration::from_millis(2));
        socket.recv(&mut answer).is_ok()
    })
}

/// `ringfort run`, two trunks and a route. A media port rests for some seconds after its call, so the range of ports bounds the
/// rate: it is as wide as it may be.
fn ringfort(binary: &Path, folder: &Path, ports: Ports, accounts: u32) -> io::Result<Command> {
    let (Ports { sip, tcp, tls, ws, web, caller, callee }, here) = (ports, folder.display());
    let run = load::in_ram(folder).display().to_string();
    let mut text = format!(
        "[node]\ndomain = \"bench.invalid\"\nstate_dir = \"{here}/state\"\nrun_dir = \"{run}\"\n\
         [sip]\nlisten = [\"udp:127.0.0.1:{sip}\", \"tcp:127.0.0.1:{tcp}\", \"tls:127.0.0.1:{tls}\", \"ws:127.0.0.1:{ws}\"]\nadvertise = \"127.0.0.1\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n\
         [media]\nport_first = 1024\nport_last = 65535\n\
         [[trunk]]\nname = \"in\"\naddress = \"127.0.0.1:{caller}\"\noptions_interval_ms = 0\nprofile = \"sipp\"\n\
         [[trunk]]\nname = \"out\"\naddress = \"127.0.0.1:{callee}\"\noptions_interval_ms = 0\n\
         [[device]]\nuser_agent = \"bench*\"\nprofile = \"sipp\"\n\
         [[route]]\nname = \"all\"\nnumber = \"*\"\nto = [\"trunk:out\"]\n"
    );
    (0..accounts).for_each(|n| text.push_str(&format!("[[account]]\nuser = \"reg{n}\"\npassword = \"secret\"\n")));
    fs::write(folder.join("node.toml"), text)?;
    let mut command = Command::new(binary);
    command.args(["run", "--config"]).arg(folder.join("node.toml")).env("RINGFORT_LOG", "warn");
    Ok(command)
}

/// Where Debian puts Kamailio's modules.
fn modules() -> Option<PathBuf> {
    let libraries = fs::read_dir("/usr/lib").ok()?.flatten();
    libraries.map(|entry| entry.path().join("kamailio/modules")).find(|path| path.is_dir())
}

fn kamailio(folder: &Path, ports: Ports) -> io::Result<Command> {
    let modules = modules().ok_or_else(|| Error::new(io::ErrorKind::NotFound, "kamailio is not installed"))?;
    let text = include_str!("scenarios/kamailio.cfg")
        .replace("MODULES", &modules.display().to_string())
        .replace("PORT", &ports.sip.to_string())
        .replace("CALLEE", &ports.callee.to_string());
    fs::write(folder.join("kamailio.cfg"), text)?;
    let mut command = Command::new("/usr/sbin/kamailio");
    // In the foreground with its workers as children; 512 MB may be shared, none of which counts until it is touched.
    command.args(["-DD", "-f", "kamailio.cfg", "-m", "512", "-M", "16", "-n", "2", "-Y"]).arg(folder).current_dir(folder);
    Ok(command)
}
