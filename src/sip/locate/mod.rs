//! Where a SIP server is (RFC 3263), as a machine without IO: [`Locate::questions`] yields what has to be asked of the DNS,
//! [`Locate::answer`] takes what came back, [`Locate::candidates`] yields the servers in the order in which they are tried.
//! Read [`target`] first (what is looked for), then this file (which questions follow from which answers), then [`order`]
//! (which server of several). CNAMEs are the resolver's business; the machine asks for [`limits::DNS_QUESTIONS_MAX`] names at most.

mod order;
pub mod target;

pub use target::{Support, Target};

use ringfort_base::{Entropy, Transport, limits};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Kinds of records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Which transports a domain takes (RFC 3403).
    Naptr,
    /// Which hosts serve a transport (RFC 2782).
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// One question to the DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// The name, lower case, without the final dot.
    pub name: String,
    /// What is asked for.
    pub kind: Kind,
}

impl Question {
    /// A question for a name in any case, with or without its final dot.
    pub fn new(name: &str, kind: Kind) -> Question {
        Question { name: name.trim_end_matches('.').to_ascii_lowercase(), kind }
    }
}

/// What one record says. Of another kind than was asked for it is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// NAPTR (RFC 3403 4.1).
    Naptr {
        /// Lower first.
        order: u16,
        /// Among equals, lower first.
        preference: u16,
        /// `s`: an SRV name follows; `a`: a host name.
        flags: String,
        /// `SIP+D2U` and the like.
        service: String,
        /// Whether it has a regular expression: SIP uses none (RFC 3263 4.1), so such a record is passed over.
        has_regexp: bool,
        /// The name that follows.
        replacement: String,
    },
    /// SRV.
    Srv {
        /// Lower first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Port.
        port: u16,
        /// Host name; `.` says that the service is not offered.
        target: String,
    },
    /// A or AAAA.
    Address(IpAddr),
}

/// What the DNS said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These records, good for so many seconds.
    Found {
        /// At most [`limits::DNS_RECORDS_MAX`] are looked at.
        records: Vec<Data>,
        /// The least TTL among them, seconds.
        ttl_s: u32,
    },
    /// There is no such name or no such record (RFC 2308), good for so many seconds.
    Absent {
        /// The negative TTL, seconds.
        ttl_s: u32,
    },
    /// No server answered, or one said that it could not: nothing is known.
    Failed,
}

/// A server to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The domain that its certificate must bear: the one that was looked for, not what the DNS made of it (RFC 5922 7.1).
    /// `None`: an address was configured.
    pub name: Option<String>,
    /// Servers of the same rank share the load; those of the next are for when they fail.
    pub rank: u16,
}

/// Why there is no candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nowhere {
    /// The DNS says that there is none.
    #[error("the name means no address")]
    Absent,
    /// The DNS does not say.
    #[error("the DNS does not answer")]
    Unknown,
    /// The target asks for what the node does not do, such as `sips` over UDP.
    #[error("no transport that the node has")]
    Transport,
}

/// One look-up. See the module's text.
#[derive(Clone, Debug)]
pub struct Locate {
    target: Target,
    support: Support,
    asked: BTreeSet<Question>,
    answers: BTreeMap<Question, Answer>,
}

/// What follows from the answers so far: hosts in order, and questions that are open.
#[derive(Default)]
struct Plan {
    hosts: Vec<HostOf>,
    open: Vec<Question>,
}

/// One SRV set, or the domain itself.
struct HostOf {
    transport: Transport,
    servers: Vec<order::Server>,
}

impl Locate {
    /// A look-up that has asked nothing yet.
    pub fn new(target: Target, support: Support) -> Locate {
        Locate { target, support, asked: BTreeSet::new(), answers: BTreeMap::new() }
    }

    /// What is looked for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Questions that were not yielded before. All of them may be asked at once.
    pub fn questions(&mut self) -> Vec<Question> {
        let mut fresh = self.plan().open;
        fresh.retain(|question| !self.asked.contains(question));
        fresh.truncate(limits::DNS_QUESTIONS_MAX.saturating_sub(self.asked.len()));
        self.asked.extend(fresh.iter().cloned());
        fresh
    }

    /// Takes an answer. One to a question that was not asked is passed over.
    pub fn answer(&mut self, question: &Question, answer: Answer) {
        if self.asked.contains(question) {
            self.answers.insert(question.clone(), answer);
        }
    }

    /// Whether every question has its answer and no other follows.
    pub fn is_done(&self) -> bool {
        let open = self.plan().open;
        let full = self.asked.len() >= limits::DNS_QUESTIONS_MAX;
        open.iter().all(|question| full && !self.asked.contains(question))
    }

    /// Seconds for which the answers are good together.
    pub fn ttl_s(&self) -> u32 {
        let ttl = |answer: &Answer| match answer {
            Answer::Found { ttl_s, .. } | Answer::Absent { ttl_s } => *ttl_s,
            Answer::Failed => 0,
        };
        self.answers.values().map(ttl).min().unwrap_or(u32::MAX)
    }

