//! The clients: one that blocks, one for async code. Both carry out the same [`Request`]s.

use netlink::{Connection, Error, Family, GenlConnection, Result, Transport, Worker};

use crate::{
    device::{Device, DeviceId},
    eswitch::{Eswitch, EswitchChange},
    fmsg::Fmsg,
    health::{HealthReporter, ReporterChange, ReporterId},
    info::Info,
    names::{ParamMode, ReloadAction, ReloadLimit},
    param::{Param, ParamValue},
    port::{FunctionChange, NewPort, Port, PortId},
    rate::{Rate, RateChange, RateId},
    region::Region,
    request::{self, Request},
    resource::Resource,
    trap::{Trap, TrapGroup, TrapPolicer},
    uapi,
};

/// A devlink client whose calls block.
#[derive(Debug)]
pub struct Devlink {
    genl: GenlConnection,
}

impl Devlink {
    /// A client on a `NETLINK_GENERIC` transport.
    ///
    /// # Errors
    /// [`Error::NoFamily`] when the kernel has no devlink; else as [`Connection::request`].
    pub fn open(transport: Box<dyn Transport>) -> Result<Self> {
        Ok(Devlink { genl: GenlConnection::resolve(Connection::new(transport), uapi::GENL_NAME)? })
    }

    /// The family, as this kernel registered it.
    #[must_use]
    pub fn family(&self) -> &Family {
        self.genl.family()
    }

    /// Carries out a request.
    ///
    /// # Errors
    /// [`Error::Kernel`] with the driver's words when refused; else as [`Connection::request`] and [`Connection::dump`].
    pub fn call<T: 'static>(&mut self, request: Request<T>) -> Result<T> {
        self.genl.connection().set_timeout(request.timeout());
        let replies = if request.is_dump() {
            self.genl.dump(request.what(), request.cmd(), request.attrs())
        } else {
            self.genl.request(request.what(), request.cmd(), request.attrs())
        };
        request.read(replies)
    }

    /// Carries out many requests, some 64 to a datagram ([`Connection::batch`]). The result at `i` is that of request `i`; dumps
    /// among them are refused, and then nothing is sent.
    pub fn batch<T: 'static>(&mut self, requests: Vec<Request<T>>) -> Vec<Result<T>> {
        if requests.iter().any(Request::is_dump) {
            let refuse = |r: Request<T>| Err(Error::NotSent { what: format!("{} (batch with a dump)", r.what()) });
            return requests.into_iter().map(refuse).collect();
        }
        let timeout = requests.iter().map(Request::timeout).max().unwrap_or(Request::<T>::TIMEOUT);
        self.genl.connection().set_timeout(timeout);
        let parts: Vec<_> = requests.iter().map(|r| (r.what().to_owned(), r.cmd(), r.attrs().clone())).collect();
        let results = self.genl.batch(&parts);
        requests.into_iter().zip(results).map(|(request, replies)| request.read(replies)).collect()
    }
}

/// A devlink client for async code: a handle on a [`Devlink`] that lives on a thread of its own. Clones share the
/// thread, and requests are carried out in the order in which they are polled first. Any executor will do.
///
/// A future that is dropped does not take its request back: the driver may be at it.
#[derive(Debug, Clone)]
pub struct AsyncDevlink {
    worker: Worker<Option<Devlink>>,
    family: Family,
}

impl AsyncDevlink {
    /// A client on a `NETLINK_GENERIC` transport.
    ///
    /// # Errors
    /// As [`Devlink::open`]; [`Error::Io`] when no thread can be started.
    pub async fn open(transport: Box<dyn Transport>) -> Result<Self> {
        let worker = Worker::spawn("devlink", None).map_err(|source| Error::Io { op: "start of a thread", source })?;
        let open = move |slot: &mut Option<Devlink>| {
            let client = slot.insert(Devlink::open(transport)?);
            Ok(client.family().clone())
        };
        let family = worker.run("open devlink", open).await?;
        Ok(AsyncDevlink { worker, family })
    }

    /// The family, as this kernel registered it.
    #[must_use]
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// Carries out a request.
    ///
    /// # Errors
    /// As [`Devlink::call`]; [`Error::Closed`] when the client's thread has ended.
    pub async fn call<T: Send + 'static>(&self, request: Request<T>) -> Result<T> {
        let what = request.what().to_owned();
        self.with(what, |client| client.call(request)).await
    }

    /// Carries out many requests; see [`Devlink::batch`].
    ///
    /// # Errors
    /// [`Error::Closed`] when the client's thread has ended; errors of the requests are in the results.
    pub async fn batch<T: Send + 'static>(&self, requests: Vec<Request<T>>) -> Result<Vec<Result<T>>> {
        self.with("batch of devlink requests".to_owned(), |client| Ok(client.batch(requests))).await
    }

    async fn with<T, F>(&self, what: String, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Devlink) -> Result<T> + Send + 'static,
    {
        let closed = Error::Closed { what: what.clone() };
        let run = |slot: &mut Option<Devlink>| slot.as_mut().ok_or(closed).and_then(job);
        self.worker.run(&what, run).await
    }
}

