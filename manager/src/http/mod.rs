//! The control API over a Unix socket.
//!
//! [`listen`] makes the socket (mode 0660; a dead one in its place is replaced, a live one refused), [`serve`] answers
//! until told to stop. Every connection has bounds: peer credentials, time for the head, time and size for the body.
//! Handlers never run on the async threads: they wait for workers, disk and hardware.

mod body;
mod nics;
mod objects;
mod offload;
mod pmds;
mod routes;

use crate::control::Control;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Time that a client has for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at a time; more wait.
const CONNECTIONS: usize = 128;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("socket {}: another shuntd answers there; stop it, or name another socket with --socket", path.display())]
    InUse { path: PathBuf },
    #[error("socket {}: there is something else of this name; move it away, or name another socket with --socket", path.display())]
    NoSocket { path: PathBuf },
    #[error("socket {}: {why}; make its folder writable, or name another socket with --socket", path.display())]
    Path { path: PathBuf, why: String },
}

/// Make the socket. Must be called within a tokio runtime.
pub fn listen(path: &Path) -> Result<UnixListener, ListenError> {
    let error = |why: String| ListenError::Path { path: path.to_owned(), why };
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|e| error(format!("folder {}: {e}", dir.display())))?;
    }
    if let Ok(meta) = std::fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt;
        if !meta.file_type().is_socket() {
            return Err(ListenError::NoSocket { path: path.to_owned() });
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(ListenError::InUse { path: path.to_owned() });
        }
        std::fs::remove_file(path).map_err(|e| error(e.to_string()))?;
    }
    // Nobody may connect between bind and chmod.
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(mask);
    let listener = bound.map_err(|e| error(e.to_string()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(|e| error(e.to_string()))?;
    Ok(listener)
}

/// Answer requests until `stop` is done.
pub async fn serve(listener: UnixListener, control: Arc<Control>, stop: impl Future<Output = ()>) {
    let router = routes::router(control);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, places) = (router.clone(), places.clone());
                tokio::spawn(async move {
                    let Ok(_place) = places.acquire().await else { return };
                    connection(stream, router).await;
                });
            }
            Err(e) => {
                tracing::warn!("accept: {e}");
                // Out of file descriptors, most likely: leave others time to close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, router: Router) {
    if let Err(who) = may_connect(&stream) {
        tracing::warn!("connection of {who} refused: not root, nor our user or group");
        return;
    }
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(e) = served {
        tracing::debug!("connection: {e}");
    }
}

/// The socket's mode keeps others out; a socket that was passed on does not.
fn may_connect(stream: &UnixStream) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|e| e.to_string())?;
    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if peer.uid() == 0 || peer.uid() == us.0 || peer.gid() == us.1 {
        Ok(())
    } else {
        Err(format!("uid {} gid {}", peer.uid(), peer.gid()))
    }
}
