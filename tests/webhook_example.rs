//! The example `webhooks`, run as a newcomer runs it: as a process, tried with the lines it prints.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]
#![cfg(all(feature = "webhook", feature = "axum"))]

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running example, stopped when dropped, and the lines that it printed.
struct Example {
    process: Child,
    lines: Vec<String>,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Example {
    fn start(environment: &[(&str, &str)]) -> Self {
        // Test binaries lie in `deps`, beside the folder of the examples.
        let here = env::current_exe().unwrap();
        let folder = here.parent().unwrap().parent().unwrap();
        let binary = folder.join("examples").join("webhooks");
        let mut process = Command::new(&binary)
            .env("PORT", "0")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; `cargo test` builds it", binary.display())
            });
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let lines = lines.map(Result::unwrap);
        let lines = lines.take_while(|line| line != "Listening.").collect();
        Self { process, lines }
    }
}

/// What a line of curl does, without curl.
fn ask(line: &str) -> String {
    let url = line.split("http://").nth(1).unwrap();
    let (address, rest) = url.split_once('/').unwrap();
    let path = rest.split(' ').next().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let body = line.split("--data-raw '").nth(1).unwrap();
    let body = body.strip_suffix('\'').unwrap();
    let fields = line.split("-H '").skip(1);
    let fields: String = fields
        .map(|field| format!("{}\r\n", field.split('\'').next().unwrap()))
        .collect();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_lines_that_it_prints_do_what_they_say() {
    let example = Example::start(&[]);
    assert_eq!(example.lines.len(), 6);
    for line in example.lines.iter().rev() {
        let (status, curl) = line.split_once(": ").unwrap();
        let answer = ask(curl);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}\n{answer}"
        );
        match status {
            "200" => {
                assert!(answer.contains("evt_1"), "{answer}");
                let again = ask(curl);
                assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
                assert!(!again.contains("evt_1"), "{again}");
            }
            _ => assert!(
                answer.contains("\"code\":\"webhook_signature_invalid\""),
                "{answer}"
            ),
        }
    }
}

#[test]
fn a_secret_of_the_environment_is_used_and_not_shown() {
    let other = Example::start(&[]);
    let secret = "a secret of the environment";
    let example = Example::start(&[("GITHUB_WEBHOOK_SECRET", secret)]);
    assert_eq!(example.lines.len(), 4);
    assert!(example.lines.iter().all(|line| !line.contains(secret)));
    // What was signed with another secret does not pass.
    let line = other
        .lines
        .iter()
        .find(|line| line.contains("/github "))
        .unwrap();
    let address = |line: &str| {
        let url = line.split("http://").nth(1).unwrap();
        url.split('/').next().unwrap().to_owned()
    };
    let line = line.replace(&address(line), &address(&example.lines[0]));
    assert!(ask(&line).starts_with("HTTP/1.1 401 "), "{line}");
}
