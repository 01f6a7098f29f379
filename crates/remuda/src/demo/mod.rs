//! `remuda demo`: a small internet on loopback, in one process, with and without the connection cache.
//!
//! ```text
//!   senders ─▶ engine with reuse ─────▶ five receivers, one of them slow ─┐
//!   the same mail ─▶ engine without ──▶ five receivers of their own ──────┴▶ two columns of a table
//! ```
//!
//! # Contract
//! * **The same mail goes both ways**: messages, domains, pace and receivers do not differ, only the cache.
//! * **It ends by itself**, also when mail is missing (it says so then); asked to stay, it goes on sending
//!   until it is told to end.
//! * **Nothing stays behind**: its files lie in a temporary directory, its sockets on loopback.
//! * **Plain text**: a line a second, no control characters.
//!
//! # Not here
//! What the cache decides (`remuda_dispatch`); the receivers' behaviour (`remuda_sink`).

mod display;
mod mail;
mod measure;
mod world;

pub use self::measure::{Cache, Pass};

use std::{future::Future, io::Write, path::Path, pin::pin, time::Duration};

use anyhow::Context;
use remuda_admin::{Bound, Server, Token};
use remuda_clock::{SharedClock, SystemClock, before};

use self::{
    display::Display,
    mail::Mail,
    world::{Reuse, World},
};
use crate::{
    config,
    directory::tended::Tended,
    exit::{Exit, Failure},
};

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
    let (admin, tended) = serve_admin(&world, directory.path(), &clock).await?;
    let mut display = Display::new(out, clock.clone());
    display.introduce(&world, admin.address(), &token_file(directory.path()))?;
    let mut until = pin!(until);
    let shown = tokio::select! {
        () = &mut until => None,
        shown = show(options, &world, directory.path(), &mut display) => Some(shown?),
    };
    if options.keep && shown.is_some() {
        display.line("Staying, with mail going on; Ctrl-C ends.")?;
        tokio::select! {
            () = &mut until => {}
            stayed = stay(&world, &mut display) => stayed?,
        }
    }
    admin.stop(PATIENCE_AT_END).await;
    tended.stop().await;
    world.stop(PATIENCE_AT_END).await;
    Ok(shown)
}

/// Both passes and the table.
async fn show<W: Write>(
    options: Options,
    world: &World,
    directory: &Path,
    display: &mut Display<'_, W>,
) -> anyhow::Result<Shown> {
    let mail = Mail::new(options.messages);
    display.line("With the connection cache:")?;
    let with_reuse = pass(world, mail, display).await?;
    let bare = World::start(
        &directory.join("without-reuse"),
        Reuse::Off,
        &display.clock().clone(),
    )
    .await?;
    display.line("The same mail, a connection for each message:")?;
    let without_reuse = pass(&bare, mail, display).await?;
    bare.stop(PATIENCE_AT_END).await;
    let shown = Shown {
        with_reuse,
        without_reuse,
    };
    display.table(&shown)?;
    Ok(shown)
}

/// Sends the mail through `world` and shows it, a line a second, until it has arrived.
async fn pass<W: Write>(world: &World, mail: Mail, display: &mut Display<'_, W>) -> anyhow::Result<Pass> {
    let clock = display.clock().clone();
    let began = clock.now().monotonic;
    let work = async {
        let accepted = mail.send(world.address(), &clock).await?;
        let arrived = before(
            &*clock,
            clock.now().monotonic + PATIENCE,
            world.sinks().received(accepted),
        );
        anyhow::Ok(arrived.await.is_some())
    };
    let mut work = pin!(work);
    display.head()?;
    let mut next = began + DISPLAY_INTERVAL;
    let all_arrived = loop {
        tokio::select! {
            all_arrived = &mut work => break all_arrived?,
            () = clock.sleep_until(next) => {
                next += DISPLAY_INTERVAL;
                display.row(&Pass::measure(world, clock.now().monotonic - began).await?)?;
            }
        }
    };
    let pass = Pass::measure(world, clock.now().monotonic - began).await?;
    display.row(&pass)?;
    if !all_arrived {
        display.line("Not all of it has arrived; it is in the queue.")?;
    }
    display.line("")?;
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
        display.row(&Pass::measure(world, clock.now().monotonic - began).await?)?;
    }
}

async fn serve_admin(
    world: &World,
    directory: &Path,
    clock: &SharedClock,
) -> anyhow::Result<(Server, Tended)> {
    let config = config::Directory {
        database: config::Database::Sqlite(directory.join("directory.db")),
        password_line: None,
        object_cache: Default::default(),
    };
    let opened = Tended::open(&config, directory, clock.clone()).await;
    let tended = opened.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let bound = Bound::new(([127, 0, 0, 1], 0).into())?;
    let token = Token::read_or_make(&token_file(directory))?;
    let admin = bound.serve(world.operations(), tended.directory(), token, clock.clone())?;
    Ok((admin, tended))
}

fn token_file(directory: &Path) -> std::path::PathBuf {
    directory.join("admin.token")
}

/// How often a line is shown.
const DISPLAY_INTERVAL: Duration = Duration::from_secs(1);
/// After this, mail that has not arrived is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// For transactions in hand at the end.
const PATIENCE_AT_END: Duration = Duration::from_secs(2);
/// Of a demo that stays: how often it sends, and how much.
const STAY_INTERVAL: Duration = Duration::from_secs(1);
const STAY_MESSAGES: u64 = 30;
