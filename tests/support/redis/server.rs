//! [`RedisServer`]: one process.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    eventually,
    port::Port,
    tls::Tls,
    wire::{self, Answer},
};

/// Among a server's options: a port of its own.
pub(crate) const A_PORT: &str = "a port";

/// A `redis-server` of its own, empty, on a free port of the loopback interface.
pub(crate) struct RedisServer {
    /// With ports, once it is launched.
    options: Vec<String>,
    arguments: Vec<String>,
    password: Option<String>,
    port: u16,
    tls: Option<(Tls, u16)>,
    /// Nobody else's as long as the server is there, also while it does not run.
    ports: Vec<Port>,
    folder: PathBuf,
    process: Option<Process>,
}

/// The shell that started the server. When its standard input is closed, by a drop or by the end of this
/// process, however it ends, it kills the server and removes the folder, unless it is told to keep that.
struct Process {
    shell: Child,
    pid: u32,
}

const START: &str = r#"
trap '' HUP INT QUIT TERM
redis-server "$@" </dev/null >"$FOLDER/log" 2>&1 &
server=$!
echo "$server"
read -r keep
kill -KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
[ -n "$keep" ] || rm -rf "$FOLDER"
"#;

impl RedisServer {
    /// A server without persistence, ready to answer.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that asks its default user for a password.
    pub(crate) fn start_with_password(password: &str) -> Self {
        let mut server = Self::new(&["--requirepass", password, "--masterauth", password]);
        server.password = Some(password.to_owned());
        server.launch();
        server
    }

