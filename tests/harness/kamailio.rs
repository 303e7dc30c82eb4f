//! Kamailio as the hosted PBX: a registrar with digest and locations in memory, a proxy to what is registered, and where it is wanted a
//! presence server.

use super::process::Process;
use super::programs::require;
use super::site::password_of;
use super::wait::{await_true, await_until, seconds};
use super::{Context, Outcome, Scene};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;

/// Memory of the pool that its processes share, and of each process, in megabytes: enough for a few phones.
const MEMORY_MB: [&str; 2] = ["32", "8"];

/// Empty tables for `db_text`, as Kamailio ships them.
const TABLES: &str = "/usr/share/kamailio/dbtext/kamailio";

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    at: SocketAddr,
}

impl Kamailio {
    /// Starts it on this UDP port for this domain, and waits until it answers. What an earlier one knew is forgotten.
    pub fn start(scene: &Scene, port: u16, domain: &str) -> Outcome<Kamailio> {
        Kamailio::play(scene, "kamailio", here(port), &configuration(&by_udp(port), domain, &Presence::default()))
    }

    /// The same at this address, by TCP too. Connections that others opened are all that it reaches them by, where they offer that.
    pub fn start_by_tcp(scene: &Scene, at: SocketAddr, domain: &str) -> Outcome<Kamailio> {
        let listen = format!(
            "listen=udp:{at}\nlisten=tcp:{at}\ntcp_children=1\ntcp_accept_aliases=yes\ntcp_source_ipv4={}\ntcp_connect_timeout=2",
            at.ip()
        );
        Kamailio::play(scene, "kamailio", at, &configuration(&listen, domain, &Presence::default()))
    }

    /// The same with a presence server: presence, message-summary and dialog.
    pub fn start_with_presence(scene: &Scene, port: u16, domain: &str) -> Outcome<Kamailio> {
        let tables = scene.file("kamailio-tables");
        std::fs::create_dir_all(&tables).during(tables.display())?;
        for table in ["version", "presentity", "active_watchers", "watchers", "xcap"] {
            std::fs::copy(Path::new(TABLES).join(table), tables.join(table)).during(format_args!("{TABLES}/{table}"))?;
        }
        Kamailio::play(scene, "kamailio", here(port), &configuration(&by_udp(port), domain, &Presence::new(&tables, port)))
    }

    /// The same as a carrier of this realm: a registrar, and a proxy that asks for credentials in every request but ACK and CANCEL, not
    /// only in the first. Calls to it go to the peer at port `beyond`, calls from there to the user `acme` that registered.
    pub fn carrier(scene: &Scene, port: u16, realm: &str, beyond: u16) -> Outcome<Kamailio> {
        Kamailio::play(scene, "carrier", here(port), &carrier(&by_udp(port), realm, beyond))
    }

    fn play(scene: &Scene, name: &str, at: SocketAddr, configuration: &str) -> Outcome<Kamailio> {
        let config = scene.write(&format!("{name}.cfg"), configuration)?;
        let run = scene.file(&format!("{name}-run"));
        std::fs::create_dir_all(&run).during(run.display())?;
        let mut command = Command::new(require("kamailio")?);
        command.args(["-DD", "-E", "-m", MEMORY_MB[0], "-M", MEMORY_MB[1], "-f"]).arg(config).args([
            "-Y".as_ref(),
            run.as_os_str(),
            "-w".as_ref(),
            run.as_os_str(),
        ]);
        let process = Process::start("Kamailio", command, &scene.file(&format!("{name}.log")))?;
        let mut kamailio = Kamailio { process, at };
        kamailio.await_answer()?;
        Ok(kamailio)
    }

    /// Its UDP port.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// `kill -9` to all of its processes; waits until the last one has let go of the port.
    pub fn kill(mut self) -> Outcome<()> {
        self.process.kill();
        await_true("the dead Kamailio's port", seconds(5), || UdpSocket::bind(self.at).is_ok())
    }

    /// Waits until it has granted so many registrations to this user since the scene began.
    pub fn await_registered(&self, user: &str, times: usize) -> Outcome<()> {
        self.process.log().await_nth(&format!("registered {user}@"), times, seconds(10)).map(drop)
    }

    /// How many calls it has passed on to a registered device.
    pub fn calls_passed(&self) -> usize {
        self.process.log().count("passed a call to ")
    }

    /// How many requests of this method it passed on with the right credentials, and how many it challenged.
    pub fn proved(&self, method: &str) -> (usize, usize) {
        let log = self.process.log();
        (log.count(&format!("proved {method} ")), log.count(&format!("challenged {method} ")))
    }

