//! Start and end of the process.

use crate::backend::NodeBackend;
use crate::clock::Clock;
use crate::configuration::{Loaded, Source, SourceError};
use crate::core::{self, CoreHandle, Performer};
use crate::dns::Dns;
use crate::entropy::SystemEntropy;
use crate::io::{Bound, Signalling};
use crate::journal::{self, JournalWriter};
use crate::records::RecordWriter;
use crate::tls::{Tls, TlsError};
use crate::{banner, serve};
use arc_swap::ArcSwap;
use ringfort_base::{Entropy, Event, Transport};
use ringfort_call::config::{LimitsSection, ListenAddress, MediaTier, Snapshot};
use ringfort_call::interface::loopback;
use ringfort_call::status::Status;
use ringfort_call::{Input, Node, NodeSetup, OwnAddresses};
use ringfort_observe::log::{LogFormat, LogOptions, LogSubscriber};
use ringfort_observe::metrics::Metrics;
use ringfort_observe::{Observers, Subscriber, Timelines, log};
use ringfort_relay::{Relay, RelayConfig};
use ringfort_store::{FileError, StateDir};
use ringfort_web::{Admins, Hasher, WebOptions, WebState};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No configuration.
    #[error(transparent)]
    Configuration(#[from] SourceError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] FileError),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Administrators' accounts.
    #[error(transparent)]
    Admins(#[from] ringfort_web::AdminError),
    /// The log.
    #[error(transparent)]
    Log(#[from] ringfort_observe::log::LogError),
    /// A listener cannot be bound.
    #[error("cannot listen on {what}: {source}")]
    Listen {
        /// Transport and address.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// Threads, sockets, signals.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// Metrics.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// Runs the node until SIGTERM or SIGINT.
pub fn run(source: Source) -> Result<(), StartError> {
    let filter = std::env::var("RINGFORT_LOG").unwrap_or_default();
    let json = std::env::var("RINGFORT_LOG_FORMAT").is_ok_and(|format| format == "json");
    log::init(&LogOptions { filter, format: if json { LogFormat::Json } else { LogFormat::Human } })?;
    raise_descriptor_limit();
    ringfort_relay::memory::settle();
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("signalling").enable_all().build()?;
    let _entered = runtime.enter();
    let mut entropy = SystemEntropy::new();
    let loaded = source.load(&mut entropy)?;
    let node = Started::start(source, &loaded, runtime.handle().clone())?;
    let ended = runtime.block_on(node.serve_signals());
    node.stop();
    ended.map_err(StartError::System)
}

/// Each call holds up to four sockets and each phone a connection; the usual soft limit of 1,024 descriptors is for programs that
/// use `select`. The hard limit is what the administrator allows.
pub(crate) fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open descriptors stays low");
    }
}

/// Every listener of the configuration, bound.
struct Listeners {
    sip: Vec<Bound>,
    web: std::net::TcpListener,
    own: OwnAddresses,
    udp: Vec<(SocketAddr, UdpSocket)>,
}

struct Started {
    backend: Arc<NodeBackend>,
    core: CoreHandle,
    thread: std::thread::JoinHandle<()>,
    observers: Observers,
}

impl Started {
    fn start(source: Source, loaded: &Loaded, runtime: tokio::runtime::Handle) -> Result<Started, StartError> {
        let snapshot = loaded.snapshot.clone();
        tell_measured(&snapshot.limits);
        let mut entropy = SystemEntropy::new();
        let state = StateDir::open(&snapshot.node.state_dir)?;
        let listeners = Listeners::bind(&snapshot)?;
        let own = listeners.own.clone();
        let web_address = listeners.web.local_addr()?;
        let tls = Tls::open(
            &snapshot,
            &state,
            &own.all().map(|interface| interface.advertised).chain([Ipv4Addr::LOCALHOST.into()]).collect::<Vec<_>>(),
        )?;
        let metrics = Metrics::new().map_err(|e| StartError::Metrics(e.to_string()))?;
        let timelines = Timelines::new();
        let subscribers: Vec<Box<dyn Subscriber>> = vec![
            Box::new(LogSubscriber::default()),
            Box::new(metrics.clone()),
            Box::new(RecordWriter::open(&state)),
            Box::new(timelines.clone()),
        ];
        let observers = Observers::start(subscribers)?;
        let journal_path = snapshot.node.run_dir.join("state.journal");
        let (opened, saved, damage) = journal::open(&journal_path);
        damage.into_iter().for_each(|event| observers.publish(crate::clock::wall(), event));
        let (core, queue) = core::queue()?;
        let relay = start_relay(&snapshot, core.clone())?;
        relay.set_sounds(&loaded.sounds);
        crate::alarms::watch(relay.clone(), core.clone(), &runtime);
        let signalling = Signalling {
            core: core.clone(),
            flows: Arc::default(),
            door: Arc::default(),
            names: Arc::default(),
            tls: tls.clone(),
            dscp: snapshot.sip.dscp,
        };
        let clock = Clock::start();
        let status = Arc::new(ArcSwap::from_pointee(Status::default()));
        let setup = NodeSetup {
            snapshot: snapshot.clone(),
            own: own.clone(),
            entropy: Box::new(SystemEntropy::new()),
            saved,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let dns = {
            // Its tasks run there.
            let _entered = runtime.enter();
            Dns::new(&snapshot.dns)
        };
        let performer = Performer {
            signalling: signalling.clone(),
            udp: listeners.udp,
            dns,
            relay: relay.clone(),
            journal: JournalWriter::start(opened, &journal_path, observers.clone())?,
            observers: observers.clone(),
            runtime,
            clock,
            status: status.clone(),
        };
        let node = Node::new(clock.now(), setup);
        let thread =
            std::thread::Builder::new().name("core".into()).spawn(move || core::run_or_end_process(node, queue, performer))?;
        let backend = Arc::new(NodeBackend {
            core: core.clone(),
            status: status.clone(),
            first: snapshot.clone(),
            snapshot: ArcSwap::new(snapshot.clone()),
            source,
            tls: tls.clone(),
            relay,
            metrics,
            timelines: timelines.clone(),
            observers: observers.clone(),
            started: Instant::now(),
        });
        let (admins, first) = Admins::open(state.admins(), Hasher::new().map_err(ringfort_web::AdminError::from)?, &mut entropy)?;
        let options = WebOptions {
            admins,
            clock: Arc::new(move || clock.now()),
            entropy: Box::new(SystemEntropy::new()),
            hsts: !tls.is_self_signed(),
        };
        let router = ringfort_web::router(WebState::new(backend.clone(), options));
        serve::serve(listeners.web, router, signalling.clone())?;
        for listener in listeners.sip {
            listener.serve(signalling.clone())?;
        }
        if let Err(error) = crate::calls::serve(&snapshot.node.run_dir, move || status.load_full(), timelines) {
            let reason = format!("`ringfort calls` cannot ask: {error}");
            observers.publish(crate::clock::wall(), Event::Impaired { part: "status".into(), reason });
        }
        banner::write_addresses(&snapshot.node.run_dir, &own, web_address);
        println!("{}", banner::text(loaded, &own, web_address, first.as_ref(), tls.is_self_signed()));
        Ok(Started { backend, core, thread, observers })
    }

    /// SIGHUP reads the configuration again; SIGTERM and SIGINT end the process.
    async fn serve_signals(&self) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    let backend = self.backend.clone();
                    // A refusal is an event, which the log shows.
                    let _ = tokio::task::spawn_blocking(move || ringfort_web::Backend::reload(&*backend)).await;
                }
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    /// Ends the threads; what they have queued is written first.
    fn stop(self) {
        self.core.stop();
        let _ = self.thread.join();
        self.observers.close();
    }
}

/// What `ringfort capacity` found and nobody configured is a limit nobody wrote down.
fn tell_measured(limits: &LimitsSection) {
    let LimitsSection { calls_max, calls_per_second, transcoded_calls_max, measured, .. } = *limits;
    let found = [
        ("calls_max", calls_max, measured.calls),
        ("calls_per_second", calls_per_second, measured.per_second),
        ("transcoded_calls_max", transcoded_calls_max, measured.transcoded),
    ];
    for (limit, value, _) in found.into_iter().filter(|(.., is_measured)| *is_measured) {
        tracing::info!(limit, value, "the limit is what `ringfort capacity` measured");
    }
}

fn start_relay(snapshot: &Snapshot, core: CoreHandle) -> Result<Arc<Relay>, StartError> {
    let mut config = RelayConfig::default();
    if snapshot.media.workers > 0 {
        config.workers = snapshot.media.workers;
    }
    (config.dscp, config.dscp_video) = (snapshot.media.dscp, snapshot.media.dscp_video);
    config.gather_us = snapshot.media.gather_us;
    config.realtime = snapshot.media.realtime;
    config.reports = Some(SystemEntropy::new().u64());
    config.kernel = snapshot.media.tier == MediaTier::Auto;
    config.af_xdp.clone_from(&snapshot.media.af_xdp);
    let sink = Arc::new(move |event| core.offer(Input::Relay(event)));
    Ok(Arc::new(Relay::start(config, sink)?))
}

impl Listeners {
    fn bind(snapshot: &Snapshot) -> Result<Listeners, StartError> {
        let bind = |wanted: &ListenAddress| {
            let what = || format!("{} {}", wanted.transport, wanted.address);
            Bound::bind(wanted, snapshot.sip.dscp).map_err(|source| StartError::Listen { what: what(), source })
        };
        let mut sip: Vec<Bound> = snapshot.sip.listen.iter().map(bind).collect::<Result<_, _>>()?;
        let mut realms = Vec::new();
        for realm in &snapshot.realms {
            let bound: Vec<Bound> = realm.listen.iter().map(bind).collect::<Result<_, _>>()?;
            realms.push(bound.iter().map(Bound::address).collect());
            sip.extend(bound);
        }
        let web = crate::io::bind_stream(snapshot.web.listen, 0)
            .map_err(|source| StartError::Listen { what: format!("HTTPS {}", snapshot.web.listen), source })?;
        let mut udp = Vec::new();
        for listener in &sip {
            if let Some(socket) = listener.sender()? {
                udp.push((listener.address().1, socket));
            }
        }
        let own = sip.iter().take(snapshot.sip.listen.len());
        let mut listeners: Vec<(Transport, SocketAddr)> = own.map(Bound::address).collect();
        if !listeners.iter().any(|(t, _)| *t == Transport::Wss) {
            listeners.push((Transport::Wss, web.local_addr()?));
        }
        let own = OwnAddresses::configured(snapshot, listeners, realms, default_address);
        Ok(Listeners { sip, web, own, udp })
    }
}

/// Address of a family of the interface with the default route; loopback when there is none. Connecting a UDP socket sends nothing.
fn default_address(v4: bool) -> IpAddr {
    let (any, far): (IpAddr, IpAddr) = match v4 {
        true => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        false => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    };
    let found = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((far, 9))?;
        socket.local_addr()
    });
    found.map_or_else(|_| loopback(v4), |address| address.ip())
}
