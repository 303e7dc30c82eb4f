//! A small HTTPS client for the node's API: one request a connection.

use super::tls::connect_tls;
use super::{Context, Failure, Outcome};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines as they came.
    pub head: String,
    /// Body, without transfer coding.
    pub body: String,
}

/// The API of one node, with the session cookie once signed in.
#[derive(Clone, Debug)]
pub struct Api {
    address: SocketAddr,
    cookie: Option<String>,
}

impl Api {
    /// Not signed in.
    pub fn new(address: SocketAddr) -> Api {
        Api { address, cookie: None }
    }

    /// `GET` of a path.
    pub fn get(&self, path: &str) -> Outcome<Response> {
        self.request("GET", path, None)
    }

    /// `GET` of a path that must answer 200 with JSON.
    pub fn json(&self, path: &str) -> Outcome<Value> {
        let response = self.get(path)?;
        if response.status != 200 {
            return Err(Failure::new(format!("GET {path} answered {}: {}", response.status, response.body)));
        }
        serde_json::from_str(&response.body).during(format_args!("reading the JSON of {path}"))
    }

    /// Signs in; the cookie stays with this value.
    pub fn sign_in(&mut self, user: &str, password: &str) -> Outcome<Response> {
        let body = serde_json::json!({ "user": user, "password": password }).to_string();
        let response = self.request("POST", "/api/v1/session", Some(&body))?;
        self.cookie = response.header("set-cookie").and_then(|c| c.split(';').next()).map(str::to_string);
        Ok(response)
    }

    /// Any request.
    pub fn request(&self, method: &str, path: &str, body: Option<&str>) -> Outcome<Response> {
        let mut stream = connect_tls(self.address, PATIENCE)?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nX-Ringfort: 1\r\n", self.address);
        if let Some(cookie) = &self.cookie {
            request += &format!("Cookie: {cookie}\r\n");
        }
        if let Some(body) = body {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body.unwrap_or_default();
        stream.write_all(request.as_bytes()).during(format_args!("{method} {path}"))?;
        let mut octets = Vec::new();
        match stream.read_to_end(&mut octets) {
            // Many servers close without TLS's farewell; the length of the body is checked all the same.
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error).during(format_args!("{method} {path}")),
            _ => Response::parse(&octets),
        }
    }
}

impl Response {
    fn parse(octets: &[u8]) -> Outcome<Response> {
        let text = String::from_utf8_lossy(octets);
        let (head, body) = text.split_once("\r\n\r\n").during("an HTTP response without an end of its head")?;
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).during("an HTTP response without a status")?;
        let mut response = Response { status, head: head.into(), body: body.into() };
        if response.header("transfer-encoding").is_some_and(|t| t.eq_ignore_ascii_case("chunked")) {
            response.body = dechunk(body)?;
        }
        Ok(response)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

fn dechunk(mut rest: &str) -> Outcome<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").during("a chunk without a size")?;
        let size = usize::from_str_radix(size.trim(), 16).during("a chunk's size")?;
        if size == 0 {
            return Ok(body);
        }
        body += after.get(..size).during("a chunk that was cut off")?;
        rest = after.get(size + 2..).during("a chunk without an end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let response = Response::parse(text).expect("whole");
        assert_eq!((response.status, response.body.as_str()), (200, "abcde"));
    }
}
