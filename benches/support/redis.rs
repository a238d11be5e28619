//! A `redis-server` of a bench's own, and what it and this process work.

#![allow(dead_code, reason = "each bench uses the part it needs")]

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A server, on the first core where `taskset` is there.
pub(crate) struct Server {
    process: Child,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> io::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"];
        let pinned = Command::new("taskset").args(["-c", "0", "true"]).status();
        let mut command = if pinned.is_ok_and(|status| status.success()) {
            let mut command = Command::new("taskset");
            command.args(["-c", "0", "redis-server"]);
            command
        } else {
            Command::new("redis-server")
        };
        let command = command.args(quiet).args(["--port", &port.to_string()]);
        let process = command.stdout(Stdio::null()).spawn()?;
        let server = Self { process, port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "redis-server does not start"
            );
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The text of an answer, over a connection of its own.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let answer = || -> io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            let mut request = format!("*{}\r\n", command.len());
            for argument in command {
                request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
            }
            stream.write_all(request.as_bytes())?;
            stream.write_all(b"*1\r\n$4\r\nQUIT\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text.trim_end_matches("+OK\r\n").to_owned())
        };
        answer().expect("the server answers")
    }

    /// The seconds that its main thread has worked.
    pub(crate) fn worked(&self) -> f64 {
        let info = self.ask(&["INFO", "cpu"]);
        field(&info, "used_cpu_user_main_thread") + field(&info, "used_cpu_sys_main_thread")
    }

    /// The commands that it has been sent.
    pub(crate) fn commands(&self) -> f64 {
        // The last ones, about the one before, are two.
        field(&self.ask(&["INFO", "stats"]), "total_commands_processed")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn field(info: &str, name: &str) -> f64 {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|value| value.trim().parse().ok());
    number.expect("a number")
}

/// Puts this process on the second core, where `taskset` is there.
pub(crate) fn pin() -> bool {
    let pinned = Command::new("taskset")
        .args(["-acp", "1", &std::process::id().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    pinned.is_ok_and(|status| status.success())
}

/// The seconds that this thread has worked, where the system says.
pub(crate) fn worked() -> f64 {
    let told = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next();
    let nanos = nanos.and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.map_or(f64::NAN, |nanos| nanos / 1e9)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
