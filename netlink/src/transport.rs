//! The seam to netlink sockets, and the real socket.

use std::{
    io,
    time::{Duration, Instant},
};

use netlink_sys::{Socket, SocketAddr, protocols};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Which netlink protocol a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `NETLINK_ROUTE`: network devices, traffic control.
    Route,
    /// `NETLINK_GENERIC`: devlink and other families.
    Generic,
}

/// A netlink socket, real or fake: whole datagrams in, whole datagrams out.
pub trait Transport: Send {
    /// Sends one datagram to the kernel.
    ///
    /// # Errors
    /// As the system says.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Waits up to `timeout` for a datagram; `None` when none came.
    ///
    /// # Errors
    /// `ENOBUFS` when messages were lost; else as the system says.
    fn recv(&mut self, timeout: Duration) -> io::Result<Option<Vec<u8>>>;

    /// Joins a multicast group (by number, not by bit).
    ///
    /// # Errors
    /// As the system says.
    fn join(&mut self, group: u32) -> io::Result<()>;

    /// Asks for a receive buffer of `bytes`: how many events can wait before some are lost. A wish: transports
    /// without one ignore it.
    ///
    /// # Errors
    /// As the system says.
    fn set_receive_buffer(&mut self, bytes: u32) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }
}

/// A socket to the kernel of this host.
#[derive(Debug)]
pub struct SocketTransport {
    socket: Socket,
}

impl SocketTransport {
    /// Opens and binds a socket, with extended acknowledgement and capped error messages on, and strict checking of dump requests
    /// where the kernel has it (5.0).
    ///
    /// # Errors
    /// As the system says.
    pub fn open(protocol: Protocol) -> io::Result<Self> {
        let mut socket = Socket::new(match protocol {
            Protocol::Route => protocols::NETLINK_ROUTE,
            Protocol::Generic => protocols::NETLINK_GENERIC,
        })?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // Old kernels do not know the option and then check loosely, which serves too.
        let _strict = socket.set_netlink_get_strict_chk(true);
        Ok(SocketTransport { socket })
    }

    /// Asks for a receive buffer of `bytes` (the kernel doubles it, and caps it at net.core.rmem_max).
    ///
    /// # Errors
    /// As the system says.
    pub fn set_receive_buffer(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_rx_buf_sz(bytes)
    }
}

impl Transport for SocketTransport {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let sent = self.socket.send(datagram, 0)?;
        if sent == datagram.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn recv(&mut self, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timespec = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timespec)) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            }
            match self.socket.recv_from_full() {
                // Any process may send to our port: only the kernel (port 0) is believed.
                Ok((_, from)) if from.port_number() != 0 => {}
                Ok((datagram, _)) => return Ok(Some(datagram)),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn join(&mut self, group: u32) -> io::Result<()> {
        self.socket.add_membership(group)
    }

    fn set_receive_buffer(&mut self, bytes: u32) -> io::Result<()> {
        // With CAP_NET_ADMIN the limit of net.core.rmem_max does not hold.
        let fd = rustix::fd::AsFd::as_fd(&self.socket);
        match rustix::net::sockopt::set_socket_recv_buffer_size_force(fd, bytes as usize) {
            Ok(()) => Ok(()),
            Err(_) => SocketTransport::set_receive_buffer(self, bytes),
        }
    }
}
