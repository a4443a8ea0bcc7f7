//! One line a path.

use super::body::{Input, Refused, answer};
use crate::control::Control;
use api::{Error, ErrorKind, paths};
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

pub(super) type Daemon = State<Arc<Control>>;

/// All paths of the API.
pub fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route(paths::SHOW, get(async |State(c): Daemon| answer(move || c.show()).await))
        .route(paths::BRIDGES, get(async |State(c): Daemon| answer(move || Ok(c.bridges())).await).post(bridge_add))
        .route(paths::BRIDGE, get(bridge_view).patch(bridge_set).delete(bridge_delete))
        .route(paths::PORTS, get(async |State(c): Daemon| answer(move || Ok(c.ports())).await))
        .route(paths::PORT, get(port_details))
        .route(paths::PORT_STATS, get(port_stats))
        .route(paths::MEM, get(async |State(c): Daemon| answer(move || Ok(c.memory())).await))
        .route(paths::MEM_PLAN, post(memory_plan))
        .route(paths::BRIDGE_PORTS, post(port_add))
        .route(paths::BRIDGE_PORT, patch(port_set).delete(port_delete))
        .route(
            paths::FLOWS,
            get(flows_dump).post(flows_add).patch(flows_modify).put(flows_replace).delete(flows_delete),
        )
        .route(paths::EVENTS, get(events))
        .merge(super::objects::routes())
        .merge(super::pmds::routes())
        .merge(super::nics::routes())
        .merge(super::offload::routes())
        .route(paths::MOCK_INJECT, post(mock_inject))
        .route(paths::MOCK_COLLECT, post(async |State(c): Daemon| answer(move || c.mock_collect()).await))
        .route(paths::MOCK_KERNEL, post(mock_kernel))
        .route(paths::MOCK_DEVICE, post(mock_device))
        .route(paths::MOCK_COUNTERS, get(async |State(c): Daemon| answer(move || c.mock_view()).await))
        .route(paths::METRICS, get(metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(control)
}

/// Path parameters; a wrong encoding is an error of ours, not of axum's.
pub(super) type Names<T> = Result<Path<T>, PathRejection>;

pub(super) fn names<T>(path: Names<T>) -> Result<T, Refused> {
    path.map(|Path(names)| names).map_err(|e| Refused(Error::new(ErrorKind::Invalid, "path", e.body_text())))
}

async fn bridge_add(State(c): Daemon, Input(bridge): Input<api::Bridge>) -> Response {
    answer(move || c.bridge_add(bridge)).await
}

async fn bridge_view(State(c): Daemon, path: Names<String>) -> Result<Response, Refused> {
    let name = names(path)?;
    Ok(answer(move || c.bridge_view(&name)).await)
}

async fn bridge_set(
    State(c): Daemon,
    path: Names<String>,
    Input(set): Input<api::BridgeSet>,
) -> Result<Response, Refused> {
    let name = names(path)?;
    Ok(answer(move || c.bridge_set(&name, &set)).await)
}

async fn bridge_delete(State(c): Daemon, path: Names<String>) -> Result<Response, Refused> {
    let name = names(path)?;
    Ok(answer(move || c.bridge_delete(&name)).await)
}

async fn port_add(State(c): Daemon, path: Names<String>, Input(port): Input<api::Port>) -> Result<Response, Refused> {
    let bridge = names(path)?;
    Ok(answer(move || c.port_add(&bridge, port)).await)
}

async fn port_set(
    State(c): Daemon,
    path: Names<(String, String)>,
    Input(set): Input<api::PortSet>,
) -> Result<Response, Refused> {
    let (bridge, name) = names(path)?;
    Ok(answer(move || c.port_set(&bridge, &name, &set)).await)
}

async fn port_details(State(c): Daemon, path: Names<String>) -> Result<Response, Refused> {
    let name = names(path)?;
    Ok(answer(move || c.port_details(&name)).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsQuery {
    #[serde(default)]
    xstats: bool,
}

async fn port_stats(
    State(c): Daemon,
    path: Names<String>,
    q: Result<Query<StatsQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let (name, q) = (names(path)?, query(q)?);
    Ok(answer(move || c.port_stats(&name, q.xstats)).await)
}

async fn memory_plan(State(c): Daemon, Input(ask): Input<api::MemAsk>) -> Response {
    answer(move || c.memory_plan(&ask)).await
}

async fn port_delete(State(c): Daemon, path: Names<(String, String)>) -> Result<Response, Refused> {
    let (bridge, name) = names(path)?;
    Ok(answer(move || c.port_delete(&bridge, &name)).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DumpQuery {
    #[serde(default, rename = "match")]
    matching: String,
}

pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refused> {
    query.map(|Query(q)| q).map_err(|e| Refused(Error::new(ErrorKind::Invalid, "query", e.body_text())))
}

async fn flows_dump(
    State(c): Daemon,
    path: Names<String>,
    q: Result<Query<DumpQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let (bridge, q) = (names(path)?, query(q)?);
    Ok(answer(move || c.flows_dump(&bridge, &q.matching)).await)
}

async fn flows_add(
    State(c): Daemon,
    path: Names<String>,
    Input(add): Input<api::FlowsAdd>,
) -> Result<Response, Refused> {
    let bridge = names(path)?;
    Ok(answer(move || c.flows_add(&bridge, &add)).await)
}

async fn flows_modify(
    State(c): Daemon,
    path: Names<String>,
    Input(modify): Input<api::FlowsModify>,
) -> Result<Response, Refused> {
    let bridge = names(path)?;
    Ok(answer(move || c.flows_modify(&bridge, &modify)).await)
}

async fn flows_replace(
    State(c): Daemon,
    path: Names<String>,
    Input(replace): Input<api::FlowsReplace>,
) -> Result<Response, Refused> {
    let bridge = names(path)?;
    Ok(answer(move || c.flows_replace(&bridge, &replace)).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    after: Option<u64>,
    #[serde(default)]
    wait: u64,
}

async fn events(State(c): Daemon, q: Result<Query<EventsQuery>, QueryRejection>) -> Result<Response, Refused> {
    let q = query(q)?;
    Ok(answer(move || Ok(c.events(q.after, Duration::from_secs(q.wait)))).await)
}

async fn flows_delete(
    State(c): Daemon,
    path: Names<String>,
    Input(del): Input<api::FlowsDelete>,
) -> Result<Response, Refused> {
    let bridge = names(path)?;
    Ok(answer(move || c.flows_delete(&bridge, &del)).await)
}

async fn mock_inject(State(c): Daemon, Input(inject): Input<api::Inject>) -> Response {
    answer(move || c.mock_inject(&inject)).await
}

async fn mock_kernel(State(c): Daemon, Input(what): Input<api::MockKernel>) -> Response {
    answer(move || c.mock_kernel(&what)).await
}

async fn mock_device(State(c): Daemon, Input(what): Input<api::MockDevice>) -> Response {
    answer(move || c.mock_device(what)).await
}

async fn metrics(State(c): Daemon) -> Response {
    match tokio::task::spawn_blocking(move || c.metrics()).await {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(e) => Refused(Error::new(ErrorKind::Failed, "metrics", e)).into_response(),
    }
}

async fn no_such_path(uri: Uri) -> Refused {
    Refused(Error::new(ErrorKind::NotFound, format!("path {}", uri.path()), "there is no such path"))
}

async fn no_such_method(method: Method, uri: Uri) -> Refused {
    Refused(Error::new(ErrorKind::Unsupported, format!("path {}", uri.path()), format!("it does not take {method}")))
}
