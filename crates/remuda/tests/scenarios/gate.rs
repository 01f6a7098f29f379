//! A receiver that holds the final reply until the test lets it go, so that a message is in flight for
//! as long as the test wants.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// The receiver.
pub struct Gate {
    pub address: SocketAddr,
    arrived: mpsc::UnboundedReceiver<()>,
    replies: mpsc::UnboundedSender<&'static str>,
    task: tokio::task::JoinHandle<()>,
}

impl Gate {
    pub async fn start() -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = mpsc::unbounded_channel();
        let (replies, mut next) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            // One conversation after the other is enough for the single message of a test.
            while let Ok((stream, _)) = listener.accept().await {
                let _ = converse(stream, &arrive, &mut next).await;
            }
        });
        Gate {
            address,
            arrived,
            replies,
            task,
        }
    }

    /// Waits until a message is there, without a reply so far.
    pub async fn holds_one(&mut self) {
        self.arrived.recv().await.unwrap();
    }

    /// Answers it.
    pub fn reply(&self, reply: &'static str) {
        self.replies.send(reply).unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    stream: TcpStream,
    arrive: &mpsc::UnboundedSender<()>,
    replies: &mut mpsc::UnboundedReceiver<&'static str>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 gate.test\r\n").await?;
    let mut line = String::new();
    let mut is_content = false;
    while stream.read_line(&mut line).await? > 0 {
        let verb = line.to_ascii_uppercase();
        let reply = match (is_content, verb.trim_end()) {
            (true, ".") => {
                is_content = false;
                let _ = arrive.send(());
                replies.recv().await.unwrap_or("421 4.3.2 the test is over")
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