/// The functions of [`crate::request`] as methods of both clients.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Devlink {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Devlink::call`].
                pub fn $name(&mut self, $($arg: $type),*) -> Result<$answer> {
                    self.call(request::$name($($arg),*))
                }
            )*
        }

        impl AsyncDevlink {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`AsyncDevlink::call`].
                pub async fn $name(&self, $($arg: $type),*) -> Result<$answer> {
                    self.call(request::$name($($arg),*)).await
                }
            )*
        }
    };
}

methods! {
    /// All devices (`devlink dev show`).
    devices() -> Vec<DeviceId>;
    /// One device, with its reload statistics.
    device(id: &DeviceId) -> Device;
    /// Reloads a device (`devlink dev reload`); returns the actions that were carried out.
    reload(id: &DeviceId, action: Option<ReloadAction>, limit: Option<ReloadLimit>) -> Vec<ReloadAction>;
    /// What the drivers say about all devices (`devlink dev info`).
    infos() -> Vec<Info>;
    /// What the driver says about one device; `None` when it says nothing.
    info(device: &DeviceId) -> Option<Info>;
    /// All parameters of all devices (`devlink dev param show`).
    params() -> Vec<Param>;
    /// One parameter.
    param(device: &DeviceId, name: &str) -> Param;
    /// Sets a parameter (`devlink dev param set`).
    set_param(device: &DeviceId, name: &str, value: &ParamValue, mode: ParamMode) -> ();
    /// The eswitch (`devlink dev eswitch show`); `None` when the device has none.
    eswitch(device: &DeviceId) -> Option<Eswitch>;
    /// Changes the eswitch (`devlink dev eswitch set`).
    set_eswitch(device: &DeviceId, change: &EswitchChange) -> ();
    /// All ports of all devices (`devlink port show`).
    ports() -> Vec<Port>;
    /// One port.
    port(id: &PortId) -> Port;
    /// Changes the function behind a port (`devlink port function set`).
    set_function(id: &PortId, change: &FunctionChange) -> ();
    /// Adds a port, a sub-function (`devlink port add`), and returns it.
    add_port(new: &NewPort) -> Port;
    /// Deletes a port that was added (`devlink port del`).
    delete_port(id: &PortId) -> ();
    /// All rate objects of all devices (`devlink port function rate show`).
    rates() -> Vec<Rate>;
    /// One rate object.
    rate(id: &RateId) -> Rate;
    /// Changes a rate object (`devlink port function rate set`).
    set_rate(id: &RateId, change: &RateChange) -> ();
    /// Adds a node of the rate tree (`devlink port function rate add`).
    add_rate_node(device: &DeviceId, name: &str, change: &RateChange) -> ();
    /// Deletes a node of the rate tree (`devlink port function rate del`).
    delete_rate_node(device: &DeviceId, name: &str) -> ();
    /// All health reporters of all devices and ports (`devlink health show`).
    health_reporters() -> Vec<HealthReporter>;
    /// Changes a health reporter (`devlink health set`).
    set_reporter(id: &ReporterId, change: &ReporterChange) -> ();
    /// Recovers from a reporter's error (`devlink health recover`).
    recover_reporter(id: &ReporterId) -> ();
    /// Lets a reporter report an error, as a test (`devlink health test`).
    test_reporter(id: &ReporterId) -> ();
    /// What a reporter finds now (`devlink health diagnose`).
    diagnose_reporter(id: &ReporterId) -> Fmsg;
    /// The dump that a reporter keeps (`devlink health dump show`).
    reporter_dump(id: &ReporterId) -> Fmsg;
    /// Forgets the dump that a reporter keeps (`devlink health dump clear`).
    clear_reporter_dump(id: &ReporterId) -> ();
    /// All regions (`devlink region show`).
    regions() -> Vec<Region>;
    /// All packet traps (`devlink trap show`).
    traps() -> Vec<Trap>;
    /// All groups of packet traps (`devlink trap group show`).
    trap_groups() -> Vec<TrapGroup>;
    /// All policers of packet traps (`devlink trap policer show`).
    trap_policers() -> Vec<TrapPolicer>;
    /// The resources of a device (`devlink resource show`); `None` when it shares out none.
    resources(device: &DeviceId) -> Option<Vec<Resource>>;
    /// Sets the size that a resource has from the next reload on (`devlink resource set`).
    set_resource(device: &DeviceId, id: u64, size: u64) -> ();
}
