//! NICs, their eswitches, VFs and representors.

use super::body::{Input, Refused, answer};
use super::routes::{Daemon, Names, names, query};
use crate::control::Control;
use api::{Error, paths};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

type Answer = Result<Response, Refused>;
type Chosen = Result<Query<PfQuery>, QueryRejection>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PfQuery {
    pf: Option<String>,
}

/// The paths of these.
pub fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(
            paths::ESWITCH,
            get(async |c: Daemon, q: Chosen| of(c, q, Control::eswitches).await)
                .put(async |c: Daemon, b: Input<api::EswitchSet>| with(c, b, Control::eswitch_set).await),
        )
        .route(
            paths::VFS,
            get(async |c: Daemon, q: Chosen| of(c, q, Control::vfs).await)
                .patch(async |c: Daemon, b: Input<api::VfSet>| with(c, b, Control::vf_set).await),
        )
        .route(paths::VF, get(async |c: Daemon, p: Names<String>| named(c, p, Control::vf).await))
        .route(
            paths::SFS,
            get(async |c: Daemon, q: Chosen| of(c, q, Control::sfs).await)
                .post(async |c: Daemon, b: Input<api::SfCreate>| with(c, b, Control::sf_create).await)
                .patch(async |c: Daemon, b: Input<api::SfSet>| with(c, b, Control::sf_set).await)
                .delete(async |c: Daemon, b: Input<api::SfDestroy>| with(c, b, Control::sf_destroy).await),
        )
        .route(paths::SF, get(async |c: Daemon, p: Names<String>| named(c, p, Control::sf).await))
        .route(
            paths::REPRESENTORS,
            get(async |c: Daemon, q: Chosen| of(c, q, Control::representors).await)
                .post(async |c: Daemon, b: Input<api::RepAttach>| with(c, b, Control::rep_attach).await),
        )
        .route(
            paths::REPRESENTOR,
            get(async |c: Daemon, p: Names<String>| named(c, p, Control::representor).await)
                .delete(async |c: Daemon, p: Names<String>| named(c, p, Control::rep_detach).await),
        )
        .route(paths::NICS, get(async |c: Daemon, q: Chosen| of(c, q, Control::nic_views).await))
        .route(paths::NIC, delete(async |c: Daemon, p: Names<String>| named(c, p, Control::nic_forget).await))
        .route(paths::NICS_CHECK, get(async |c: Daemon, q: Chosen| of(c, q, Control::nic_check).await))
        .route(
            paths::NICS_CONVERGE,
            post(async |c: Daemon, b: Input<api::NicConverge>| with(c, b, Control::nic_converge).await),
        )
}

/// Ask about all NICs, or one.
async fn of<A>(State(c): Daemon, q: Chosen, work: fn(&Control, Option<&str>) -> Result<A, Error>) -> Answer
where
    A: Serialize + Send + 'static,
{
    let pf = query(q)?.pf;
    Ok(answer(move || work(&c, pf.as_deref())).await)
}

/// Ask or do something about one function.
async fn named<A>(State(c): Daemon, path: Names<String>, work: fn(&Control, &str) -> Result<A, Error>) -> Answer
where
    A: Serialize + Send + 'static,
{
    let name = names(path)?;
    Ok(answer(move || work(&c, &name)).await)
}

/// Do something.
async fn with<T, A>(State(c): Daemon, Input(body): Input<T>, work: fn(&Control, &T) -> Result<A, Error>) -> Response
where
    T: Send + 'static,
    A: Serialize + Send + 'static,
{
    answer(move || work(&c, &body)).await
}