    fn await_answer(&mut self) -> Outcome<()> {
        let socket = UdpSocket::bind("127.0.0.1:0").during("a socket for OPTIONS")?;
        let timeout = std::time::Duration::from_millis(100);
        socket.set_read_timeout(Some(timeout)).during("setting a read timeout")?;
        let own = socket.local_addr().during("asking for the own address")?;
        let options = format!(
            "OPTIONS sip:{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKready\r\nMax-Forwards: 70\r\n\
             From: <sip:test@{own}>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
            self.at
        );
        await_until("Kamailio to answer OPTIONS", seconds(10), || {
            self.process.must_run()?;
            let _ = socket.send_to(options.as_bytes(), self.at);
            let mut buffer = [0; 2_048];
            Ok(socket.recv(&mut buffer).ok().filter(|n| buffer[..*n].starts_with(b"SIP/2.0 200")).map(drop))
        })
    }
}

/// What a presence server adds to the configuration.
#[derive(Default)]
struct Presence {
    modules: String,
    /// Inside dialogs.
    within: &'static str,
    /// Outside of them.
    outside: &'static str,
}

impl Presence {
    fn new(tables: &Path, port: u16) -> Presence {
        let names = ["db_text", "presence", "presence_xml", "presence_mwi", "presence_dialoginfo"];
        let mut modules: String = names.iter().map(|name| format!("loadmodule \"{name}.so\"\n")).collect();
        modules += &format!(
            "modparam(\"presence\", \"db_url\", \"text://{}\")\nmodparam(\"presence\", \"server_address\", \"sip:127.0.0.1:{port}\")\n\
             modparam(\"presence_xml\", \"force_active\", 1)\nmodparam(\"presence_xml\", \"db_url\", \"text://{}\")\n",
            tables.display(),
            tables.display()
        );
        Presence {
            modules,
            within: "if (is_method(\"SUBSCRIBE\")) { if (t_newtran()) { handle_subscribe(); t_release(); } exit; }",
            outside: "if (is_method(\"SUBSCRIBE|PUBLISH\")) {\n        if (!t_newtran()) { sl_reply_error(); exit; }\n        \
                      if (is_method(\"PUBLISH\")) { handle_publish(); } else { handle_subscribe(); }\n        t_release();\n        exit;\n    }",
        }
    }
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn by_udp(port: u16) -> String {
    format!("listen=udp:{}\ndisable_tcp=yes", here(port))
}

/// What both configurations begin with.
fn preamble(listen: &str) -> String {
    format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
{listen}
auto_aliases=no
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
"#
    )
}

/// Every account's password follows from its name, by the rule of [`password_of`].
fn configuration(listen: &str, domain: &str, presence: &Presence) -> String {
    let Presence { modules, within, outside } = presence;
    // Kamailio joins strings by `+` and puts no variable into a quoted one.
    let password = format!("\"{}\" + $au", password_of(""));
    format!(
        r#"{}
alias="{domain}"
{modules}
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("OPTIONS") && uri == myself) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        {within}
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
    {outside}
    sl_send_reply("405", "Method Not Allowed");
}}
"#,
        preamble(listen)
    )
}

/// The registered user is `acme`, by the same rule for its password. A nonce is good for one request only, as some carriers have it.
fn carrier(listen: &str, realm: &str, beyond: u16) -> String {
    let password = format!("\"{}\" + $au", password_of(""));
    format!(
        r#"{}
modparam("auth", "qop", "auth")
modparam("auth", "one_time_nonce", 1)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("OPTIONS") && uri == myself) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (is_method("ACK")) {{ if (loose_route() || t_check_trans()) {{ t_relay(); }} exit; }}
    t_check_trans();
    $var(password) = {password};
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{realm}", "$var(password)", "0")) {{ auth_challenge("{realm}", "1"); exit; }}
        consume_credentials();
        if (save("location")) {{ xlog("L_ERR", "registered $tU@$td\n"); }} else {{ sl_reply_error(); }}
        exit;
    }}
    if ($sp != {beyond}) {{
        if (!pv_proxy_authenticate("{realm}", "$var(password)", "0")) {{
            xlog("L_ERR", "challenged $rm of $ci\n");
            auth_challenge("{realm}", "1");
            exit;
        }}
        xlog("L_ERR", "proved $rm of $ci by $au\n");
        consume_credentials();
    }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); }} else {{ sl_send_reply("404", "Not Here"); }}
        exit;
    }}
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    record_route();
    if ($sp == {beyond}) {{
        $var(number) = $rU;
        $rU = "acme";
        if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
        $rU = $var(number);
    }} else {{
        $ru = "sip:" + $rU + "@127.0.0.1:{beyond}";
    }}
    t_relay();
}}
"#,
        preamble(listen)
    )
}
