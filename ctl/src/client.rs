//! Requests to the daemon.

use crate::error::{Error, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The same for a change of a NIC: each of its steps, and each of a rollback, may take 30 s.
const PATIENT: Duration = Duration::from_secs(900);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1 << 30;

/// A daemon by its socket. Each request is a connection of its own.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    pub fn new(socket: PathBuf) -> Client {
        Client { socket, timeout: TIMEOUT }
    }

    /// For requests that the kernel may take its time for.
    pub fn patient(&self) -> Client {
        Client { socket: self.socket.clone(), timeout: PATIENT }
    }

    /// GET and decode.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.request(Method::GET, path, None::<&()>)
    }

    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request(Method::POST, path, Some(body))
    }

    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request(Method::PUT, path, Some(body))
    }

    pub fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.request(Method::PATCH, path, Some(body))
    }

    pub fn delete<T: DeserializeOwned>(&self, path: &str, body: Option<&impl Serialize>) -> Result<T> {
        self.request(Method::DELETE, path, body)
    }

    fn request<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<T> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|e| self.protocol(e))?,
            None => Vec::new(),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| self.connect(e))?;
        let (ok, answer) = runtime.block_on(async {
            tokio::time::timeout(self.timeout, self.exchange(method, path, body))
                .await
                .unwrap_or_else(|_| Err(self.protocol(format!("no answer within {} s", self.timeout.as_secs()))))
        })?;
        if ok {
            // A trace nests as deep as rules resubmit (64 tables, each some levels of JSON): more than serde_json's limit.
            let mut answer = serde_json::Deserializer::from_slice(&answer);
            answer.disable_recursion_limit();
            let value = T::deserialize(&mut answer).and_then(|value| answer.end().map(|()| value));
            return value.map_err(|e| self.protocol(e));
        }
        match serde_json::from_slice::<api::Error>(&answer) {
            Ok(error) => Err(error.into()),
            Err(e) => Err(self.protocol(e)),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(bool, Bytes)> {
        let stream = tokio::net::UnixStream::connect(&self.socket).await.map_err(|e| self.connect(e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.protocol(e))?;
        // Runs beside the request on this one thread, until the answer is read.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "shuntd")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| self.protocol(e))?;
        let response = sender.send_request(request).await.map_err(|e| self.protocol(e))?;
        let ok = response.status().is_success();
        let answer = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|e| self.protocol(e))?;
        Ok((ok, answer.to_bytes()))
    }

    fn connect(&self, why: impl std::fmt::Display) -> Error {
        Error::Connect { path: self.socket.clone(), why: why.to_string() }
    }

    fn protocol(&self, why: impl std::fmt::Display) -> Error {
        Error::Protocol { path: self.socket.clone(), why: why.to_string() }
    }
}

/// Fill the braces of a path template, in order, each value percent-encoded.
pub fn path(template: &str, values: &[&str]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = template;
    while let (Some(open), Some(close)) = (rest.find('{'), rest.find('}')) {
        out.push_str(&rest[..open]);
        out.push_str(&values.next().map(|v| percent(v)).unwrap_or_default());
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    out
}

/// Percent-encode all but unreserved characters (RFC 3986, section 2.3).
pub fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fill_the_braces_encoded() {
        assert_eq!(path(api::paths::BRIDGE_PORT, &["br/0", "p ä"]), "/v1/bridges/br%2F0/ports/p%20%C3%A4");
    }
}
