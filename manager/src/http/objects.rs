//! What a bridge has beside ports and rules: groups, meters, mirrors, tables, addresses; and packets to be traced.

use super::body::{Input, Refused, answer};
use super::routes::{Daemon, Names, names, query};
use crate::control::Control;
use api::{Error, paths};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{delete, get, patch, post};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

type Answer = Result<Response, Refused>;

/// The paths of these.
pub fn routes() -> Router<Arc<Control>> {
    let groups = get(groups)
        .post(async |c: Daemon, p: Names<String>, b: Input<api::GroupsAdd>| with(c, p, b, Control::groups_add).await)
        .patch(async |c: Daemon, p: Names<String>, b: Input<api::GroupsModify>| {
            with(c, p, b, Control::groups_modify).await
        })
        .delete(async |c: Daemon, p: Names<String>, b: Input<api::GroupsDelete>| {
            with(c, p, b, Control::groups_delete).await
        });
    let buckets = post(async |c: Daemon, p: Names<String>, b: Input<api::GroupBuckets>| {
        with(c, p, b, Control::group_buckets).await
    });
    let meters = get(meters)
        .post(async |c: Daemon, p: Names<String>, b: Input<api::MeterText>| with(c, p, b, Control::meter_add).await)
        .patch(async |c: Daemon, p: Names<String>, b: Input<api::MeterText>| with(c, p, b, Control::meter_modify).await)
        .delete(async |c: Daemon, p: Names<String>, b: Input<api::MetersDelete>| {
            with(c, p, b, Control::meters_delete).await
        });
    let mirrors = get(async |c: Daemon, p: Names<String>| of(c, p, Control::mirrors).await)
        .post(async |c: Daemon, p: Names<String>, b: Input<api::Mirror>| with(c, p, b, Control::mirror_add).await);
    let fdb = get(async |c: Daemon, p: Names<String>| of(c, p, Control::fdb).await)
        .post(async |c: Daemon, p: Names<String>, b: Input<api::FdbAdd>| with(c, p, b, Control::fdb_add).await)
        .delete(async |c: Daemon, p: Names<String>, b: Input<api::FdbFlush>| with(c, p, b, Control::fdb_flush).await);
    Router::new()
        .route(paths::GROUPS, groups)
        .route(paths::GROUP_BUCKETS, buckets)
        .route(paths::METERS, meters)
        .route(paths::METER_FEATURES, get(async |State(c): Daemon| answer(move || Ok(c.meter_features())).await))
        .route(paths::MIRRORS, mirrors)
        .route(paths::MIRROR, delete(mirror_delete))
        .route(paths::TABLES, get(async |c: Daemon, p: Names<String>| of(c, p, Control::tables).await))
        .route(paths::TABLE, patch(table_set))
        .route(paths::FDB, fdb)
        .route(
            paths::TRACE,
            post(async |c: Daemon, p: Names<String>, b: Input<api::TraceRequest>| with(c, p, b, Control::trace).await),
        )
}

/// Ask about a bridge.
async fn of<A>(State(c): Daemon, path: Names<String>, work: fn(&Control, &str) -> Result<A, Error>) -> Answer
where
    A: Serialize + Send + 'static,
{
    let bridge = names(path)?;
    Ok(answer(move || work(&c, &bridge)).await)
}

/// Do something to a bridge.
async fn with<T, A>(
    State(c): Daemon,
    path: Names<String>,
    Input(body): Input<T>,
    work: fn(&Control, &str, &T) -> Result<A, Error>,
) -> Answer
where
    T: Send + 'static,
    A: Serialize + Send + 'static,
{
    let bridge = names(path)?;
    Ok(answer(move || work(&c, &bridge, &body)).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupQuery {
    group: Option<u32>,
}

async fn groups(State(c): Daemon, path: Names<String>, q: Result<Query<GroupQuery>, QueryRejection>) -> Answer {
    let (bridge, q) = (names(path)?, query(q)?);
    Ok(answer(move || c.groups(&bridge, q.group)).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeterQuery {
    meter: Option<u32>,
}

async fn meters(State(c): Daemon, path: Names<String>, q: Result<Query<MeterQuery>, QueryRejection>) -> Answer {
    let (bridge, q) = (names(path)?, query(q)?);
    Ok(answer(move || c.meters(&bridge, q.meter)).await)
}

async fn mirror_delete(State(c): Daemon, path: Names<(String, String)>) -> Answer {
    let (bridge, name) = names(path)?;
    Ok(answer(move || c.mirror_delete(&bridge, &name)).await)
}

async fn table_set(State(c): Daemon, path: Names<(String, u8)>, Input(set): Input<api::TableSet>) -> Answer {
    let (bridge, table) = names(path)?;
    Ok(answer(move || c.table_set(&bridge, table, &set)).await)
}
