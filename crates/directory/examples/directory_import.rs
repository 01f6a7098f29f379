//! Measures an import into the directory on SQLite, and look-ups beside it.
//!
//! `cargo run --release -p remuda-directory --example directory_import -- [ACCOUNTS] [DIR]`

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use remuda_clock::{SharedClock, SystemClock};
use remuda_directory::{
    model::{Account, Domain, Kind, Object},
    store::{By, Import, Imported, Store, StoreError, sqlite::SqliteStore},
};
use tokio::sync::mpsc;

/// Look-ups are this far apart.
const PACE: Duration = Duration::from_millis(5);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let accounts = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let place = arguments.next().unwrap_or_else(|| ".".into());
    let dir = Path::new(&place).join(format!("directory-import-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(&dir, accounts));
    std::fs::remove_dir_all(&dir)?;
    result
}

async fn run(dir: &Path, accounts: u64) -> Result<(), Box<dyn Error>> {
    let clock = SystemClock::shared();
    let path = dir.join("directory.db");
    let store = Arc::new(SqliteStore::open(path.clone(), clock.clone()).await?);
    let domain: Domain = serde_json::from_str(r#"{"name": "example.org"}"#)?;
    store.insert(Object::Domain(domain)).await?;

    let (end, ended) = tokio::sync::watch::channel(());
    let looking = tokio::spawn(look(store.clone(), clock.clone(), ended));
    let began = clock.now().monotonic;
    let imported = import(&*store, accounts).await?;
    let took = clock.now().monotonic - began;
    drop(end);
    let mut waits = looking.await??;
    waits.sort();
    let again = clock.now().monotonic;
    import(&*store, accounts).await?;
    let replaced = clock.now().monotonic - again;
    println!(
        "{} accounts imported in {:.2} s ({:.0}/s), again in {:.2} s; touched {:?}; file {} MiB",
        imported.created,
        took.as_secs_f64(),
        accounts as f64 / took.as_secs_f64(),
        replaced.as_secs_f64(),
        imported.touched,
        std::fs::metadata(path)?.len() >> 20,
    );
    println!(
        "{} look-ups meanwhile: median {:?}, slowest {:?}",
        waits.len(),
        waits.get(waits.len() / 2),
        waits.last(),
    );
    Ok(())
}

async fn import(store: &dyn Store, accounts: u64) -> Result<Imported, Box<dyn Error>> {
    let (to, from) = mpsc::channel(256);
    tokio::spawn(async move {
        for line in 1..=accounts {
            let json = format!(r#"{{"address": "user{line}@example.org"}}"#);
            let account: Account = serde_json::from_str(&json).expect("it is an account");
            let sent = to.send(Import::Object(line, Box::new(Object::Account(account))));
            if sent.await.is_err() {
                return;
            }
        }
        // An import that has failed takes no end.
        let _ = to.send(Import::End).await;
    });
    Ok(store.import(from).await?)
}

/// Looks one name up again and again; answers how long each look-up took.
async fn look(
    store: Arc<SqliteStore>,
    clock: SharedClock,
    ended: tokio::sync::watch::Receiver<()>,
) -> Result<Vec<Duration>, StoreError> {
    let mut waits = Vec::new();
    while ended.has_changed().is_ok() {
        let began = clock.now().monotonic;
        store.load(Kind::Domain, By::Name("example.org")).await?;
        waits.push(clock.now().monotonic - began);
        clock.sleep_until(began + PACE).await;
    }
    Ok(waits)
}
