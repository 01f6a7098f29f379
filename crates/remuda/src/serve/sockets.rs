//! Sockets that a service manager has bound for us (LISTEN_FDS).
//!
//! # Contract
//! * **The one on the admin address is for the admin API; all others take mail**, and then the configured
//!   listeners are not bound.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;

/// What we were given.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For mail; None = bind what is configured.
    pub smtp: Option<Vec<TcpListener>>,
    /// For the admin API.
    pub admin: Option<TcpListener>,
}

impl Sockets {
    /// Takes what was passed to this process.
    ///
    /// # Errors
    /// A descriptor is no listening TCP socket.
    pub fn inherited(admin: SocketAddr) -> io::Result<Sockets> {
        let mut given = ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..given.len() {
            listeners.extend(given.take_tcp_listener(index)?);
        }
        Sockets::sort(listeners, admin)
    }

    fn sort(listeners: Vec<TcpListener>, admin: SocketAddr) -> io::Result<Sockets> {
        let mut sockets = Sockets::default();
        for listener in listeners {
            match listener.local_addr()? == admin {
                true => sockets.admin = Some(listener),
                false => sockets.smtp.get_or_insert_default().push(listener),
            }
        }
        Ok(sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_on_the_admin_address_is_for_the_api() {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second, third) = (listen(), listen(), listen());
        let admin = second.local_addr().unwrap();
        let sockets = Sockets::sort(vec![first, second, third], admin).unwrap();
        assert_eq!(sockets.admin.unwrap().local_addr().unwrap(), admin);
        assert_eq!(sockets.smtp.unwrap().len(), 2);
        assert!(Sockets::sort(Vec::new(), admin).unwrap().smtp.is_none());
    }
}
