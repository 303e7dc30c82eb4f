//! Requests that Ringfort sends on its own account: OPTIONS to supervise a peer, REGISTER to a carrier or the cloud.
//! They are built with rsip's typed headers; everything that comes from a peer stays with [`crate::message`].

use crate::digest::Credentials;
use crate::uri::{Host, Scheme, Uri};
use bytes::Bytes;
use ringfort_base::Transport;
use rsip::headers::UntypedHeader;
use rsip::{Header, Headers, param, typed};
use std::net::SocketAddr;

/// What every request of our own carries.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// Request-URI: the peer or its registrar.
    pub target: &'a Uri,
    /// From.
    pub from: &'a Uri,
    /// To.
    pub to: &'a Uri,
    /// Where requests to us go; without it there is no Contact.
    pub contact: Option<&'a Uri>,
    /// Route values, the next hop first.
    pub routes: &'a [String],
    /// The tag of From.
    pub tag: &'a str,
    /// Call-ID. A registration keeps it for all refreshes (RFC 3261 10.2).
    pub call_id: &'a str,
    /// CSeq number, below 2^31.
    pub cseq: u32,
    /// The transport in Via.
    pub transport: Transport,
    /// Our address in Via.
    pub sent_by: SocketAddr,
    /// Via branch, magic cookie included.
    pub branch: &'a str,
    /// User-Agent.
    pub user_agent: &'a str,
}

impl Origin<'_> {
    /// OPTIONS (RFC 3261 11).
    pub fn options(&self) -> Bytes {
        let headers = vec![rsip::headers::Accept::new("application/sdp").into()];
        self.request(rsip::Method::Options, headers, None)
    }

    /// REGISTER (RFC 3261 10.2) for `expires_s` seconds; 0 removes the binding. `credentials` answer a 401 or, as
    /// Proxy-Authorization, a 407. A Contact with `bnc` stands for all numbers of the account (RFC 6140 5.2), which nobody may overlook.
    pub fn register(&self, expires_s: u32, credentials: Option<RegisterCredentials<'_>>) -> Bytes {
        // RFC 3327 5.1, RFC 3608 5: proxies on the way may tell where they are.
        let mut headers = vec![rsip::headers::Expires::from(expires_s).into(), rsip::headers::Supported::new("path").into()];
        if self.contact.is_some_and(|contact| contact.param("bnc").is_some()) {
            headers.push(rsip::headers::Require::new("gin").into());
            headers.push(rsip::headers::ProxyRequire::new("gin").into());
        }
        // rsip's typed Authorization cannot hold a hexadecimal nonce count, so ours is written.
        headers.extend(credentials.map(|credentials| match credentials {
            RegisterCredentials::Server(own) => rsip::headers::Authorization::new(own.to_string()).into(),
            RegisterCredentials::Proxy(own) => rsip::headers::ProxyAuthorization::new(own.to_string()).into(),
        }));
        self.request(rsip::Method::Register, headers, Some(expires_s))
    }

    fn request(&self, method: rsip::Method, more: Vec<Header>, expires_s: Option<u32>) -> Bytes {
        let mut headers: Headers = vec![
            self.via(),
            rsip::headers::MaxForwards::from(70).into(),
            self.caller(),
            typed::To { display_name: None, uri: rsip_uri(self.to), params: vec![] }.into(),
            rsip::headers::CallId::new(self.call_id).into(),
            typed::CSeq { seq: self.cseq, method }.into(),
        ]
        .into();
        self.routes.iter().for_each(|route| headers.push(rsip::headers::Route::new(route.as_str()).into()));
        if let Some(contact) = self.contact {
            let expires = expires_s.map(|s| rsip::Param::Expires(param::Expires::new(s.to_string())));
            let params = expires.into_iter().collect();
            headers.push(typed::Contact { display_name: None, uri: rsip_uri(contact), params }.into());
        }
        headers.extend(more);
        headers.push(rsip::headers::UserAgent::new(self.user_agent).into());
        headers.push(rsip::headers::ContentLength::from(0).into());
        let uri = rsip_uri(self.target);
        rsip::Request { method, uri, version: rsip::Version::V2, headers, body: Vec::new() }.into()
    }

    fn via(&self) -> Header {
        let transport = match self.transport {
            Transport::Udp => rsip::Transport::Udp,
            Transport::Tcp => rsip::Transport::Tcp,
            Transport::Tls => rsip::Transport::Tls,
            Transport::Ws => rsip::Transport::Ws,
            Transport::Wss => rsip::Transport::Wss,
        };
        let sent_by = (rsip_host(&Host::from(self.sent_by.ip())), self.sent_by.port());
        let params = vec![
            rsip::Param::Branch(param::Branch::new(self.branch)),
            // Symmetric response routing (RFC 3581).
            rsip::Param::Other(param::OtherParam::new("rport"), None),
        ];
        let uri = rsip::Uri { host_with_port: sent_by.into(), ..Default::default() };
        typed::Via { version: rsip::Version::V2, transport, uri, params }.into()
    }

    fn caller(&self) -> Header {
        let params = vec![rsip::Param::Tag(param::Tag::new(self.tag))];
        typed::From { display_name: None, uri: rsip_uri(self.from), params }.into()
    }
}

