//! HTTPS: the page, the API, and SIP over WebSocket for browsers on the same port, so that one certificate exception is enough.

use crate::io::{Place, Room, Signalling, websocket};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use ringfort_base::{Hop, Transport, limits};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::ServiceExt;

/// Path of SIP over WebSocket.
pub const SIP_PATH: &str = "/sip";

/// Serves HTTPS until the process ends.
pub fn serve(listener: std::net::TcpListener, web: Router, signalling: Signalling) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = Router::new().route(SIP_PATH, any(upgrade)).with_state(signalling.clone()).merge(web);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    if let Some(place) = signalling.door.enter(remote.ip(), Room::Page) {
                        tokio::spawn(connection(stream, remote, router.clone(), signalling.clone(), place));
                    }
                }
                // Out of descriptors: those that end make room. Accepting again at once would spin.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    });
    Ok(())
}

/// `_place` is kept for as long as the connection is served.
async fn connection(stream: TcpStream, remote: SocketAddr, router: Router, signalling: Signalling, _place: Place) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = timeout(limits::CONNECTION_HANDSHAKE, signalling.tls.web_acceptor().accept(stream)).await else {
        return;
    };
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(remote));
        request.map(Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::CONNECTION_HANDSHAKE);
    // An error here is the browser's going away.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service)).await;
}

/// The opening handshake of RFC 6455 4.2 for subprotocol `sip`.
async fn upgrade(
    State(signalling): State<Signalling>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let headers = request.headers();
    let is = |name, wanted: &str| {
        let value = headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        value.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let sound = is(header::UPGRADE, "websocket") && is(header::CONNECTION, "upgrade") && is(header::SEC_WEBSOCKET_VERSION, "13");
    let (Some(key), true, true) = (key, sound, websocket::offers_sip(headers)) else {
        return (StatusCode::UPGRADE_REQUIRED, "SIP over WebSocket: subprotocol sip, version 13").into_response();
    };
    let Ok(accept) = HeaderValue::from_str(&key) else { return StatusCode::BAD_REQUEST.into_response() };
    let Some(place) = signalling.door.enter(remote.ip(), Room::Signalling) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let socket = websocket::upgraded(TokioIo::new(upgraded)).await;
            let hop = Hop::to(Transport::Wss, remote);
            websocket::serve(socket, hop, signalling, place).await;
        }
    });
    let fields = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(websocket::SUBPROTOCOL)),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
}
