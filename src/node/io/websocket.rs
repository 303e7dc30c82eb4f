//! SIP over WebSocket (RFC 7118): one message a frame, subprotocol `sip`.

use super::door::Place;
use super::{Signalling, stream};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use ringfort_base::{Hop, limits};
use ringfort_call::Input;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// A browser whose network went away is noticed by its missing pongs: NAT bindings and closed laptops say nothing.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Silence after which it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// Octets read at once: most SIP messages.
const READ_BUFFER: usize = 4_096;
/// The subprotocol (RFC 7118 4.1).
pub const SUBPROTOCOL: &str = "sip";

fn config() -> WebSocketConfig {
    let size = Some(limits::SIP_MESSAGE_MAX);
    // The buffer is held by every idle connection; longer messages are read in several turns.
    WebSocketConfig::default().read_buffer_size(READ_BUFFER).max_message_size(size).max_frame_size(size)
}

/// Whether the client offers the subprotocol.
pub fn offers_sip(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|v| v.to_str().ok());
    offered.flat_map(|v| v.split(',')).any(|token| token.trim().eq_ignore_ascii_case(SUBPROTOCOL))
}

/// The opening handshake on a listener of its own. `None`: it failed, and the client has been told.
pub(super) async fn accept<S>(stream: S) -> Option<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // The size of the error is tungstenite's.
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, mut response: Response| {
        if !offers_sip(request.headers()) {
            let mut refused = ErrorResponse::new(Some("subprotocol sip is needed".into()));
            *refused.status_mut() = StatusCode::BAD_REQUEST;
            return Err(refused);
        }
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    accept_hdr_async_with_config(stream, check, Some(config())).await.ok()
}

/// A connection whose opening handshake the HTTP server did.
pub async fn upgraded<S>(stream: S) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await
}

/// Serves a connection until it ends.
pub async fn serve<S>(socket: WebSocketStream<S>, hop: Hop, signalling: Signalling, mut place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some((flow, mut outgoing)) = signalling.flows.open(hop.transport, hop.remote) else { return };
    place.named(flow);
    let hop = Hop { flow: Some(flow), ..hop };
    let (mut sink, mut source) = socket.split();
    let mut pings = interval(PING_INTERVAL);
    let mut heard = Instant::now();
    // Pongs alone are no use of a connection: like a stream it must bring a message, or it goes.
    let first = sleep(limits::CONNECTION_FIRST_MESSAGE);
    tokio::pin!(first);
    let (mut spoke, mut why) = (false, None);
    loop {
        let frame = tokio::select! {
            received = source.next() => {
                let frame = match received {
                    Some(Ok(frame)) => frame,
                    Some(Err(error)) => {
                        why = code_of(&error);
                        break;
                    }
                    None => break,
                };
                heard = Instant::now();
                spoke |= matches!(&frame, Frame::Text(_) | Frame::Binary(_));
                if !take(frame, hop, &signalling).await {
                    break;
                }
                continue;
            }
            octets = outgoing.recv() => match octets {
                Some(octets) => to_frame(octets),
                None => break,
            },
            () = &mut first, if !spoke => {
                why = Some(CloseCode::Policy);
                break;
            }
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE_MAX {
                    why = Some(CloseCode::Away);
                    break;
                }
                Frame::Ping(Bytes::new())
            }
        };
        if !matches!(timeout(limits::CONNECTION_HANDSHAKE, sink.send(frame)).await, Ok(Ok(()))) {
            break;
        }
    }
    if let Some(code) = why {
        let close = Frame::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() }));
        let _ = timeout(limits::CONNECTION_HANDSHAKE, sink.send(close)).await;
    } else {
        // The answer to the client's close frame still waits here.
        let _ = timeout(limits::CONNECTION_HANDSHAKE, sink.flush()).await;
    }
    signalling.flows.close(flow);
    signalling.core.deliver(Input::FlowClosed(flow)).await;
}

/// What the client is told of a frame that cannot be read (RFC 6455 7.4.1). `None`: there is nobody left to tell.
fn code_of(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// Text where it is text, for browsers show it in their tools; binary otherwise (RFC 7118 5.1 allows both).
fn to_frame(octets: Bytes) -> Frame {
    match Utf8Bytes::try_from(octets.clone()) {
        Ok(text) => Frame::Text(text),
        Err(_) => Frame::Binary(octets),
    }
}

/// Hands a frame's message to the core. False: the peer closed.
async fn take(frame: Frame, hop: Hop, signalling: &Signalling) -> bool {
    let octets = match frame {
        Frame::Text(text) => Bytes::from(text),
        Frame::Binary(octets) => octets,
        Frame::Close(_) => return false,
        Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => return true,
    };
    if octets.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
        signalling.arrived(hop, stream::read(hop, octets)).await;
    } else if let Some((_, sender)) = signalling.flows.find(&hop) {
        // The keep-alive of RFC 5626, which some clients send over WebSocket too.
        let _ = sender.try_send(Bytes::from_static(b"\r\n"));
    }
    true
}
