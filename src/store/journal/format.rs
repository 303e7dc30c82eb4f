//! The octets of a record, little-endian:
//!
//! | octets | what |
//! |---|---|
//! | 4 | magic, which is also the version |
//! | 4 | length of the body |
//! | 8 | sequence number |
//! | 4 | CRC-32 of the body |
//! | 4 | CRC-32 of the 20 octets before |
//! | 1 | operation: 1 put, 2 remove |
//! | 2 | length of the key |
//! | n | key, then value |
//!
//! The head has its own check, so that its length can be trusted when the body is damaged: exactly that record is
//! skipped. Only when the head itself is damaged is the next head searched for.

use super::{KEY_MAX, VALUE_MAX};
use zeroize::Zeroizing;

/// Not UTF-8, so that text in a value does not look like a head.
const MAGIC: [u8; 4] = [0xf5, b'R', b'J', b'1'];
const HEAD: usize = 24;
const BODY_MIN: usize = 3;
const BODY_MAX: usize = BODY_MIN + KEY_MAX + VALUE_MAX;
const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// What a record does to its key.
pub enum Change<'a> {
    /// Sets the value.
    Put(&'a [u8]),
    /// Removes it.
    Remove,
}

/// One sound record.
pub struct Record<'a> {
    /// Position in the order of writes.
    pub seq: u64,
    /// Key.
    pub key: &'a str,
    /// What is done to it.
    pub change: Change<'a>,
}

/// How a file was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// End of the last record.
    pub end: u64,
    /// Octets before `end` that were no sound record.
    pub damaged: u64,
    /// Octets behind `end`.
    pub torn: u64,
}

/// Writes a record into `buffer`. Lengths were checked by the caller.
pub fn encode(buffer: &mut Zeroizing<Vec<u8>>, seq: u64, key: &str, value: Option<&[u8]>) {
    let body_len = BODY_MIN + key.len() + value.map_or(0, <[u8]>::len);
    buffer.clear();
    if buffer.capacity() < HEAD + body_len {
        // Growing in place would copy and free the old octets without wiping them; a fresh buffer is empty.
        *buffer = Zeroizing::new(Vec::with_capacity((HEAD + body_len).next_power_of_two()));
    }
    buffer.extend_from_slice(&MAGIC);
    buffer.extend_from_slice(&(body_len as u32).to_le_bytes());
    buffer.extend_from_slice(&seq.to_le_bytes());
    buffer.extend_from_slice(&[0; 8]);
    buffer.push(if value.is_some() { PUT } else { REMOVE });
    buffer.extend_from_slice(&(key.len() as u16).to_le_bytes());
    buffer.extend_from_slice(key.as_bytes());
    buffer.extend_from_slice(value.unwrap_or_default());
    let body_check = crc32fast::hash(&buffer[HEAD..]);
    buffer[16..20].copy_from_slice(&body_check.to_le_bytes());
    let head_check = crc32fast::hash(&buffer[..20]);
    buffer[20..24].copy_from_slice(&head_check.to_le_bytes());
}

/// Walks over `octets` and calls `each` with offset, length and content of every sound record.
pub fn scan(octets: &[u8], mut each: impl FnMut(u64, u64, Record<'_>)) -> Scan {
    let mut result = Scan::default();
    let mut at = 0;
    while let Some(offset) = find_head(octets, at) {
        let Some(head) = Head::parse(&octets[offset..]) else {
            at = offset + 1;
            continue;
        };
        let len = HEAD + head.body_len;
        let Some(body) = octets.get(offset + HEAD..offset + len) else {
            break; // The write of the last record did not finish.
        };
        at = offset + len;
        if let Some(record) = head.record(body) {
            result.damaged += offset as u64 - result.end;
            result.end = at as u64;
            each(offset as u64, len as u64, record);
        }
    }
    result.torn = octets.len() as u64 - result.end;
    result
}

fn find_head(octets: &[u8], from: usize) -> Option<usize> {
    octets.get(from..)?.windows(HEAD).position(|w| w[..4] == MAGIC).map(|i| from + i)
}

struct Head {
    body_len: usize,
    seq: u64,
    body_check: u32,
}

impl Head {
    /// Reads a head whose check is right and whose length a record can have.
    fn parse(octets: &[u8]) -> Option<Head> {
        let head: &[u8; HEAD] = octets.first_chunk()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let sound = crc32fast::hash(&head[..20]) == word(20);
        let body_len = word(4) as usize;
        (sound && (BODY_MIN..=BODY_MAX).contains(&body_len)).then(|| Head {
            body_len,
            seq: u64::from(word(8)) | u64::from(word(12)) << 32,
            body_check: word(16),
        })
    }

    fn record<'a>(&self, body: &'a [u8]) -> Option<Record<'a>> {
        if crc32fast::hash(body) != self.body_check {
            return None;
        }
        let (&[op, low, high], rest) = body.split_first_chunk()?;
        let (key, value) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        let change = match op {
            PUT => Change::Put(value),
            REMOVE => Change::Remove,
            _ => return None,
        };
        Some(Record { seq: self.seq, key: std::str::from_utf8(key).ok()?, change })
    }
}
