//! The log: every event as a `tracing` event with fields, for people or as JSON.

use crate::bus::Subscriber;
use crate::fields::{About, Fields};
use ringfort_base::event::Severity;
use ringfort_base::{Event, Wall};
use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// `tracing` target of all events: `RUST_LOG`-like filters name it.
pub const TARGET: &str = "ringfort";

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a terminal or the journal.
    #[default]
    Human,
    /// One object a line.
    Json,
}

/// How to log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// What a line looks like.
    pub format: LogFormat,
    /// Directives such as `info,ringfort=debug`. Empty: `info`, and `warn` for the libraries.
    pub filter: String,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A directive cannot be read.
    #[error("log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// There is a log already.
    #[error(transparent)]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets the process's log up, on standard error.
pub fn init(options: &LogOptions) -> Result<(), LogError> {
    let ansi = std::io::stderr().is_terminal();
    Ok(dispatcher(options, ansi, std::io::stderr)?.try_init()?)
}

fn dispatcher<W>(options: &LogOptions, ansi: bool, writer: W) -> Result<tracing::Dispatch, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    const DEFAULT: &str = "info,sled=warn,hyper=warn,h2=warn,rustls=warn,tungstenite=warn";
    let directives = if options.filter.is_empty() { DEFAULT } else { &options.filter };
    let filter = EnvFilter::builder().parse(directives)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(writer);
    Ok(match options.format {
        LogFormat::Human => builder.into(),
        LogFormat::Json => builder.json().flatten_event(true).into(),
    })
}

/// Writes events to the log. Personal data is masked unless `reveal` is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSubscriber {
    /// Shows numbers, names and addresses: for a test bed, or where the law and the operator agree to it.
    pub reveal: bool,
}

/// `tracing` wants the level and the names of fields when it is compiled, so every name that [`Fields`] may hold
/// stands here, by the kind of event; a name without a value is left out of the line. A test compares the two. `tracing` takes at most
/// 32, the message included.
macro_rules! line {
    ($level:expr, $event:expr, $reveal:expr; $($name:ident)*) => {
        if tracing::enabled!(target: TARGET, $level) {
            let fields = Fields::of($event, $reveal);
            tracing::event!(target: TARGET, $level, $($name = fields.find(stringify!($name)),)* "{}", $event.name());
        }
    };
}

macro_rules! with_names {
    ($about:expr, $then:ident!($($args:tt)*)) => {
        match $about {
            About::Node => $then!($($args)*; from to peer up reason limit effect part taken version restored profile rule stage
                queued lag_ms alarm raised),
            About::Access => $then!($($args)*; aor user source transport expires_s local refresh rule reason status seconds),
            About::Call => $then!($($args)*; call from to route targets answered_by leg how cause status mode duration_ms reroutes
                packets lost jitter_ms mos missing silent_s reason recorder state),
            About::Step => $then!($($args)*; call leg step status peer role version suite component ssrc codec tier program cause packets lost
                missed jitter_ms round_trip_ms mos),
        }
    };
}

impl Subscriber for LogSubscriber {
    fn name(&self) -> &'static str {
        "log"
    }

    fn wants(&self) -> fn(&Event) -> bool {
        |event| !event.is_sample()
    }

    fn on(&mut self, _: Wall, event: &Event) {
        match event.severity() {
            Severity::Error => with_names!(About::of(event), line!(Level::ERROR, event, self.reveal)),
            Severity::Warning => with_names!(About::of(event), line!(Level::WARN, event, self.reveal)),
            Severity::Info => with_names!(About::of(event), line!(Level::INFO, event, self.reveal)),
            Severity::Debug => with_names!(About::of(event), line!(Level::DEBUG, event, self.reveal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{PERSONAL, every_event};
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, reveal: bool) -> String {
        let captured = Captured::default();
        let options = LogOptions { format, filter: filter.into() };
        let writer = captured.clone();
        let dispatch = dispatcher(&options, false, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            let mut log = LogSubscriber { reveal };
            every_event().iter().for_each(|event| log.on(Wall(0), event));
        });
        let octets = captured.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn no_line_holds_personal_data() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let text = logged(format, "trace", false);
            assert_eq!(text.lines().count(), every_event().len());
            for line in text.lines() {
                for personal in PERSONAL {
                    assert!(!line.contains(personal), "House rule: personal data is masked. {personal} in {line}");
                }
            }
        }
    }

    #[test]
    fn personal_data_is_shown_to_who_asks() {
        let text = logged(LogFormat::Json, "trace", true);
        for personal in PERSONAL {
            assert!(text.contains(personal), "{personal}");
        }
    }

    #[test]
    fn every_field_reaches_the_line() {
        let text = logged(LogFormat::Json, "trace", false);
        for (event, line) in every_event().iter().zip(text.lines()) {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["message"], event.name());
            for (name, value) in Fields::of(event, false).iter() {
                assert_eq!(object[name], value, "{name} of {}", event.name());
            }
        }
    }

    #[test]
    fn levels_follow_severity_and_the_filter() {
        let text = logged(LogFormat::Human, "", false);
        let debug = every_event().iter().filter(|e| e.severity() == Severity::Debug).count();
        assert!(debug > 0);
        assert_eq!(text.lines().count(), every_event().len() - debug);
        assert!(text.lines().any(|l| l.contains("ERROR") && l.contains("impaired")));
        let options = LogOptions { filter: "ringfort=loud".into(), ..LogOptions::default() };
        assert!(matches!(dispatcher(&options, false, io::sink), Err(LogError::Filter(_))));
    }
}
