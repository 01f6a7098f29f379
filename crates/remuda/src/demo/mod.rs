//! `remuda demo`: a small internet on loopback, in one process, with and without the connection cache, and a domain
//! that is hosted behind the object cache.
//!
//! ```text
//!   senders ─▶ engine with reuse ─────▶ five receivers, one of them slow ─┐
//!   the same mail ─▶ engine without ──▶ five receivers of their own ──────┴▶ two columns of a table
//! ```
//!
//! # Contract
//! * **The same mail goes both ways**: messages, domains, pace and receivers do not differ, only the cache.
//! * **A change through the admin API is made on the way**, and the next message shows that it is seen.
//! * **It ends by itself**, also when mail is missing (it says so then); asked to stay, it goes on sending
//!   until it is told to end.
//! * **Nothing stays behind**: its files lie in a temporary directory, its sockets on loopback.
//! * **Plain text**: a line a second, no control characters.
//!
//! # Not here
//! What the caches decide (`remuda_dispatch`, `remuda_object_cache`); the receivers' behaviour (`remuda_sink`).

mod change;
mod display;
mod home;
mod mail;
mod measure;
mod world;

pub use self::{
    change::Change,
    measure::{Cache, Objects, Pass},
};

use std::{future::Future, io::Write, path::Path, pin::pin, time::Duration};

use anyhow::Context;
use remuda_admin::{Bound, Server, Token};
use remuda_clock::{SharedClock, SystemClock, before};

use self::{
    change::Admin,
    display::Display,
    mail::Mail,
    world::{Reuse, World},
};
use crate::exit::{Exit, Failure};

/// How the demo is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Stay when all is shown: the server, its receivers and the admin API, with mail going on.
    pub keep: bool,
    /// Messages in each of the two passes.
    pub messages: u64,
}

impl Default for Options {
    /// Some thousand messages, and an end.
    fn default() -> Self {
        Options {
            keep: false,
            messages: 2400,
        }
    }
}

/// What both passes came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// With the connection cache.
    pub with_reuse: Pass,
    /// The same mail without.
    pub without_reuse: Pass,
    /// What became of the change.
    pub change: Change,
}

