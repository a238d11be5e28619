//! Clients that ask as fast as they are answered.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// The answers of a server, by the second in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) passed: u64,
    pub(crate) unanswerable: u64,
    pub(crate) refused: Vec<u64>,
}

impl Answers {
    fn count(&mut self, status: u16, second: usize) {
        match status {
            200 => self.passed += 1,
            429 => {
                if self.refused.len() <= second {
                    self.refused.resize(second + 1, 0);
                }
                self.refused[second] += 1;
            }
            503 => self.unanswerable += 1,
            other => panic!("answered {other}"),
        }
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.unanswerable += other.unanswerable;
        self.refused
            .resize(self.refused.len().max(other.refused.len()), 0);
        for (sum, refused) in self.refused.iter_mut().zip(&other.refused) {
            *sum += refused;
        }
    }

    pub(crate) fn all(&self) -> u64 {
        self.passed + self.unanswerable + self.refused.iter().sum::<u64>()
    }
}

/// Asks each server over so many connections, for so long.
pub(crate) async fn load(
    servers: &[SocketAddr],
    connections: usize,
    span: Duration,
) -> Vec<Answers> {
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for (index, server) in servers.iter().enumerate() {
        for _ in 0..connections {
            let server = *server;
            running.spawn(async move { (index, ask_on(server, begun, span).await) });
        }
    }
    let mut answers = vec![Answers::default(); servers.len()];
    while let Some(one) = running.join_next().await {
        let (index, heard) = one.unwrap();
        answers[index].add(&heard);
    }
    answers
}

async fn ask_on(server: SocketAddr, begun: Instant, span: Duration) -> Answers {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut answers, mut read) = (Answers::default(), Vec::new());
    while begun.elapsed() < span {
        stream.write_all(REQUEST).await.unwrap();
        let status = answer(&mut stream, &mut read).await;
        let second = usize::try_from(begun.elapsed().as_secs()).unwrap();
        answers.count(status, second);
    }
    answers
}

/// Reads one answer, and gives its status.
async fn answer(stream: &mut TcpStream, read: &mut Vec<u8>) -> u16 {
    read.clear();
    loop {
        if let Some(status) = whole(read) {
            return status;
        }
        let count = stream.read_buf(read).await.unwrap();
        assert!(count > 0, "the server hung up");
    }
}

/// The status, once the whole answer is there.
fn whole(read: &[u8]) -> Option<u16> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&read[..end]).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("a length");
    let length: usize = length.parse().unwrap();
    (read.len() >= end + length).then(|| head[9..12].parse().unwrap())
}
