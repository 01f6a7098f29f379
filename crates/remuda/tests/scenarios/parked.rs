//! Sessions that die while they are parked, each in its own way, at a receiver of this file's own.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::world::{World, message, route};

/// What the first connection comes to after its first message.
#[derive(Clone, Copy, Debug)]
enum Death {
    Closed,
    Reset,
    Farewell,
    Unasked,
    Silence,
}

/// A receiver whose first session dies so, and whose others do not.
struct Mortal {
    address: SocketAddr,
    /// Who has got a message, in order.
    delivered: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Mortal {
    async fn start(death: Death) -> Mortal {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let recipients = delivered.clone();
        let task = tokio::spawn(async move {
            let mut death = Some(death);
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, death.take(), recipients.clone()));
            }
        });
        Mortal {
            address,
            delivered,
            task,
        }
    }

    fn delivered(&self) -> Vec<String> {
        self.delivered.lock().unwrap().clone()
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    stream: TcpStream,
    death: Option<Death>,
    delivered: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mortal.test\r\n").await?;
    let (mut line, mut recipient, mut is_content) = (String::new(), String::new(), false);
    let mut is_dead = false;
    while stream.read_line(&mut line).await? > 0 {
        let reply = match (is_content, line.trim_end()) {
            (true, ".") => {
                is_content = false;
                delivered.lock().unwrap().push(std::mem::take(&mut recipient));
                "250 taken\r\n"
            }
            (true, _) => "",
            (false, "DATA") => {
                is_content = true;
                "354 go on\r\n"
            }
            (false, "QUIT") => "221 bye\r\n",
            (false, command) => {
                if let Some(path) = command.strip_prefix("RCPT TO:<") {
                    recipient = path.trim_end_matches('>').to_owned();
                }
                "250 ok\r\n"
            }
        };
        if !is_dead {
            stream.write_all(reply.as_bytes()).await?;
        }
        line.clear();
        if reply == "250 taken\r\n" {
            match death {
                None => {}
                Some(Death::Closed) => return Ok(()),
                Some(Death::Reset) => return stream.get_ref().set_zero_linger(),
                Some(Death::Farewell) => stream.write_all(b"421 4.4.2 idle\r\n").await?,
                Some(Death::Unasked) => stream.write_all(b"250 x\r\n").await?,
                Some(Death::Silence) => is_dead = true,
            }
        }
    }
    Ok(())
}

/// T30, T31, T38; issue 3, "What must be seen" 3: nothing is deferred, nothing comes twice, and no reply is
/// taken for another's.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_dies_while_parked_costs_no_deferral() {
    for death in [
        Death::Closed,
        Death::Reset,
        Death::Farewell,
        Death::Unasked,
        Death::Silence,
    ] {
        let receiver = Mortal::start(death).await;
        let world = World::start_with(vec![route("dest.test", &[receiver.address])], |settings| {
            settings.connection_cache.destinations = ["*".to_owned()].into();
            settings.connection_cache.idle_time_limit = Duration::from_secs(60);
            settings.connection_cache.reuse_reply_timeout = Duration::from_millis(300);
        })
        .await;
        let mut expected = Vec::new();
        for name in ["one", "two", "three"] {
            let recipient = format!("{name}@dest.test");
            world.send(message("a@source.test", &recipient)).await;
            world.empty().await;
            expected.push(recipient);
        }
        assert_eq!(receiver.delivered(), expected, "{death:?}");
        let metrics = world.operations().metrics_text().await.unwrap();
        for line in [
            "remuda_deliveries_total{status=\"sent\"} 3",
            "remuda_deliveries_total{status=\"deferred\"} 0",
            "remuda_possible_duplicates_total{status=\"sent\"} 0",
            "remuda_connections_opened_total{tls=\"none\"} 2",
        ] {
            assert!(metrics.lines().any(|l| l == line), "{death:?}: {line}\n{metrics}");
        }
        world.stop().await;
    }
}
