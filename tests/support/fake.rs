//! A server that greets like Redis and then answers every command with the same line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Clone, Copy, PartialEq)]
enum Greeting {
    New,
    Old,
    None,
}

pub struct FakeServer {
    addr: String,
    calls: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeServer {
    /// Greets well, and answers everything else with this reply.
    pub async fn start(reply: &'static str) -> FakeServer {
        FakeServer::with(reply, Greeting::New).await
    }

    /// Greets as servers did before RESP3.
    pub async fn old(reply: &'static str) -> FakeServer {
        FakeServer::with(reply, Greeting::Old).await
    }

    /// Answers everything with this, the greeting included.
    pub async fn talking(reply: &'static str) -> FakeServer {
        FakeServer::with(reply, Greeting::None).await
    }

    async fn with(reply: &'static str, greeting: Greeting) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address").to_string();
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, reply, greeting, Arc::clone(&counted)));
            }
        });
        FakeServer { addr, calls, task }
    }

    pub fn addr(&self) -> String {
        self.addr.clone()
    }

    /// Commands answered with the reply, those of the greeting not counted.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn serve(stream: TcpStream, reply: &str, greeting: Greeting, calls: Arc<AtomicU64>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let greets = greeting != Greeting::None;
    loop {
        let Some(words) = command(&mut stream).await? else { return Ok(()) };
        let name = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let answer = match name.as_slice() {
            b"HELLO" if greeting == Greeting::New => "%1\r\n$5\r\nproto\r\n:3\r\n",
            b"HELLO" if greeting == Greeting::Old => "-ERR unknown command 'HELLO', with args beginning with: '3' \r\n",
            b"CLIENT" | b"SELECT" if greets => "+OK\r\n",
            b"TIME" if greets => "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n",
            b"INFO" if greets => "$15\r\nrun_id:abcdef\r\n\r\n",
            _ => {
                calls.fetch_add(1, Ordering::Relaxed);
                reply
            }
        };
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}

async fn command(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<Vec<u8>>>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let count: usize = line.trim().trim_start_matches('*').parse().unwrap_or(0);
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        stream.read_line(&mut line).await?;
        let length: usize = line.trim().trim_start_matches('$').parse().unwrap_or(0);
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await?;
        word.truncate(length);
        words.push(word);
    }
    Ok(Some(words))
}
