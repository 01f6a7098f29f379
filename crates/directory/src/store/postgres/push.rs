//! The push channel: what others change is told by the database itself, from triggers, after their commit.
//!
//! A notification is told once, to whoever is listening just then, and the driver mends a lost connection in silence.
//! So here a connection that is lost in any way is not mended but replaced, and after each LISTEN everything that was
//! read before is said to be doubtful: in that order, or what is committed in between is missed for ever.
//!
//! # Contract
//! * **LISTEN, then flush, then up**, on every connection (E3, E4).
//! * **A silent path is found out**: a heartbeat goes over another connection every [`heartbeat`](super::Limits), and
//!   must come back before the next is due (E5). Then the channel is down, and built anew with growing pauses.
//! * **Imports of ours are passed over** ([`own`](super::own)): they have been forgotten already.
//! * **What is not understood flushes everything**, and is logged once for each connection (E8).
//! * **It ends with its receiver.**
//!
//! # Not here
//! What is told (the triggers), how it is read ([`payload`]).
//!
//! # Known faults
//! * The driver says UNLISTEN when a listener is dropped, and waits for the answer: a path that has died keeps one
//!   socket and a small task until the system gives it up, minutes later.

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use remuda_clock::{Monotonic, before};
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgListener, PgNotification, PgPoolOptions},
};
use tokio::sync::mpsc;

use super::super::{Missed, Pushed};
use super::{PostgresStore, payload};

/// What tests let happen between LISTEN and flush.
#[cfg(test)]
pub(super) type Between = std::sync::Mutex<Option<Box<dyn FnOnce() -> super::Answering<'static, ()> + Send>>>;

/// Tells `to` of changes until it is gone.
pub(super) async fn watch(store: Arc<PostgresStore>, to: mpsc::Sender<Pushed>) {
    tokio::select! {
        () = to.closed() => (),
        () = watch_for_ever(&store, &to) => (),
    }
}

