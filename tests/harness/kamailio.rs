//! Kamailio as the hosted PBX: a registrar with digest and locations in memory, and a proxy to what is registered.

use super::process::Process;
use super::programs::require;
use super::site::password_of;
use super::wait::{await_true, await_until, seconds};
use super::{Context, Outcome, Scene};
use std::net::UdpSocket;
use std::process::Command;

/// Memory of the pool that its processes share, and of each process, in megabytes: enough for a few phones.
const MEMORY_MB: [&str; 2] = ["32", "8"];

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    port: u16,
}

impl Kamailio {
    /// Starts it on this UDP port for this domain, and waits until it answers. What an earlier one knew is forgotten.
    pub fn start(scene: &Scene, port: u16, domain: &str) -> Outcome<Kamailio> {
        let config = scene.write("kamailio.cfg", &configuration(port, domain))?;
        let run = scene.file("kamailio-run");
        std::fs::create_dir_all(&run).during(run.display())?;
        let mut command = Command::new(require("kamailio")?);
        command.args(["-DD", "-E", "-m", MEMORY_MB[0], "-M", MEMORY_MB[1], "-f"]).arg(config).args([
            "-Y".as_ref(),
            run.as_os_str(),
            "-w".as_ref(),
            run.as_os_str(),
        ]);
        let process = Process::start("Kamailio", command, &scene.file("kamailio.log"))?;
        let mut kamailio = Kamailio { process, port };
        kamailio.await_answer()?;
        Ok(kamailio)
    }

    /// Its UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `kill -9` to all of its processes; waits until the last one has let go of the port.
    pub fn kill(mut self) -> Outcome<()> {
        self.process.kill();
        await_true("the dead Kamailio's port", seconds(5), || UdpSocket::bind(("127.0.0.1", self.port)).is_ok())
    }

    /// Waits until it has granted so many registrations to this user since the scene began.
    pub fn await_registered(&self, user: &str, times: usize) -> Outcome<()> {
        self.process.log().await_nth(&format!("registered {user}@"), times, seconds(10)).map(drop)
    }

    /// How many calls it has passed on to a registered device.
    pub fn calls_passed(&self) -> usize {
        self.process.log().count("passed a call to ")
    }

    fn await_answer(&mut self) -> Outcome<()> {
        let socket = UdpSocket::bind("127.0.0.1:0").during("a socket for OPTIONS")?;
        let timeout = std::time::Duration::from_millis(100);
        socket.set_read_timeout(Some(timeout)).during("setting a read timeout")?;
        let own = socket.local_addr().during("asking for the own address")?;
        let options = format!(
            "OPTIONS sip:127.0.0.1:{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKready\r\nMax-Forwards: 70\r\n\
             From: <sip:test@{own}>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
            self.port
        );
        await_until("Kamailio to answer OPTIONS", seconds(10), || {
            self.process.must_run()?;
            let _ = socket.send_to(options.as_bytes(), ("127.0.0.1", self.port));
            let mut buffer = [0; 2_048];
            Ok(socket.recv(&mut buffer).ok().filter(|n| buffer[..*n].starts_with(b"SIP/2.0 200")).map(drop))
        })
    }
}

/// Every account's password follows from its name, by the rule of [`password_of`].
fn configuration(port: u16, domain: &str) -> String {
    // Kamailio joins strings by `+` and puts no variable into a quoted one.
    let password = format!("\"{}\" + $au", password_of(""));
    format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
listen=udp:127.0.0.1:{port}
disable_tcp=yes
auto_aliases=no
alias="{domain}"
dns=no
rev_dns=no
use_dns_cache=off
server_signature=no
enable_sctp=no

loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
loadmodule "xlog.so"

modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", 60)
modparam("registrar", "max_expires", 3600)
modparam("auth", "nonce_expire", 300)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("OPTIONS") && uri == myself) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        $var(password) = {password};
        if (!pv_www_authenticate("{domain}", "$var(password)", "0")) {{ auth_challenge("{domain}", "0"); exit; }}
        if ($au != $tU) {{ sl_send_reply("403", "Not Your Address"); exit; }}
        consume_credentials();
        if (save("location")) {{ xlog("L_ERR", "registered $tU@$td\n"); }} else {{ sl_reply_error(); }}
        exit;
    }}
    if (is_method("INVITE")) {{
        record_route();
        if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
        xlog("L_ERR", "passed a call to $tU\n");
        t_relay();
        exit;
    }}
    sl_send_reply("405", "Method Not Allowed");
}}
"#
    )
}
