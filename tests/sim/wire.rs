//! The simulator's own reading of SIP, line by line: a second opinion on what the node writes, that shares no code with it.

use md5::Md5;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Request or status line.
    pub start: String,
    /// Header fields in order, names as written.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Wire {
    /// Reads what came off the wire. Panics on what no strict peer could read: the node wrote it.
    pub fn read(octets: &[u8]) -> Wire {
        let text = std::str::from_utf8(octets).expect("the node writes UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line ends the head");
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_string();
        let read = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("`{line}` is no header field"));
            (name.trim().to_string(), value.trim().to_string())
        };
        let wire = Wire { start, headers: lines.map(read).collect(), body: body.to_string() };
        let length: usize = wire.get("Content-Length").parse().expect("Content-Length on every message");
        assert_eq!(length, body.len(), "Content-Length of {}", wire.start);
        wire
    }

    /// A request without header fields yet.
    pub fn request(method: &str, uri: &str) -> Wire {
        Wire { start: format!("{method} {uri} SIP/2.0"), headers: Vec::new(), body: String::new() }
    }

    /// The reply to a request: Via, From, To, Call-ID and CSeq are its own; `tag` goes to To where it has none.
    pub fn reply(&self, status: u16, tag: &str) -> Wire {
        let mut reply = Wire { start: format!("SIP/2.0 {status} {}", phrase(status)), headers: Vec::new(), body: String::new() };
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in self.all(name) {
                let tagged = name == "To" && status > 100 && param(value, "tag").is_none() && !tag.is_empty();
                let value = if tagged { format!("{value};tag={tag}") } else { value.to_string() };
                reply.headers.push((name.into(), value));
            }
        }
        reply
    }

    /// The same with one more header field.
    pub fn with(mut self, name: &str, value: impl ToString) -> Wire {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// The same with an SDP body.
    pub fn sdp(mut self, body: &str) -> Wire {
        self.body = body.to_string();
        self.with("Content-Type", "application/sdp")
    }

    /// The same with the header field replaced, or removed by an empty value.
    pub fn replace(mut self, name: &str, value: &str) -> Wire {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        if value.is_empty() { self } else { self.with(name, value) }
    }

    /// Octets to be sent.
    pub fn octets(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body);
        text.into_bytes()
    }

    /// Status of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Method of a request, or of the request that a response answers.
    pub fn method(&self) -> &str {
        match self.status() {
            None => self.start.split(' ').next().unwrap_or_default(),
            Some(_) => self.get("CSeq").split(' ').nth(1).unwrap_or_default(),
        }
    }

    /// Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// First field value of this name; empty when absent.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// All field values of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// Branch of the topmost Via.
    pub fn branch(&self) -> &str {
        param(self.get("Via"), "branch").unwrap_or_default()
    }

    /// Tag of From.
    pub fn tag_of_from(&self) -> &str {
        param(self.get("From"), "tag").unwrap_or_default()
    }

    /// Tag of To; empty when there is none.
    pub fn to_tag(&self) -> &str {
        param(self.get("To"), "tag").unwrap_or_default()
    }

    /// CSeq number.
    pub fn cseq(&self) -> u32 {
        self.get("CSeq").split(' ').next().and_then(|n| n.parse().ok()).expect("CSeq number")
    }

    /// URI of the first Contact.
    pub fn contact(&self) -> &str {
        uri_of(self.get("Contact"))
    }

    /// User part of the Request-URI.
    pub fn dialled(&self) -> &str {
        user_of(self.uri())
    }

    /// Direction of the first audio line.
    pub fn direction(&self) -> &str {
        let of = |l: &'static str| self.body.lines().any(|line| line == format!("a={l}")).then_some(l);
        ["sendonly", "recvonly", "inactive"].into_iter().find_map(of).unwrap_or("sendrecv")
    }
}

/// A header parameter outside `<>`.
pub fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let tail = value.rfind('>').map_or(value, |at| &value[at..]);
    tail.split(';').skip(1).find_map(|p| p.strip_prefix(name)?.strip_prefix('='))
}

/// The URI within `<>`, or the value without parameters.
pub fn uri_of(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default(),
    }
}

/// User part of a URI.
pub fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}

fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        486 => "Busy Here",
        487 => "Request Terminated",
        _ => "Because",
    }
}

/// A challenge or credentials as name and value pairs.
pub fn digest_params(value: &str) -> Vec<(String, String)> {
    let list = value.split_once(' ').map_or("", |(_, list)| list);
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        Some((name.trim().to_lowercase(), value.trim().trim_matches('"').to_string()))
    };
    list.split(',').filter_map(pair).collect()
}

/// One parameter of [`digest_params`].
pub fn digest_param<'a>(params: &'a [(String, String)], name: &str) -> &'a str {
    params.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|b| format!("{b:02x}")).collect()
}

fn hash(algorithm: &str, text: &str) -> String {
    match algorithm {
        "SHA-256" => hex(&Sha256::digest(text)),
        _ => hex(&Md5::digest(text)),
    }
}

/// Who answers a challenge, and how.
#[derive(Clone, Debug)]
pub struct Secret {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// `MD5` or `SHA-256`.
    pub algorithm: &'static str,
}

impl Secret {
    /// The response of RFC 7616 3.4.1 with qop=auth.
    pub fn response(&self, realm: &str, method: &str, uri: &str, nonce: &str, nc: u32, cnonce: &str) -> String {
        let a1 = hash(self.algorithm, &format!("{}:{realm}:{}", self.user, self.password));
        let a2 = hash(self.algorithm, &format!("{method}:{uri}"));
        hash(self.algorithm, &format!("{a1}:{nonce}:{nc:08x}:{cnonce}:auth:{a2}"))
    }

    /// The Authorization value that answers a challenge of a response.
    pub fn answer(&self, challenge: &str, method: &str, uri: &str, nc: u32) -> String {
        let params = digest_params(challenge);
        let (realm, nonce) = (digest_param(&params, "realm"), digest_param(&params, "nonce"));
        let response = self.response(realm, method, uri, nonce, nc, "c0ffee");
        format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm={}, cnonce=\"c0ffee\", qop=auth, nc={nc:08x}",
            self.user, self.algorithm
        )
    }

    /// The challenge of a 401 or 407 that this one can answer.
    pub fn challenge(&self, response: &Wire) -> Option<String> {
        let name = if response.status() == Some(407) { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let fits = |value: &&str| digest_param(&digest_params(value), "algorithm") == self.algorithm;
        response.all(name).into_iter().find(fits).map(str::to_string)
    }
}
