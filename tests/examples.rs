//! The example servers, run as a newcomer runs them: started as processes, tried with the lines they print.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]
#![cfg(all(feature = "full", any(feature = "aws-lc", feature = "rust-crypto")))]

use std::{
    env,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running example, stopped when dropped.
struct Example {
    process: Child,
    address: SocketAddr,
    token: String,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Test binaries lie in `deps`, beside the folder of the examples.
fn binary(name: &str) -> PathBuf {
    let here = env::current_exe().unwrap();
    let folder = here.parent().unwrap().parent().unwrap();
    folder.join("examples").join(name)
}

impl Example {
    /// Starts an example on a free port and reads the token and the address from what it prints.
    fn start(name: &str) -> Self {
        Self::run(Command::new(binary(name)))
    }

    /// As [`Example::start`], allowed so many open files and no more.
    #[cfg(unix)]
    fn start_with_files(name: &str, files: usize) -> Self {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {files} && exec \"$0\"");
        shell.arg("-c").arg(limited).arg(binary(name));
        Self::run(shell)
    }

    fn run(mut command: Command) -> Self {
        let mut process = command
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo test` builds it"));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let token = line
            .split("Bearer ")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap()
            .to_owned();
        let address = line
            .split("http://")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        let address = address.parse().unwrap();
        // To the last line: a process whose output nobody reads any more would stop.
        for start in ["401: curl", "429: for"] {
            assert!(lines.next().unwrap().unwrap().starts_with(start));
        }
        Self {
            process,
            address,
            token,
        }
    }

    /// The whole answer to `GET /me`, as it came over the socket.
    fn me(&self, authorization: Option<&str>) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        write!(
            stream,
            "GET /me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        )
        .unwrap();
        if let Some(authorization) = authorization {
            write!(stream, "Authorization: {authorization}\r\n").unwrap();
        }
        write!(stream, "\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap().to_ascii_lowercase()
    }
}

fn tried(name: &str) {
    let example = Example::start(name);
    let bearer = format!("Bearer {}", example.token);

    let answer = example.me(Some(&bearer));
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello, user-7.\n"), "{answer}");
    assert!(
        answer.contains("\r\nratelimit: \"default\";r=59;t="),
        "{answer}"
    );

    for refused in [
        None,
        Some("Bearer nonsense"),
        Some("Basic dXNlcjpwYXNz"),
        Some("\u{1f512}"),
    ] {
        let answer = example.me(refused);
        assert!(answer.starts_with("http/1.1 401 "), "{answer}");
        for field in [
            "\r\nwww-authenticate: bearer",
            "\r\ncontent-type: application/problem+json\r\n",
            "\r\ncontent-security-policy: default-src 'self'",
            "\r\nstrict-transport-security: max-age=31536000; includesubdomains\r\n",
            "\"code\":\"jwt_",
        ] {
            assert!(answer.contains(field), "{field:?} is not in {answer}");
        }
    }

    // 5 of the minute's 60 are spent. Should the minute turn meanwhile, more pass before the first refusal.
    let answers: Vec<String> = (0..120).map(|_| example.me(Some(&bearer))).collect();
    let refused = answers
        .iter()
        .find(|answer| answer.starts_with("http/1.1 429 "))
        .unwrap();
    for field in [
        "\r\nretry-after: ",
        "\"code\":\"rate_limited\"",
        "\r\nx-frame-options: sameorigin\r\n",
    ] {
        assert!(refused.contains(field), "{field:?} is not in {refused}");
    }
}

#[test]
fn the_axum_example_lets_in_refuses_and_limits() {
    tried("axum");
}

#[test]
fn the_hyper_example_lets_in_refuses_and_limits() {
    tried("hyper");
}

/// Whoever opens connections until there are no files left must not end the server.
#[cfg(unix)]
fn outlives_its_files(name: &str) {
    let example = Example::start_with_files(name, 24);
    let mut open = Vec::new();
    // Each is asked something, so that it is known to have been accepted; until one is not.
    let mut waiting = loop {
        let mut stream = TcpStream::connect(example.address).unwrap();
        let patience = Some(Duration::from_secs(2));
        stream.set_read_timeout(patience).unwrap();
        write!(stream, "GET /me HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        match stream.read(&mut [0; 16]) {
            Ok(0) => panic!("{name} has gone after {} connections", open.len()),
            Ok(_) => open.push(stream),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                panic!("{name} has gone after {} connections", open.len())
            }
            Err(_) => break stream,
        }
        assert!(open.len() < 24, "there are files left");
    };
    drop(open);
    let patience = Some(Duration::from_secs(30));
    waiting.set_read_timeout(patience).unwrap();
    let mut answer = [0; 12];
    waiting.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[cfg(unix)]
#[test]
fn the_axum_example_outlives_its_files() {
    outlives_its_files("axum");
}

#[cfg(unix)]
#[test]
fn the_hyper_example_outlives_its_files() {
    outlives_its_files("hyper");
}
