//! The HTTP server of a long run: `/metrics`, `/health`, `/ready`.
//!
//! It asks nobody who they are, so by the address that is typed the user decides who may see counts.
//! There is nothing of events in the answers.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::logs::{self, Level};
use super::metrics;
use super::monitor::Monitor;
use super::report::why;
use crate::error::{Error, Result};

/// An address to listen at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let port = text.strip_prefix("localhost:").unwrap_or_default();
        let port = port.parse::<u16>();
        let here = |port| Self((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into());
        port.map(here)
            .map_err(|_| "expected an address with a port, as in 127.0.0.1:9464".to_owned())
    }
}

/// A server that ends with this value.
pub(super) struct Served {
    _task: AbortOnDropHandle<()>,
}

/// Begins to serve the state of `monitor`, and tells the address that it got.
///
/// # Errors
/// Config, if nobody can listen at the address.
pub(super) async fn serve(address: &Address, monitor: &Arc<Monitor>) -> Result<Served> {
    let Address(wanted) = address;
    let cannot = |error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; port 0 picks a free one",
            _ => "",
        };
        let why = why(&error);
        Error::config(format!("cannot serve metrics at {wanted}: {why}{advice}")).caused_by(error)
    };
    let listener = TcpListener::bind(wanted).await.map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    let router = router(Arc::clone(monitor));
    let task = tokio::spawn(async move {
        // It ends with the process, or as the handle is dropped.
        let _ = axum::serve(listener, router).await;
    });
    logs::say(Level::Info, &format!("metrics at http://{bound}/metrics"));
    Ok(Served {
        _task: AbortOnDropHandle::new(task),
    })
}

fn router(monitor: Arc<Monitor>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/health", get(is_healthy))
        .route("/ready", get(is_ready))
        .with_state(monitor)
}

fn scrape(State(monitor): State<Arc<Monitor>>) -> Ready<Response> {
    ready(match metrics::text(&monitor) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

fn is_healthy(State(monitor): State<Arc<Monitor>>) -> Ready<Response> {
    ready(answer("healthy", monitor.failure()))
}

fn is_ready(State(monitor): State<Arc<Monitor>>) -> Ready<Response> {
    ready(answer("ready", monitor.unready()))
}

/// Returns `{"ready":true}`, or 503 with the reason.
fn answer(name: &str, reason: Option<String>) -> Response {
    let (status, body): (StatusCode, Value) = match reason {
        None => (StatusCode::OK, json!({ name: true })),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ name: false, "reason": reason }),
        ),
    };
    let content = [(CONTENT_TYPE, "application/json")];
    (status, content, format!("{body}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        let parse = |text: &str| text.parse::<Address>().map(|Address(it)| it.to_string());
        assert_eq!(parse("127.0.0.1:9464").unwrap(), "127.0.0.1:9464");
        assert_eq!(parse("localhost:0").unwrap(), "127.0.0.1:0");
        assert_eq!(parse("[::1]:80").unwrap(), "[::1]:80");
        for wrong in ["9464", "127.0.0.1", "localhost", "localhost:99999", ""] {
            let told = parse(wrong).unwrap_err();
            assert!(told.contains("127.0.0.1:9464"), "{wrong}: {told}");
        }
    }
}
