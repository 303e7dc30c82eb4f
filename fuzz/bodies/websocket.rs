//! Frames of a browser behind the opening handshake, within the node's bounds.

use ringfort_base::limits;
use std::io::{Cursor, Read, Result, Write};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

/// What came in; what goes out is let go.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, octets: &[u8]) -> Result<usize> {
        Ok(octets.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Reads frames until the connection breaks; each whole message is within the bound and read as SIP.
pub fn websocket(octets: &[u8]) {
    let size = Some(limits::SIP_MESSAGE_MAX);
    let config = WebSocketConfig::default().max_message_size(size).max_frame_size(size);
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(octets)), Role::Server, Some(config));
    while let Ok(frame) = socket.read() {
        let message: &[u8] = match &frame {
            Frame::Text(text) => text.as_bytes(),
            Frame::Binary(octets) => octets,
            _ => continue,
        };
        assert!(message.len() <= limits::SIP_MESSAGE_MAX, "a message above the bound");
        super::message::message(message);
    }
}
