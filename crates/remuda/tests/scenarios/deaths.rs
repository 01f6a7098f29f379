//! Parked sessions that die in every way, counted by how they did.

use std::time::Duration;

use remuda_engine::operations::{CacheCounts, ConnectionFilter, ConnectionState};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::world::{World, message, route};

/// How a server ends a session that it has served once.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Close,
    Reset,
    Say421,
    /// Closes behind the next MAIL, without a reply to it.
    CloseAtMail,
}

/// Serves one message; ends in this manner when told to. Later sessions go as they like.
async fn serve(listener: TcpListener, manner: Manner, told: oneshot::Receiver<()>) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    let mut stream = BufReader::new(stream);
    converse(&mut stream, 1).await?;
    if let Manner::CloseAtMail = manner {
        let mut octet = [0];
        stream.read_exact(&mut octet).await?;
    } else {
        // Told or not, it ends.
        let _ = told.await;
    }
    match manner {
        Manner::Reset => stream.get_ref().set_zero_linger()?,
        Manner::Say421 => stream.write_all(b"421 4.4.2 idle for too long\r\n").await?,
        Manner::Close | Manner::CloseAtMail => {}
    }
    drop(stream);
    loop {
        let (stream, _) = listener.accept().await?;
        converse(&mut BufReader::new(stream), usize::MAX).await?;
    }
}

/// Takes so many messages.
async fn converse(stream: &mut BufReader<TcpStream>, messages: usize) -> std::io::Result<()> {
    stream.write_all(b"220 mortal.test\r\n").await?;
    let (mut line, mut is_content, mut taken) = (String::new(), false, 0);
    while taken < messages && stream.read_line(&mut line).await? > 0 {
        let verb = line.to_ascii_uppercase();
        let reply = match (is_content, verb.trim_end()) {
            (true, ".") => {
                is_content = false;
                taken += 1;
                "250 2.0.0 ok"
            }
            (true, _) => "",
            (false, "DATA") => {
                is_content = true;
                "354 go on"
            }
            (false, "QUIT") => "221 bye",
            (false, _) => "250 ok",
        };
        if !reply.is_empty() {
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
        line.clear();
    }
    Ok(())
}

async fn counts(world: &World) -> CacheCounts {
    world.operations().cache_statistics().await.unwrap().since_start
}

/// T84.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_died_is_counted_by_how() {
    for (manner, cause) in [
        (Manner::Close, "fin"),
        (Manner::Reset, "reset"),
        (Manner::Say421, "data"),
        (Manner::CloseAtMail, ""),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = oneshot::channel();
        let server = tokio::spawn(serve(listener, manner, told));
        let world = World::start_with(vec![route("dest.test", &[address])], |settings| {
            settings.connection_cache.destinations.insert("*".into());
            settings.connection_cache.idle_time_limit = Duration::from_secs(60);
        })
        .await;
        world.send(message("a@source.test", "b@dest.test")).await;
        world
            .until("the session is parked", async || {
                let filter = ConnectionFilter::default();
                let shown = world.operations().connections(filter).await.unwrap();
                matches!(&shown[..], [only] if only.state == ConnectionState::Parked)
            })
            .await;
        tell.send(()).unwrap();
        if let Manner::CloseAtMail = manner {
            // Found dead by the message that it was taken for, which goes once more, silently.
            world.send(message("a@source.test", "c@dest.test")).await;
        }
        world
            .until("its death is counted", async || {
                counts(&world).await.closed["dead"] == 1
            })
            .await;
        world.empty().await;
        let counts = counts(&world).await;
        assert_eq!(counts.deaths.values().sum::<u64>(), 1, "{manner:?}");
        if !cause.is_empty() {
            assert_eq!(
                counts.deaths.get(cause),
                Some(&1),
                "{manner:?}: {:?}",
                counts.deaths
            );
        }
        server.abort();
    }
}