    /// The servers in the order in which they are tried, at most [`limits::DNS_CANDIDATES_MAX`]. `entropy` draws among SRV records of
    /// one priority (RFC 2782).
    ///
    /// # Errors
    /// There is none, and why.
    pub fn candidates(&self, entropy: &mut dyn Entropy) -> Result<Vec<Candidate>, Nowhere> {
        if self.target.transports(&self.support).is_empty() {
            return Err(Nowhere::Transport);
        }
        let mut found: Vec<Candidate> = Vec::new();
        let mut rank = 0;
        for host in self.plan().hosts {
            for tier in order::tiers(host.servers, entropy) {
                for server in tier {
                    self.place(&mut found, host.transport, &server, rank);
                }
                rank += 1;
            }
        }
        found.truncate(limits::DNS_CANDIDATES_MAX);
        match found.is_empty() {
            false => Ok(found),
            true if self.answers.values().any(|answer| *answer == Answer::Failed) => Err(Nowhere::Unknown),
            true => Err(Nowhere::Absent),
        }
    }

    fn place(&self, found: &mut Vec<Candidate>, transport: Transport, server: &order::Server, rank: u16) {
        for ip in self.addresses(&server.host) {
            let name = self.target.name().map(str::to_string);
            let address = SocketAddr::new(ip, server.port);
            if !found.iter().any(|known| known.address == address && known.transport == transport) {
                found.push(Candidate { transport, address, name, rank });
            }
        }
    }

    /// Which questions follow from what is known (RFC 3263 4.1 and 4.2).
    fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let transports = self.target.transports(&self.support);
        let Some(name) = self.target.name().filter(|_| self.target.port.is_none()) else {
            // An address, or a port that is written: neither NAPTR nor SRV is asked.
            if let Some(transport) = transports.first() {
                self.host(&mut plan, *transport, self.target.host(), self.target.port_on(*transport));
            }
            return plan;
        };
        if self.target.transport.is_none() {
            match self.ask(&mut plan, name, Kind::Naptr) {
                None => return plan,
                Some(Answer::Found { records, .. }) if self.by_naptr(&mut plan, records, &transports) => return plan,
                Some(_) => {}
            }
        }
        self.by_srv(&mut plan, name, &transports);
        plan
    }

    /// The services that the domain names, in its order. False: none that the node can use.
    fn by_naptr(&self, plan: &mut Plan, records: &[Data], transports: &[Transport]) -> bool {
        let services = order::services(records, self.target.secure, transports);
        for (transport, flag, name) in &services {
            match flag {
                order::Flag::Srv => {
                    self.srv(plan, *transport, name);
                }
                order::Flag::Address => self.host(plan, *transport, name, self.target.port_on(*transport)),
            }
        }
        !services.is_empty()
    }

    /// SRV of each transport; where there is none at all, the domain itself by the first transport (RFC 3263 4.1, last paragraph).
    fn by_srv(&self, plan: &mut Plan, name: &str, transports: &[Transport]) {
        let mut offered = false;
        for transport in transports {
            if let Some(label) = target::srv_label(*transport) {
                offered |= self.srv(plan, *transport, &format!("{label}.{name}"));
            }
        }
        if let Some(first) = transports.first().filter(|_| !offered && plan.open.is_empty()) {
            self.host(plan, *first, name, self.target.port_on(*first));
        }
    }

    /// The servers of one SRV name. True: there are records, be it one that says that there is no service.
    fn srv(&self, plan: &mut Plan, transport: Transport, name: &str) -> bool {
        let Some(Answer::Found { records, .. }) = self.ask(plan, name, Kind::Srv) else { return false };
        let servers = order::servers(records);
        for server in &servers {
            self.ask_addresses(plan, &server.host);
        }
        plan.hosts.push(HostOf { transport, servers });
        true
    }

    fn host(&self, plan: &mut Plan, transport: Transport, host: &str, port: u16) {
        self.ask_addresses(plan, host);
        plan.hosts.push(HostOf { transport, servers: vec![order::Server::only(host, port)] });
    }

    fn ask_addresses(&self, plan: &mut Plan, host: &str) {
        if host.parse::<IpAddr>().is_err() {
            for kind in self.support.families() {
                self.ask(plan, host, *kind);
            }
        }
    }

    /// The addresses of a host, those of the preferred family first.
    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        if let Ok(ip) = host.parse() {
            return vec![ip];
        }
        let mut found = Vec::new();
        for kind in self.support.families() {
            if let Some(Answer::Found { records, .. }) = self.answers.get(&Question::new(host, *kind)) {
                let of_kind = |data: &Data| match data {
                    Data::Address(ip) if ip.is_ipv4() == (*kind == Kind::A) => Some(*ip),
                    _ => None,
                };
                found.extend(records.iter().take(limits::DNS_RECORDS_MAX).filter_map(of_kind));
            }
        }
        found
    }

    fn ask(&self, plan: &mut Plan, name: &str, kind: Kind) -> Option<&Answer> {
        let question = Question::new(name, kind);
        let answer = self.answers.get(&question);
        if answer.is_none() && !plan.open.contains(&question) {
            plan.open.push(question);
        }
        answer
    }
}

#[cfg(test)]
mod tests;