/// Which challenge a REGISTER answers.
#[derive(Clone, Copy, Debug)]
pub enum RegisterCredentials<'a> {
    /// A 401 of the registrar.
    Server(&'a Credentials),
    /// A 407 of a proxy before it.
    Proxy(&'a Credentials),
}

fn rsip_uri(uri: &Uri) -> rsip::Uri {
    let scheme = match &uri.scheme {
        Scheme::Sip => rsip::Scheme::Sip,
        Scheme::Sips => rsip::Scheme::Sips,
        // rsip writes other schemes with `//`; as a domain without a scheme the text stays as it is.
        Scheme::Tel | Scheme::Other(_) => {
            return rsip::Uri::from(rsip::Host::Domain(rsip::Domain::from(uri.to_string())));
        }
    };
    let host = rsip_host(&uri.host);
    rsip::Uri {
        scheme: Some(scheme),
        auth: uri.user.clone().map(|user| rsip::Auth { user, password: uri.password.clone() }),
        host_with_port: match uri.port {
            Some(port) => (host, port).into(),
            None => host.into(),
        },
        params: uri.params.iter().map(|(name, value)| rsip_param(name, value.as_deref())).collect(),
        headers: Vec::new(),
    }
}

fn rsip_param(name: &str, value: Option<&str>) -> rsip::Param {
    rsip::Param::Other(param::OtherParam::new(name), value.map(param::OtherParamValue::new))
}

/// rsip writes IPv6 addresses without brackets; as a domain they keep them.
fn rsip_host(host: &Host) -> rsip::Host {
    rsip::Host::Domain(rsip::Domain::from(host.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Challenge, Ha1};
    use crate::message::{HeaderName, Message, Method};
    use crate::screen::{Verdict, screen};

    fn with_origin<T>(sent_by: &str, test: impl FnOnce(Origin<'_>) -> T) -> T {
        let uri = |text: &str| Uri::parse(text).unwrap();
        let (target, aor) = (uri("sips:[2001:db8::5]:5061;transport=tcp;lr"), uri("sip:+4930%20123@carrier.example"));
        let contact = uri("sip:trunk@192.0.2.1:5080;transport=tls");
        test(Origin {
            target: &target,
            from: &aor,
            to: &aor,
            contact: Some(&contact),
            routes: &[],
            tag: "t1",
            call_id: "cid@192.0.2.1",
            cseq: 7,
            transport: Transport::Tls,
            sent_by: sent_by.parse().unwrap(),
            branch: "z9hG4bKabc",
            user_agent: "Ringfort/0.1",
        })
    }

    fn read(octets: Bytes) -> Message {
        let message = Message::parse(octets).unwrap();
        assert_eq!(screen(&message), Verdict::Accept);
        message
    }

    #[test]
    fn our_parser_reads_options() {
        let message = with_origin("192.0.2.1:5061", |origin| read(origin.options()));
        assert_eq!(message.method(), Method::Options);
        assert_eq!(message.request_uri(), Some("sips:[2001:db8::5]:5061;transport=tcp;lr"));
        let via = message.top_via().unwrap();
        assert_eq!((via.transport, via.host, via.port, via.rport), ("TLS", "192.0.2.1", Some(5061), Some(None)));
        assert_eq!((via.branch, message.max_forwards()), (Some("z9hG4bKabc"), Ok(Some(70))));
        assert_eq!(message.from().unwrap().tag(), Some("t1"));
        assert_eq!(message.to().unwrap().uri, "sip:+4930%20123@carrier.example");
        assert_eq!(message.cseq(), Ok((7, Method::Options)));
        assert_eq!(message.call_id(), Ok("cid@192.0.2.1"));
        assert_eq!(message.header(HeaderName::ContentLength), Some("0"));
    }

    #[test]
    fn our_parser_reads_register_with_credentials() {
        let challenge = Challenge::parse("Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256").unwrap();
        let ha1 = Ha1::new("trunk", "r", "secret");
        let own = challenge.answer("trunk", &ha1, "REGISTER", "sip:h", "c", 0x100);
        let message =
            with_origin("[2001:db8::1]:5061", |origin| read(origin.register(600, Some(RegisterCredentials::Server(&own)))));
        assert_eq!(message.top_via().unwrap().host, "2001:db8::1");
        assert_eq!(message.expires(), Ok(Some(600)));
        let contacts = message.contacts().unwrap();
        let contact = contacts.first().unwrap();
        assert_eq!((contact.uri, contact.expires()), ("sip:trunk@192.0.2.1:5080;transport=tls", Some(600)));
        let credentials = Credentials::parse(message.header(HeaderName::Authorization).unwrap()).unwrap();
        assert_eq!(credentials.nonce_count(), Some(256));
        assert!(ha1.verify(&credentials, "REGISTER"));
        let proxied = with_origin("192.0.2.1:5061", |origin| read(origin.register(0, Some(RegisterCredentials::Proxy(&own)))));
        assert!(proxied.header(HeaderName::ProxyAuthorization).is_some());
        assert!(proxied.header(HeaderName::Authorization).is_none());
    }
}