/// Ends when the receiver is gone.
async fn watch_for_ever(store: &PostgresStore, to: &mpsc::Sender<Pushed>) {
    let mut random = StdRng::seed_from_u64(store.clock.now().wall.0.unsigned_abs());
    let mut pause = PAUSE_MIN;
    loop {
        let mut channel = None;
        let lost = match Channel::open(store).await {
            Ok(open) => {
                pause = PAUSE_MIN;
                channel.insert(open).tell(to).await
            }
            Err(lost) => lost,
        };
        let reason = match lost {
            Lost::Receiver => return,
            Lost::Database(reason) => reason,
        };
        if channel.is_some() {
            tracing::warn!(%reason, "changes of the directory may not be told");
            if to.send(Pushed::Down(reason)).await.is_err() {
                return;
            }
        } else {
            tracing::debug!(%reason, "changes of the directory are not told yet");
        }
        let jittered = pause.mul_f64(random.random_range(0.5..1.0));
        store
            .clock
            .sleep_until(store.clock.now().monotonic + jittered)
            .await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Why a channel is no more.
enum Lost {
    /// Nobody wants to know.
    Receiver,
    /// The database, or the way to it.
    Database(String),
}

impl From<sqlx::Error> for Lost {
    fn from(error: sqlx::Error) -> Self {
        Lost::Database(error.to_string())
    }
}

impl From<mpsc::error::SendError<Pushed>> for Lost {
    fn from(_: mpsc::error::SendError<Pushed>) -> Self {
        Lost::Receiver
    }
}

/// Two connections: one that listens, and one that the heartbeat goes over.
struct Channel<'a> {
    store: &'a PostgresStore,
    listener: PgListener,
    other: PgConnection,
    /// The name under which our heartbeats go: only we listen to it.
    heartbeats: String,
    /// When the next one is due, or the one that is out must have come back.
    due: Monotonic,
    is_out: bool,
    has_complained: bool,
}

impl<'a> Channel<'a> {
    /// Connects and listens.
    async fn open(store: &'a PostgresStore) -> Result<Self, Lost> {
        let max = store.limits.look_up_max;
        let ready = store.within(max, store.ready()).await;
        ready.map_err(|error| Lost::Database(error.to_string()))?;
        let connect = async {
            let other = PgConnection::connect_with(&store.options).await?;
            // A pool for one: the listener wants to be able to connect again. It never is let.
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .max_lifetime(None)
                .idle_timeout(None);
            let pool = pool
                .test_before_acquire(false)
                .connect_with(store.options.clone())
                .await?;
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            let id: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
                .fetch_one(&mut listener)
                .await?;
            let heartbeats = format!("remuda_heartbeat_{id}");
            listener.listen_all([CHANGES, heartbeats.as_str()]).await?;
            Ok::<_, sqlx::Error>(Channel {
                store,
                listener,
                other,
                heartbeats,
                due: store.clock.now().monotonic,
                is_out: false,
                has_complained: false,
            })
        };
        let deadline = store.clock.now().monotonic + max;
        let channel = before(&*store.clock, deadline, connect).await;
        channel
            .ok_or_else(|| Lost::Database(format!("no connection within {max:?}")))?
            .map_err(Lost::from)
    }

    /// Tells all that is told, until the channel is lost.
    async fn tell(&mut self, to: &mpsc::Sender<Pushed>) -> Lost {
        match self.tell_on(to).await {
            Ok(never) => match never {},
            Err(lost) => lost,
        }
    }

    async fn tell_on(&mut self, to: &mpsc::Sender<Pushed>) -> Result<std::convert::Infallible, Lost> {
        self.store.own_imports.forget();
        // LISTEN has been confirmed: what is committed from here on will be told. What was read before may have
        // changed before.
        #[cfg(test)]
        self.store.let_happen_between().await;
        to.send(Pushed::Flush(Missed::Connected)).await?;
        to.send(Pushed::Up).await?;
        loop {
            tokio::select! {
                // What has come counts before a deadline that passed while the receiver was slow.
                biased;
                told = self.listener.try_recv() => match told? {
                    Some(notification) => self.pass_on(&notification, to).await?,
                    None => return Err(Lost::Database("the connection has ended".into())),
                },
                () = self.store.clock.sleep_until(self.due) => self.beat().await?,
            }
        }
    }

    async fn pass_on(
        &mut self,
        notification: &PgNotification,
        to: &mpsc::Sender<Pushed>,
    ) -> Result<(), Lost> {
        if notification.channel() == self.heartbeats {
            self.is_out = false;
            return Ok(());
        }
        let Some(touched) = payload::read(notification.payload()) else {
            if !std::mem::replace(&mut self.has_complained, true) {
                let payload = notification.payload();
                tracing::warn!(
                    payload,
                    "a change of the directory is told in words that are not known: nothing \
                    cached is believed; is there a newer version on this database?"
                );
            }
            return Ok(to.send(Pushed::Flush(Missed::Unreadable)).await?);
        };
        if self.store.own_imports.is_own(notification.process_id(), &touched) {
            return Ok(());
        }
        Ok(to.send(Pushed::Changed(vec![touched])).await?)
    }

    /// Sends a heartbeat, unless the last one has not come back.
    async fn beat(&mut self) -> Result<(), Lost> {
        let every = self.store.limits.heartbeat;
        if self.is_out {
            return Err(Lost::Database(format!("no heartbeat for {every:?}")));
        }
        self.is_out = true;
        self.due = self.store.clock.now().monotonic + every;
        let beat = sqlx::query("SELECT pg_notify($1, '')")
            .bind(&self.heartbeats)
            .execute(&mut self.other);
        let sent = before(&*self.store.clock, self.due, beat).await;
        sent.ok_or_else(|| Lost::Database(format!("no answer to a heartbeat within {every:?}")))??;
        Ok(())
    }
}

#[cfg(test)]
impl PostgresStore {
    async fn let_happen_between(&self) {
        let happens = self.between.lock().unwrap().take();
        if let Some(happens) = happens {
            happens().await;
        }
    }
}

/// The channel that the triggers use.
const CHANGES: &str = "remuda_directory";
/// Before the channel is built anew: the first time, and at most; less by up to half.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
