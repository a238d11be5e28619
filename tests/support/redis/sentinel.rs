//! [`RedisSentinels`]: a master, its replica, and three Sentinels that watch them.

use super::{
    RedisServer, Tls,
    cluster::{as_strs, user_options},
    eventually,
};

/// After how many milliseconds without an answer the master is taken for dead, when it is to die.
const QUICK: &str = "1000";
/// And until then: a machine that is busy must not make for a failover that nobody asked for.
const PATIENT: &str = "60000";

pub(crate) struct RedisSentinels {
    /// The master and its replica, as they were at the start.
    pub(crate) nodes: Vec<RedisServer>,
    pub(crate) sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// The name under which the Sentinels know the master.
    pub(crate) const MASTER: &str = "main";

    /// Sentinels that agree, and a replica that can take over.
    pub(crate) fn start() -> Self {
        let master = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
        let port = master.port().to_string();
        let replica = RedisServer::start_with(&[
            "--replicaof",
            &format!("127.0.0.1 {port}"),
            "--repl-diskless-sync-delay",
            "0",
        ]);
        is_in_step(&replica);
        let configuration = configuration(master.port());
        let start = || RedisServer::start_sentinel(&configuration);
        Self::of([master, replica], start)
    }

    /// The same, all of which talk TLS. Nodes ask their default user for one password and have these users
    /// besides (as in Redis' `user` directive); Sentinels ask for another password.
    pub(crate) fn start_guarded(users: &[&str], of_nodes: &str, own: &str, tls: &Tls) -> Self {
        let common = ["--repl-diskless-sync-delay", "0"].map(str::to_owned);
        let options = [common.to_vec(), user_options(users)].concat();
        let master = RedisServer::start_guarded(&as_strs(&options), of_nodes, tls);
        let replicate = format!("127.0.0.1 {}", master.tls_port());
        let options = [options, vec!["--replicaof".to_owned(), replicate]].concat();
        let replica = RedisServer::start_guarded(&as_strs(&options), of_nodes, tls);
        is_in_step(&replica);
        let name = Self::MASTER;
        let configuration = format!(
            "{}sentinel auth-pass {name} {of_nodes}\n\
             sentinel sentinel-pass {own}\n\
             requirepass {own}\n",
            configuration(master.tls_port())
        );
        let start = || RedisServer::start_guarded_sentinel(&configuration, own, tls);
        Self::of([master, replica], start)
    }

    fn of(nodes: [RedisServer; 2], start: impl Fn() -> RedisServer) -> Self {
        let name = Self::MASTER;
        let sentinels: Vec<_> = (0..3).map(|_| start()).collect();
        for sentinel in &sentinels {
            eventually("the Sentinels know each other and the replica", || {
                let known = sentinel.command(&["SENTINEL", "MASTER", name]);
                let others = known.field("num-other-sentinels")?;
                let replicas = known.field("num-slaves")?;
                let flags = known.field("flags")?;
                (others == "2" && replicas == "1" && flags == "master").then_some(())
            });
        }
        Self {
            nodes: nodes.into(),
            sentinels,
        }
    }

    /// The URLs of the Sentinels.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// Kills the master, and waits until the Sentinels have made the replica the new one.
    pub(crate) fn fail_over(&mut self) {
        let port = self.master_port();
        let of_port = |node: &RedisServer| node.listens_on(port);
        let master = self.nodes.iter().position(of_port).expect("one of ours");
        self.watch_closely();
        self.nodes[master].kill();
        eventually("another master", || {
            (self.master_port() != port).then_some(())
        });
    }

    /// From now on a master that does not answer is replaced soon.
    pub(crate) fn watch_closely(&self) {
        let option = ["down-after-milliseconds", QUICK];
        for sentinel in &self.sentinels {
            sentinel.command(&["SENTINEL", "SET", Self::MASTER, option[0], option[1]]);
        }
    }

    /// The master's port, as the first Sentinel sees it.
    pub(crate) fn master_port(&self) -> u16 {
        let address =
            self.sentinels[0].command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER]);
        address.list()[1].text().parse().expect("a port")
    }
}

fn is_in_step(replica: &RedisServer) {
    eventually("the replica is in step", || {
        let link = replica
            .command(&["INFO", "replication"])
            .field("master_link_status");
        (link.as_deref() == Some("up")).then_some(())
    });
}

fn configuration(port: u16) -> String {
    let name = RedisSentinels::MASTER;
    format!(
        "sentinel monitor {name} 127.0.0.1 {port} 2\n\
         sentinel down-after-milliseconds {name} {PATIENT}\n\
         sentinel failover-timeout {name} 3000\n\
         sentinel parallel-syncs {name} 1\n"
    )
}
