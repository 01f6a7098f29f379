//! The HTTP server's life: bind, serve, stop.
//!
//! # Contract
//! * **Binding comes before serving**, so that a taken port is known before anything else has started.
//! * **Stop is bounded**: requests in hand are finished until the deadline, then dropped.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use remuda_clock::{SharedClock, before};
use remuda_directory::Directory;
use remuda_engine::operations::Operations;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{Token, bounded::Bounded, router};

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("admin.address {address}: {error}")]
pub struct StartError {
    /// Which.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

/// An address that is ours; connections wait in the kernel until it serves.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds `address`.
    ///
    /// # Errors
    /// [`StartError`], when it is taken or not ours.
    pub fn new(address: SocketAddr) -> Result<Bound, StartError> {
        let wrong = |error| StartError { address, error };
        Bound::over(TcpListener::bind(address).map_err(wrong)?).map_err(wrong)
    }

    /// Takes a socket that is bound already.
    ///
    /// # Errors
    /// What the system says.
    pub fn over(listener: TcpListener) -> io::Result<Bound> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    }

    /// The address, with the port that the system chose if it was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the API. Called inside a runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn serve(
        self,
        operations: Arc<dyn Operations>,
        directory: Directory,
        token: Token,
        clock: SharedClock,
    ) -> io::Result<Server> {
        let listener = Bounded::new(tokio::net::TcpListener::from_std(self.listener)?, clock.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let router = router(operations, directory, token);
        let service = axum::serve(listener, router).with_graceful_shutdown(async {
            // A dropped sender stops too.
            let _ = stopped.await;
        });
        let task = tokio::spawn(service.into_future());
        Ok(Server {
            address: self.address,
            stop,
            task,
            clock,
        })
    }
}

/// The running API.
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
    clock: SharedClock,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, finishes what is in hand within `patience`, and ends.
    pub async fn stop(self, patience: Duration) {
        let Server {
            stop,
            mut task,
            clock,
            ..
        } = self;
        // The receiver is gone only when the task has ended.
        let _ = stop.send(());
        let deadline = clock.now().monotonic + patience;
        if before(&*clock, deadline, &mut task).await.is_none() {
            task.abort();
        }
    }
}
