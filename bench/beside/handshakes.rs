//! DTLS handshakes with whoever is measured: this side opens them, the other side answers.

use super::calls::{Load, PORTS, now};
use super::subject::{Running, Subject};
use crate::namespaces::{Link, NODE, PEER};
use crate::report::{Row, Table};
use ringfort_media::{LegOutput, LegSession};
use std::collections::HashMap;
use std::io::{self, Error};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Handshakes that are under way at once.
const AT_ONCE: usize = 16;
/// All of them are done within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Completes the handshakes of all callers. Returns how they are secured.
pub fn complete(link: &Link, running: &mut Running) -> io::Result<String> {
    if running.callers.is_empty() {
        return Ok(String::new());
    }
    let (callers, ports) = (std::mem::take(&mut running.callers), running.ports.clone());
    let done = link.peer.run(move || {
        let socket = UdpSocket::bind(format!("{PEER}:{}", PORTS[0]))?;
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20)?;
        let mut party = Party { callers, began: Instant::now(), socket, ready: Vec::new(), how: String::new() };
        party.run(&ports).map(|()| (party.callers, party.how))
    })?;
    let how;
    (running.callers, how) = done?;
    Ok(how)
}

/// All callers.
struct Party {
    callers: Vec<LegSession>,
    began: Instant,
    socket: UdpSocket,
    ready: Vec<usize>,
    how: String,
}

impl Party {
    fn run(&mut self, ports: &[[u16; 2]]) -> io::Result<()> {
        let address = |port: u16| format!("{NODE}:{port}").parse::<SocketAddr>().map_err(Error::other);
        let of =
            ports.iter().enumerate().map(|(n, [port, _])| Ok((address(*port)?, n))).collect::<io::Result<HashMap<_, _>>>()?;
        let (mut buffer, mut begun) = ([0; 2_048], 0);
        while self.ready.len() < self.callers.len() {
            while begun < self.callers.len() && begun - self.ready.len() < AT_ONCE {
                // The first turn opens it.
                self.turn(begun)?;
                begun += 1;
            }
            if let Ok((len, from)) = self.socket.recv_from(&mut buffer)
                && let Some(n) = of.get(&from).copied()
            {
                self.callers[n].handle_datagram(now(self.began), from, &buffer[..len]);
                self.turn(n)?;
            }
            let waits: Vec<usize> = (begun.saturating_sub(2 * AT_ONCE)..begun).filter(|n| !self.ready.contains(n)).collect();
            for n in waits {
                if self.callers[n].next_timeout() <= now(self.began) {
                    self.callers[n].handle_timeout(now(self.began));
                    self.turn(n)?;
                }
            }
            if self.began.elapsed() > PATIENCE {
                return Err(Error::other(format!("{} of {} handshakes were done", self.ready.len(), self.callers.len())));
            }
        }
        // Whoever got the last flight late asks for it again.
        while self.socket.recv_from(&mut buffer).is_ok() {}
        Ok(())
    }

    fn turn(&mut self, n: usize) -> io::Result<()> {
        while let Some(output) = self.callers[n].poll_output() {
            match output {
                LegOutput::Send { to, datagram } => drop(self.socket.send_to(&datagram, to)?),
                LegOutput::Ready { how } => {
                    self.ready.push(n);
                    self.how = how;
                }
                LegOutput::Failed { cause } => return Err(Error::other(format!("a handshake failed: {}", cause.as_str()))),
                LegOutput::PlanChanged | LegOutput::Step(_) => {}
            }
        }
        Ok(())
    }
}

/// CPU for a handshake.
pub fn table(link: &Link, subjects: &[Subject], count: usize, rounds: usize) -> io::Result<Table> {
    let mut found = vec![Vec::new(); subjects.len()];
    let mut how = vec![String::new(); subjects.len()];
    for _ in 0..rounds {
        for (n, subject) in subjects.iter().enumerate() {
            let mut running = Running::start(link, *subject, Load::Dtls, count)?;
            let before = running.cpu();
            how[n] = complete(link, &mut running)?;
            found[n].push((running.cpu() - before) as f64 / 1_000.0 / count as f64);
        }
    }
    let costs: Vec<f64> = found.into_iter().map(super::median).collect();
    let rows = subjects.iter().zip(&costs).zip(&how).map(|((subject, us), how)| Row {
        case: format!("{}: {how}", subject.name()),
        values: vec![*us, us / costs[0], (1e6 / us).floor()],
    });
    Ok(Table {
        title: "DTLS handshakes".into(),
        method: format!(
            "{count} handshakes, {AT_ONCE} at a time, opened by our own client from the other network namespace, answered by what is measured; \
             CPU of all its threads by schedstat, sockets included; {rounds} rounds in turns, median. Calls were set up before, and are not in the figure."
        ),
        columns: ["CPU, µs a handshake", "of rtpengine", "a second and core"].map(String::from).to_vec(),
        rows: rows.collect(),
    })
}
