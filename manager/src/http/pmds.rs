//! PMDs, receive queues, and what the datapath shows of itself.

use super::body::{Input, Refused, answer};
use super::routes::{Daemon, query};
use crate::control::Control;
use api::{RxqAssign, paths};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use std::sync::Arc;

/// The paths of these.
pub fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(paths::DP_COUNTERS, get(async |State(c): Daemon| answer(move || Ok(c.dp_counters())).await))
        .route(paths::DP_SHOW, get(async |State(c): Daemon| answer(move || Ok(c.dp_show())).await))
        .route(paths::DP_CACHES, get(async |State(c): Daemon| answer(move || Ok(c.dp_caches())).await))
        .route(paths::DP_MISSES, get(async |State(c): Daemon| answer(move || Ok(c.dp_misses())).await))
        .route(
            paths::PMDS,
            get(async |State(c): Daemon| answer(move || Ok(c.pmds())).await)
                .delete(async |State(c): Daemon| answer(move || Ok(c.pmds_clear())).await),
        )
        .route(
            paths::RXQS,
            get(async |State(c): Daemon| answer(move || Ok(c.rxqs())).await)
                .post(async |State(c): Daemon| answer(move || Ok(c.rebalance())).await),
        )
        .route(paths::RXQS_PLAN, get(rebalance_plan))
        .route(
            paths::PMD_SETTINGS,
            get(async |State(c): Daemon| answer(move || Ok(c.pmd_settings())).await).patch(pmds_set),
        )
        .route(paths::AUTO_LB, get(async |State(c): Daemon| answer(move || Ok(c.auto_lb())).await))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanQuery {
    assign: Option<RxqAssign>,
}

async fn rebalance_plan(State(c): Daemon, q: Result<Query<PlanQuery>, QueryRejection>) -> Result<Response, Refused> {
    let q = query(q)?;
    Ok(answer(move || Ok(c.rebalance_plan(q.assign))).await)
}

async fn pmds_set(State(c): Daemon, Input(set): Input<api::PmdSet>) -> Response {
    answer(move || c.pmds_set(&set)).await
}
