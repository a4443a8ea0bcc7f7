//! Requests from async code: a thread that owns a client and carries out its calls in order.

use std::{fmt, io, sync::mpsc, thread};

use tokio::sync::oneshot;

use crate::error::{Error, Result};

type Job<C> = Box<dyn FnOnce(&mut C) + Send>;

/// A handle on a client that lives on a thread of its own. Clones share the thread; it ends when the last of them is dropped.
///
/// A netlink request is carried out by the kernel *inside* `sendmsg`, in the thread that sends: an eswitch mode
/// change keeps its sender for seconds, whether the socket is non-blocking or not. A thread of an async runtime that
/// sends such a request serves nobody meanwhile. So the socket has a thread, and async code waits for its answers. No
/// runtime is needed for that, any executor will do.
pub struct Worker<C> {
    jobs: mpsc::Sender<Job<C>>,
}

impl<C> Clone for Worker<C> {
    fn clone(&self) -> Self {
        Worker { jobs: self.jobs.clone() }
    }
}

impl<C> fmt::Debug for Worker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl<C: Send + 'static> Worker<C> {
    /// Starts the thread, called `name` (the system shows 15 bytes of it).
    ///
    /// # Errors
    /// As the system says.
    pub fn spawn(name: &str, mut client: C) -> io::Result<Self> {
        let (jobs, todo) = mpsc::channel::<Job<C>>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || todo.into_iter().for_each(|job| job(&mut client)))?;
        Ok(Worker { jobs })
    }

    /// Carries out `job` after all that were given before it. A future that is dropped does not take its job back:
    /// the kernel may be at it already.
    ///
    /// # Errors
    /// What `job` returns; [`Error::Closed`] when the thread has ended. `what` names the job in that.
    pub async fn run<T, F>(&self, what: &str, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut C) -> Result<T> + Send + 'static,
    {
        let closed = || Error::Closed { what: what.to_owned() };
        let (answer, result) = oneshot::channel();
        // Nobody waits any more when the answer cannot be given.
        let job: Job<C> = Box::new(move |client| drop(answer.send(job(client))));
        self.jobs.send(job).map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }
}
