//! The thread that looks after devices: it opens again what went and came back.

use crate::device::{Device, index_of};
use crate::io::{Io, Order};
use crate::spec::Kind;
use crate::state::{Shared, State};
use netlink::{LinkClient, Protocol, SocketTransport};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often devices are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// The ports that are looked after.
pub(crate) type Ports = Arc<Mutex<Vec<Arc<Shared>>>>;

/// A handle to the thread; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(ports: Ports, io: Arc<Io>) -> std::io::Result<Watch> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("kernel-watch".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                let all = ports.lock().clone();
                all.iter().for_each(|port| look(port, &io));
            }
        })?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client for questions about devices.
pub(crate) fn links() -> std::io::Result<LinkClient> {
    Ok(LinkClient::new(Box::new(SocketTransport::open(Protocol::Route)?)))
}

fn look(port: &Shared, io: &Io) {
    let open = port.ifindex();
    match port.kind() {
        // A tap that is open says by itself how it is.
        Kind::Tap | Kind::Internal if open.is_some() => {}
        Kind::Tap | Kind::Internal => reopen(port, io),
        Kind::AfPacket => match index_of(port.ifname()) {
            Ok(Some(index)) if open == Some(index) => follow(port, index),
            Ok(Some(_)) => reopen(port, io),
            Ok(None) => {
                if open.is_some() {
                    io.order(Order::Lose(port.id, gone(port.ifname())));
                } else {
                    port.set_state(State::Down(gone(port.ifname())));
                }
            }
            Err(e) => port.set_state(State::Down(e.to_string())),
        },
    }
}

fn gone(ifname: &str) -> String {
    format!("there is no network device {ifname} in shuntd's network namespace")
}

fn reopen(port: &Shared, io: &Io) {
    match Device::open(&port.spec()) {
        Ok(device) => io.order(Order::Device(port.id, Box::new(device))),
        Err(e) => port.set_state(State::Down(e.to_string())),
    }
}

/// Whether the device is up, and its MTU, which are not ours to set.
pub(crate) fn follow(port: &Shared, ifindex: u32) {
    let Ok(link) = links().map_err(drop).and_then(|mut links| links.get(ifindex).map_err(drop)) else { return };
    port.set_device_mtu(link.mtu.unwrap_or(0));
    let up = link.is_up();
    port.set_state(if up { State::Up } else { State::Down(format!("{} is not set up", port.ifname())) });
}