/// Runs the command: in a runtime of its own, on standard output, until it has ended or Ctrl-C.
pub(crate) fn command(keep: bool) -> Result<(), Failure> {
    let failed = |error: anyhow::Error| Failure::new(Exit::Failed, format!("demo: {error:#}"));
    let options = Options {
        keep,
        ..Options::default()
    };
    crate::runtime()?
        .block_on(async {
            let interrupted = async {
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            run(
                options,
                &mut std::io::stdout(),
                SystemClock::shared(),
                interrupted,
            )
            .await
        })
        .map(drop)
        .or_else(|error| {
            if is_closed_pipe(&error) {
                Ok(())
            } else {
                Err(failed(error))
            }
        })
}

/// A reader that has seen enough is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Runs the demo and prints it to `out`; ends early, without a result, when `until` completes.
///
/// # Errors
/// When loopback, the temporary directory or `out` cannot be used.
pub async fn run(
    options: Options,
    out: &mut impl Write,
    clock: SharedClock,
    until: impl Future<Output = ()>,
) -> anyhow::Result<Option<Shown>> {
    let directory = tempfile::Builder::new()
        .prefix("remuda-demo-")
        .tempdir()
        .context("temporary directory")?;
    let world = World::start(&directory.path().join("with-reuse"), Reuse::On, &clock).await?;
    let (server, admin) = serve_admin(&world, directory.path(), &clock)?;
    let mut display = Display::new(out, clock.clone());
    display.introduce(&world, admin.address, &admin.token_file)?;
    let mut until = pin!(until);
    let shown = tokio::select! {
        () = &mut until => None,
        shown = show(options, (&world, &admin), directory.path(), &mut display) => Some(shown?),
    };
    if options.keep && shown.is_some() {
        display.line("Staying, with mail going on; Ctrl-C ends.")?;
        tokio::select! {
            () = &mut until => {}
            stayed = stay(&world, &mut display) => stayed?,
        }
    }
    server.stop(PATIENCE_AT_END).await;
    world.stop(PATIENCE_AT_END).await;
    Ok(shown)
}

/// Both passes and the tables.
async fn show<W: Write>(
    options: Options,
    (world, admin): (&World, &Admin),
    directory: &Path,
    display: &mut Display<'_, W>,
) -> anyhow::Result<Shown> {
    let mail = Mail::new(options.messages);
    display.line("With the connection cache:")?;
    let (with_reuse, change) = pass(world, Some(admin), mail, display).await?;
    let bare = World::start(
        &directory.join("without-reuse"),
        Reuse::Off,
        &display.clock().clone(),
    )
    .await?;
    display.line("The same mail, a connection for each message:")?;
    let (without_reuse, _) = pass(&bare, None, mail, display).await?;
    bare.stop(PATIENCE_AT_END).await;
    let shown = Shown {
        with_reuse,
        without_reuse,
        change: change.unwrap_or_default(),
    };
    display.table(&shown)?;
    Ok(shown)
}

/// Sends the mail through `world` and shows it, a line a second, until it has arrived; with an admin API also
/// makes the change, and shows the object cache.
async fn pass<W: Write>(
    world: &World,
    admin: Option<&Admin>,
    mail: Mail,
    display: &mut Display<'_, W>,
) -> anyhow::Result<(Pass, Option<Change>)> {
    let clock = display.clock().clone();
    let began = clock.now().monotonic;
    let mut work = pin!(send(world, mail, &clock));
    let mut changing = pin!(async {
        clock.sleep_until(began + CHANGE_AFTER).await;
        match admin {
            Some(admin) => change::make(world, admin, &clock).await,
            None => std::future::pending().await,
        }
    });
    display.head()?;
    let mut next = began + DISPLAY_INTERVAL;
    let (mut arrived, mut change) = (None, None);
    while arrived.is_none() || (admin.is_some() && change.is_none()) {
        tokio::select! {
            all = &mut work, if arrived.is_none() => arrived = Some(all?),
            made = &mut changing, if change.is_none() => display.change(change.insert(made?))?,
            () = clock.sleep_until(next) => {
                next += DISPLAY_INTERVAL;
                row(world, admin.is_some(), clock.now().monotonic - began, display).await?;
            }
        }
    }
    let pass = row(world, admin.is_some(), clock.now().monotonic - began, display).await?;
    if arrived == Some(false) {
        display.line("Not all of it has arrived; it is in the queue.")?;
    }
    display.line("")?;
    Ok((pass, change))
}

/// Sends the mail and waits for it; answers whether all has arrived.
async fn send(world: &World, mail: Mail, clock: &SharedClock) -> anyhow::Result<bool> {
    let sent = mail.send(world.address(), clock).await?;
    let arrived = async {
        world.sinks().received(sent.away).await;
        while home::kept(world.data_dir())? < sent.home {
            clock.sleep_until(clock.now().monotonic + LOOK_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    let deadline = clock.now().monotonic + PATIENCE;
    match before(&**clock, deadline, arrived).await {
        Some(arrived) => arrived.map(|()| true),
        None => Ok(false),
    }
}

/// Shows how it is now.
async fn row<W: Write>(
    world: &World,
    has_objects: bool,
    elapsed: Duration,
    display: &mut Display<'_, W>,
) -> anyhow::Result<Pass> {
    let pass = Pass::measure(world, elapsed).await?;
    display.row(&pass)?;
    if has_objects {
        display.objects(&pass)?;
    }
    Ok(pass)
}

/// Goes on with a little mail, and a line for each round of it.
async fn stay<W: Write>(world: &World, display: &mut Display<'_, W>) -> anyhow::Result<()> {
    let clock = display.clock().clone();
    let began = clock.now().monotonic;
    let mut next = began;
    loop {
        next += STAY_INTERVAL;
        Mail::new(STAY_MESSAGES).send(world.address(), &clock).await?;
        clock.sleep_until(next).await;
        row(world, true, clock.now().monotonic - began, display).await?;
    }
}

fn serve_admin(world: &World, directory: &Path, clock: &SharedClock) -> anyhow::Result<(Server, Admin)> {
    let bound = Bound::new(([127, 0, 0, 1], 0).into())?;
    let token_file = directory.join("admin.token");
    let token = Token::read_or_make(&token_file)?;
    let server = bound.serve(
        world.operations(),
        world.directory().clone(),
        token,
        clock.clone(),
    )?;
    let address = server.address();
    Ok((server, Admin { address, token_file }))
}

/// How often a line is shown.
const DISPLAY_INTERVAL: Duration = Duration::from_secs(1);
/// When the change is made.
const CHANGE_AFTER: Duration = Duration::from_millis(2500);
/// How often the Maildirs are looked into at the end.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// After this, mail that has not arrived is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// For transactions in hand at the end.
const PATIENCE_AT_END: Duration = Duration::from_secs(2);
/// Of a demo that stays: how often it sends, and how much.
const STAY_INTERVAL: Duration = Duration::from_secs(1);
const STAY_MESSAGES: u64 = 30;
