//! Questions to the DNS, performed for the core by hickory-resolver. Each runs on its own and has an answer within
//! [`limits::DNS_ANSWER_MAX`], be it that it failed; nobody waits for it. The core keeps the cache, so the resolver has none.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use ringfort_base::limits;
use ringfort_call::config::DnsSection;
use ringfort_sip::locate::{Answer, Data, Kind, Question};
use std::sync::Arc;
use std::time::Duration;

/// One server has this long; then the next one is asked.
const SERVER_PATIENCE: Duration = Duration::from_millis(1_500);
/// A negative answer without SOA says nothing about its life.
const ABSENT_S: u32 = 30;

/// The resolver, or why there is none. Cheap to clone.
#[derive(Clone)]
pub struct Dns(Option<Arc<TokioResolver>>);

impl Dns {
    /// By the servers of the configuration, else by those of the system. A system that names none leaves every question failed: an
    /// installation with addresses and a host table needs no DNS.
    pub fn new(section: &DnsSection) -> Dns {
        let built = match section.servers.is_empty() {
            true => TokioResolver::builder_tokio(),
            false => Ok(TokioResolver::builder_with_config(by_servers(section), TokioRuntimeProvider::default())),
        };
        let built = built.and_then(|mut builder| {
            let options = builder.options_mut();
            (options.timeout, options.attempts, options.cache_size) = (SERVER_PATIENCE, 2, 0);
            builder.build()
        });
        if let Err(error) = &built {
            tracing::warn!(%error, "no name server is known; names of peers cannot be looked up");
        }
        Dns(built.ok().map(Arc::new))
    }

    /// Asks. See the module's text.
    pub async fn ask(&self, question: &Question) -> Answer {
        let Some(resolver) = &self.0 else { return Answer::Failed };
        let kind = match question.kind {
            Kind::Naptr => RecordType::NAPTR,
            Kind::Srv => RecordType::SRV,
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
        };
        // The final dot keeps the search list of the system out: a peer's name is whole. A name without any dot may need it, as
        // those of /etc/hosts do.
        let name = if question.name.contains('.') { format!("{}.", question.name) } else { question.name.clone() };
        match tokio::time::timeout(limits::DNS_ANSWER_MAX, resolver.lookup(name, kind)).await {
            Ok(Ok(lookup)) => found(lookup.answers()),
            Ok(Err(error)) => unanswered(&error),
            Err(_) => Answer::Failed,
        }
    }
}

fn by_servers(section: &DnsSection) -> ResolverConfig {
    let server = |address: std::net::SocketAddr| {
        let on_port = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        NameServerConfig::new(address.ip(), true, vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())])
    };
    ResolverConfig::from_name_servers(section.servers.iter().map(|named| server(named.0)).collect())
}

fn found(records: &[Record]) -> Answer {
    let wanted: Vec<(Data, u32)> = records.iter().filter_map(|record| Some((data(&record.data)?, record.ttl))).collect();
    let ttl_s = records.iter().map(|record| record.ttl).min().unwrap_or(ABSENT_S);
    match wanted.is_empty() {
        true => Answer::Absent { ttl_s },
        false => Answer::Found { records: wanted.into_iter().map(|(data, _)| data).collect(), ttl_s },
    }
}

fn data(record: &RData) -> Option<Data> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Some(match record {
        RData::A(a) => Data::Address(a.0.into()),
        RData::AAAA(aaaa) => Data::Address(aaaa.0.into()),
        RData::SRV(srv) => {
            Data::Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: srv.target.to_ascii() }
        }
        RData::NAPTR(naptr) => Data::Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            service: text(&naptr.services),
            has_regexp: !naptr.regexp.is_empty(),
            replacement: naptr.replacement.to_ascii(),
        },
        _ => return None,
    })
}

fn unanswered(error: &NetError) -> Answer {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let refused = !matches!(none.response_code.low(), 0 | 3);
            if refused { Answer::Failed } else { Answer::Absent { ttl_s: none.negative_ttl.unwrap_or(ABSENT_S) } }
        }
        _ => Answer::Failed,
    }
}
