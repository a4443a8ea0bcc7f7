//! Events for async code: a thread that listens and hands on.

use std::{
    fmt, io, thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::error::Result;

/// How long one wait for an event is; then the thread looks whether anybody still listens.
const SLICE: Duration = Duration::from_millis(250);
/// Shortest time between two looks at a source that does not wait.
const PAUSE: Duration = Duration::from_millis(5);
/// Events between the thread and its reader. When they are full, events wait in the socket; when that is full, the
/// kernel reports an overrun, and the source says that it has to be read again.
const WAITING: usize = 1024;

/// Receives what a source of events delivers, from a thread of its own. The thread ends when this is dropped, within a quarter of
/// a second.
pub struct Listener<T> {
    events: mpsc::Receiver<Result<T>>,
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("waiting", &self.events.len()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Listener<T> {
    /// Starts the thread, called `name`. `next` waits up to the time given for an event; after an error it is not called again.
    ///
    /// # Errors
    /// As the system says.
    pub fn spawn<F>(name: &str, mut next: F) -> io::Result<Self>
    where
        F: FnMut(Duration) -> Result<Option<T>> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(WAITING);
        let listen = move || {
            while !sender.is_closed() {
                let began = Instant::now();
                match next(SLICE) {
                    Ok(Some(event)) => {
                        if sender.blocking_send(Ok(event)).is_err() {
                            return;
                        }
                    }
                    Ok(None) => thread::sleep(PAUSE.saturating_sub(began.elapsed())),
                    Err(e) => {
                        drop(sender.blocking_send(Err(e)));
                        return;
                    }
                }
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(listen)?;
        Ok(Listener { events })
    }

    /// The next event; `None` after an error. Dropping the future loses no event.
    ///
    /// # Errors
    /// What the source said before it ended.
    pub async fn next(&mut self) -> Option<Result<T>> {
        self.events.recv().await
    }
}
