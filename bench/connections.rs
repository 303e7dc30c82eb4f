//! `ringfort-bench connections`: what an idle connection costs the whole process in memory.

use crate::load;
use crate::product::{Product, Running};
use crate::report::{Report, Row, Table};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{self, Error, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Connections of each kind
    #[arg(long, default_value_t = Options::default().count)]
    count: u32,
    /// The binary; without it the one beside this program
    #[arg(long)]
    binary: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options { count: 8_000, binary: None }
    }
}

/// Connections from one address: fewer than the node allows to a stranger.
const PER_ADDRESS: u32 = 100;
/// The node answers within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A kind of connection.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Tls,
    Ws,
    Wss,
}

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?.with_file_name("ringfort"),
    };
    let mut rows = Vec::new();
    for (name, kind) in
        [("TCP", Kind::Tcp), ("TLS 1.3", Kind::Tls), ("WebSocket", Kind::Ws), ("WebSocket over TLS 1.3", Kind::Wss)]
    {
        let running = Running::start(Product::Ringfort, &binary, 0)?;
        let processes = running.processes();
        // What the first connections bring once and for all is not theirs.
        let _first = (0..PER_ADDRESS).map(|n| open(kind, &running, n)).collect::<io::Result<Vec<_>>>()?;
        let before = load::memory_mb(&processes);
        let held = (PER_ADDRESS..PER_ADDRESS + options.count).map(|n| open(kind, &running, n)).collect::<io::Result<Vec<_>>>()?;
        let after = load::memory_mb(&processes);
        rows.push(Row { case: name.into(), values: vec![(after - before) * 1024.0 / held.len() as f64, after] });
    }
    let mut report = Report::new("connections", "What an idle connection costs the process.");
    report.tables.push(Table {
        title: "Memory of idle connections".into(),
        method: format!(
            "{} connections of a kind, opened one after another from as many addresses as needed; each has sent one keep-alive and got \
             its answer. Proportional set size of the process, its growth divided by their number.",
            options.count
        ),
        columns: ["KB a connection", "all, MB"].map(String::from).to_vec(),
        rows,
    });
    report.not_measured.push("memory of the kernel for their sockets".into());
    Ok(report)
}

/// A connection that stays open as long as it is held.
trait Line: Read + Write {}
impl<S: Read + Write> Line for S {}

fn open(kind: Kind, running: &Running, n: u32) -> io::Result<Box<dyn Line>> {
    let ports = running.ports;
    let port = match kind {
        Kind::Tcp => ports.tcp,
        Kind::Tls => ports.tls,
        Kind::Ws => ports.ws,
        Kind::Wss => ports.web,
    };
    let tcp = connect(n, port)?;
    let mut line: Box<dyn Line> = match kind {
        Kind::Tcp | Kind::Ws => Box::new(tcp),
        Kind::Tls | Kind::Wss => Box::new(StreamOwned::new(client()?, tcp)),
    };
    let is_framed = matches!(kind, Kind::Ws | Kind::Wss);
    if is_framed {
        let path = if matches!(kind, Kind::Ws) { "/" } else { "/sip" };
        line.write_all(
            format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
            )
            .as_bytes(),
        )?;
        await_text(&mut line, "\r\n\r\n")?;
    }
    // The keep-alive of RFC 5626 3.5.1: who says nothing at all is sent away, who asks much is a flood.
    line.write_all(&if is_framed { masked(b"\r\n\r\n") } else { b"\r\n\r\n".to_vec() })?;
    await_text(&mut line, "\r\n")?;
    Ok(line)
}

/// From an address of its own for each hundred.
fn connect(n: u32, port: u16) -> io::Result<TcpStream> {
    let [_, _, third, fourth] = (n / PER_ADDRESS + 2).to_be_bytes();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 1, third, fourth), 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A client's text frame of less than 126 octets (RFC 6455 5.2), masked by zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    [&[0x81, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat()
}

fn await_text(line: &mut Box<dyn Line>, wanted: &str) -> io::Result<()> {
    let (mut heard, mut chunk) = (Vec::new(), [0; 2_048]);
    loop {
        match line.read(&mut chunk)? {
            0 => return Err(Error::other(format!("closed before {wanted}: {}", String::from_utf8_lossy(&heard)))),
            length => heard.extend_from_slice(&chunk[..length]),
        }
        if String::from_utf8_lossy(&heard).contains(wanted) {
            return Ok(());
        }
    }
}

fn client() -> io::Result<ClientConnection> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(Error::other)
}

/// Memory is measured, not identity: whoever listens there was started by this program.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
