//! Hardware offload, and datapath flows by where they are.

use super::body::{Input, Refused, answer};
use super::routes::{Daemon, Names, names, query};
use crate::control::Control;
use api::paths;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for captured packets, in milliseconds.
const MOST_WAIT: u64 = 1000;

type Answer = Result<Response, Refused>;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(
            paths::OFFLOAD,
            get(async |State(c): Daemon| answer(move || Ok(c.offload_status())).await).put(offload_set),
        )
        .route(
            paths::OFFLOAD_POLICY,
            get(async |State(c): Daemon| answer(move || Ok(c.offload_policy())).await).put(policy_set),
        )
        .route(paths::OFFLOAD_EXPLAIN, get(explain).post(explain_packet))
        .route(paths::OFFLOAD_CAPABILITIES, get(capabilities))
        .route(paths::CAPTURES, post(capture_start))
        .route(paths::CAPTURE, get(capture_take).delete(capture_end))
        .route(paths::DP_FLOWS, get(dp_flows))
}

async fn offload_set(State(c): Daemon, Input(set): Input<api::OffloadSet>) -> Response {
    answer(move || c.offload_set(&set)).await
}

async fn policy_set(State(c): Daemon, Input(policy): Input<api::OffloadPolicy>) -> Response {
    answer(move || c.offload_policy_set(&policy)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    flow: Option<u64>,
}

async fn explain(State(c): Daemon, q: Result<Query<ExplainQuery>, QueryRejection>) -> Answer {
    let q = query(q)?;
    Ok(answer(move || c.offload_explain(q.flow)).await)
}

async fn explain_packet(State(c): Daemon, Input(request): Input<api::ExplainRequest>) -> Response {
    answer(move || c.offload_explain_packet(&request)).await
}

async fn capabilities(State(c): Daemon, path: Names<String>) -> Answer {
    let port = names(path)?;
    Ok(answer(move || c.offload_capabilities(&port)).await)
}

async fn dp_flows(State(c): Daemon, q: Result<Query<api::DpFlowsFilter>, QueryRejection>) -> Answer {
    let filter = query(q)?;
    Ok(answer(move || c.dp_flows_filtered(&filter)).await)
}

async fn capture_start(State(c): Daemon, Input(request): Input<api::CaptureRequest>) -> Response {
    answer(move || c.capture_start(&request)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeQuery {
    #[serde(default)]
    wait_ms: u64,
}

async fn capture_take(State(c): Daemon, path: Names<u64>, q: Result<Query<TakeQuery>, QueryRejection>) -> Answer {
    let (id, q) = (names(path)?, query(q)?);
    // Shorter than the lease, so that a reader that went is missed.
    let wait = Duration::from_millis(q.wait_ms.min(MOST_WAIT));
    Ok(answer(move || c.capture_take(id, wait)).await)
}

async fn capture_end(State(c): Daemon, path: Names<u64>) -> Answer {
    let id = names(path)?;
    Ok(answer(move || c.capture_end(id)).await)
}