    /// A server with these options besides.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let mut server = Self::new(options);
        server.launch();
        server
    }

    /// A server with these options that asks its default user for this password, and listens for TLS as well.
    pub(crate) fn start_guarded(options: &[&str], password: &str, tls: &Tls) -> Self {
        let mut server = Self::new(options);
        for option in ["--requirepass", password, "--masterauth", password] {
            server.options.push(option.to_owned());
        }
        server.guard(password, tls);
        server
    }

    fn guard(&mut self, password: &str, tls: &Tls) {
        self.password = Some(password.to_owned());
        self.tls = Some((tls.clone(), 0));
        self.launch();
    }

    fn new(options: &[&str]) -> Self {
        Self {
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            arguments: Vec::new(),
            password: None,
            port: 0,
            tls: None,
            ports: Vec::new(),
            folder: new_folder(),
            process: None,
        }
    }

    /// A Sentinel, which takes its configuration from a file that it also writes.
    pub(super) fn start_sentinel(configuration: &str) -> Self {
        let mut server = Self::new_sentinel(configuration);
        server.launch();
        server
    }

    /// A Sentinel that asks for this password, which is in its configuration too, and listens for TLS as well.
    pub(super) fn start_guarded_sentinel(configuration: &str, password: &str, tls: &Tls) -> Self {
        let mut server = Self::new_sentinel(configuration);
        server.guard(password, tls);
        server
    }

    fn new_sentinel(configuration: &str) -> Self {
        let mut server = Self::new(&[]);
        let file = server.folder.join("sentinel.conf");
        fs::write(&file, configuration).unwrap();
        server.options = vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()];
        server
    }

    fn launch(&mut self) {
        for _ in 0..10 {
            // Free now; if somebody who is no server of these tests takes one meanwhile, then others.
            let ports = &mut self.ports;
            ports.clear();
            let mut another = || {
                ports.push(Port::take());
                ports[ports.len() - 1].number()
            };
            self.port = another();
            if let Some((_, port)) = &mut self.tls {
                *port = another();
            }
            let with_ports = self.options.iter().map(|option| match option.as_str() {
                A_PORT => another().to_string(),
                _ => option.clone(),
            });
            self.arguments = with_ports.collect();
            if self.try_launch() {
                return;
            }
        }
        panic!("redis-server does not start: {}", self.log());
    }

    fn try_launch(&mut self) -> bool {
        let installed = Command::new("sh")
            .args(["-c", "command -v redis-server"])
            .stdout(Stdio::null())
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()),
            "this test starts redis-server, which is not installed: run tests/run.sh, or install the package \
             `redis-server` (Debian, Ubuntu: sudo apt-get install redis-server)"
        );
        let (port, folder) = (self.port.to_string(), self.folder.clone());
        let folder = folder.to_str().unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", START, "sh"])
            // The options' file comes first, if there is one.
            .args(&self.arguments)
            .args(self.tls.iter().flat_map(|(tls, port)| tls.options(*port)))
            .args(["--bind", "127.0.0.1", "--port", &port, "--dir", folder])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .env("FOLDER", &self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut pid)
            .unwrap();
        let pid = pid.trim().parse().unwrap();
        self.process = Some(Process { shell, pid });
        let ready = eventually("redis-server answers or ends", || {
            if !is_alive(pid) {
                return Some(false);
            }
            let Ok(Answer::Text(_)) = self.try_command(&["PING"]) else {
                return None;
            };
            // Whoever answers on that port must be this one.
            let answer = self.try_command(&["INFO", "server"]).ok()?;
            Some(answer.field("process_id")? == pid.to_string())
        });
        if !ready {
            self.kill();
        }
        ready
    }

    /// The port that it was given for an option.
    pub(crate) fn port_of(&self, option: &str) -> u16 {
        let mut arguments = self.arguments.iter();
        arguments.find(|argument| *argument == option);
        let port = arguments.next().expect("an option with a port");
        port.parse().expect("a port")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn listens_on(&self, port: u16) -> bool {
        self.port == port || self.tls.as_ref().is_some_and(|(_, own)| *own == port)
    }

    /// The port it listens for TLS on.
    pub(crate) fn tls_port(&self) -> u16 {
        self.tls.as_ref().expect("it listens for TLS").1
    }

    /// `rediss://<login>@127.0.0.1:<port>`.
    pub(crate) fn tls_url(&self, login: &str) -> String {
        format!("rediss://{login}@127.0.0.1:{}", self.tls_port())
    }

    /// `redis://127.0.0.1:<port>`, with the password if it has one.
    pub(crate) fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Asks the server something, apart from the connections under test.
    pub(crate) fn command(&self, command: &[&str]) -> Answer {
        match self.try_command(command) {
            Ok(Answer::Error(error)) => panic!("{command:?}: {error}"),
            Ok(answer) => answer,
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    pub(crate) fn try_command(&self, command: &[&str]) -> std::io::Result<Answer> {
        wire::ask(self.port, self.password.as_deref(), command)
    }

    /// Ends the process at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let stdin = process.shell.stdin.take();
            let _ = stdin.expect("it is piped").write_all(b"keep\n");
            let _ = process.shell.wait();
        }
    }

    /// Starts it again, empty, on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        eventually("the same port again", || self.try_launch().then_some(()));
    }

    /// Stops the process where it stands: connections stay open and nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
        let pid = self.process.as_ref().expect("the server runs").pid;
        eventually("the server stands", || {
            state(pid)
                .is_none_or(|state| state.starts_with('T'))
                .then_some(())
        });
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("the server runs");
        let kill = format!("kill -{signal} {}", process.pid);
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    /// All its keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.command(&["KEYS", "*"]);
        keys.list()
            .iter()
            .map(|key| key.text().to_owned())
            .collect()
    }

    /// Fails if there is no key at all, or one that stays for ever.
    pub(crate) fn assert_every_key_expires(&self) {
        let keys = self.keys();
        assert!(!keys.is_empty(), "nothing was written");
        for key in keys {
            // -2: it has expired since. -1: it never does.
            let left = self.command(&["PTTL", &key]).number();
            assert!(left >= 0 || left == -2, "{key} has no expiry");
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn new_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("redis-{}-{count}", std::process::id());
    // The library's own tests are given no folder.
    let base = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether the process runs. One that has ended stays in the table of processes until its shell asks for it,
/// and is not alive for that: somebody else may be answering on its port.
fn is_alive(pid: u32) -> bool {
    if let Some(state) = state(pid) {
        return !state.starts_with(['Z', 'X']);
    }
    let alive = format!("kill -0 {pid} 2>/dev/null");
    Command::new("sh")
        .args(["-c", &alive])
        .status()
        .is_ok_and(|status| status.success())
}

/// What a process does, as `proc_pid_stat(5)` has it, where the system tells.
fn state(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(status.rsplit(") ").next()?.to_owned())
}
