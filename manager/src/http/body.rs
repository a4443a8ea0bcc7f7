//! Requests in, answers out.

use api::{Error, ErrorKind};
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Time that a client has for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// An error as an answer.
#[derive(Debug)]
pub struct Refused(pub Error);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

/// A request body of at most [`api::MAX_BODY`] bytes, decoded.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let bytes = read(request.into_body()).await.map_err(Refused)?;
        serde_json::from_slice(&bytes)
            .map(Input)
            .map_err(|e| Refused(Error::new(ErrorKind::Invalid, "request body", e)))
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Error> {
    let invalid = |why: String| Error::new(ErrorKind::Invalid, "request body", why);
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, api::MAX_BODY).collect())
        .await
        .map_err(|_| invalid(format!("not complete after {} s", BODY_TIMEOUT.as_secs())))?
        .map_err(|e| {
            if e.is::<LengthLimitError>() {
                invalid(format!("more than {} bytes", api::MAX_BODY)).remedy("send it in parts")
            } else {
                invalid(e.to_string())
            }
        })?;
    Ok(collected.to_bytes().to_vec())
}

/// Run a handler's work where it may wait, and make an answer of its result.
pub async fn answer<T, F>(work: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(error)) => Refused(error).into_response(),
        Err(e) => Refused(Error::new(ErrorKind::Failed, "request", e)).into_response(),
    }
}
