//! [`RedisCluster`]: three masters, each with a replica.

use super::{A_PORT, RedisServer, Tls, eventually};

const MASTERS: usize = 3;

/// After how many milliseconds without an answer a node is taken for dead, when one is to die.
const QUICK: &str = "2000";
/// And until then: a machine that is busy must not make replicas take over that nobody asked.
const PATIENT: &str = "60000";

pub(crate) struct RedisCluster {
    /// Three masters, then the replica of each, as it was at the start.
    pub(crate) nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// A Cluster that serves all slots, and whose replicas can take over.
    pub(crate) fn start() -> Self {
        Self::of(
            || RedisServer::start_with(&as_strs(&options())),
            RedisServer::port,
        )
    }

    /// The same, of nodes that talk TLS, ask their default user for a password, and have these users besides
    /// (as in Redis' `user` directive).
    pub(crate) fn start_guarded(users: &[&str], password: &str, tls: &Tls) -> Self {
        let node = || {
            let options = [options(), user_options(users)].concat();
            RedisServer::start_guarded(&as_strs(&options), password, tls)
        };
        Self::of(node, RedisServer::tls_port)
    }

    /// `meet`: the port by which nodes know each other.
    fn of(start: impl Fn() -> RedisServer, meet: impl Fn(&RedisServer) -> u16) -> Self {
        let nodes: Vec<_> = (0..2 * MASTERS).map(|_| start()).collect();
        for (index, node) in nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        let bounds = [0, 5_461, 10_923, 16_384];
        for (index, master) in nodes[..MASTERS].iter().enumerate() {
            let (first, last) = (
                bounds[index].to_string(),
                (bounds[index + 1] - 1).to_string(),
            );
            master.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        for node in &nodes[1..] {
            let (port, bus) = (
                meet(node).to_string(),
                node.port_of("--cluster-port").to_string(),
            );
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let ids: Vec<_> = nodes
            .iter()
            .map(|node| node.command(&["CLUSTER", "MYID"]).text().to_owned())
            .collect();
        let all_know = |node: &RedisServer| {
            let known = node.command(&["CLUSTER", "NODES"]);
            ids.iter().all(|id| {
                known
                    .text()
                    .lines()
                    .any(|line| line.starts_with(id) && !line.contains("handshake"))
            })
        };
        for node in &nodes {
            eventually("all nodes of the Cluster know each other", || {
                all_know(node).then_some(())
            });
        }
        for (master, replica) in ids[..MASTERS].iter().zip(&nodes[MASTERS..]) {
            eventually("a replica takes its master", || {
                let answer = replica.try_command(&["CLUSTER", "REPLICATE", master]);
                matches!(answer, Ok(super::Answer::Text(_))).then_some(())
            });
        }
        for node in &nodes {
            eventually("the Cluster is whole", || {
                let state = node.command(&["CLUSTER", "INFO"]).field("cluster_state");
                (state.as_deref() == Some("ok")).then_some(())
            });
        }
        for replica in &nodes[MASTERS..] {
            eventually("a replica is in step", || {
                let link = replica
                    .command(&["INFO", "replication"])
                    .field("master_link_status");
                (link.as_deref() == Some("up")).then_some(())
            });
        }
        // Every node has heard which of the others are replicas.
        for node in &nodes {
            eventually("all nodes know who is a replica", || {
                let known = node.command(&["CLUSTER", "NODES"]);
                let replicas = known.text().lines().filter(|line| line.contains("slave"));
                (replicas.count() == MASTERS).then_some(())
            });
        }
        let cluster = Self { nodes };
        cluster.takes_for_dead_after(PATIENT);
        cluster
    }

    /// Kills a node, and has the others notice soon.
    pub(crate) fn kill(&mut self, node: usize) {
        self.takes_for_dead_after(QUICK);
        self.nodes[node].kill();
    }

    fn takes_for_dead_after(&self, millis: &str) {
        for node in &self.nodes {
            // Not of those that are dead themselves.
            let _ = node.try_command(&["CONFIG", "SET", "cluster-node-timeout", millis]);
        }
    }

    /// The URLs of all its nodes.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// Which of the nodes is the master of a key's slot.
    pub(crate) fn master_of(&self, key: &str) -> usize {
        let alive = |node: &&RedisServer| node.try_command(&["PING"]).is_ok();
        let node = self.nodes.iter().find(alive).expect("a node is alive");
        let slot = node.command(&["CLUSTER", "KEYSLOT", key]).number();
        for range in node.command(&["CLUSTER", "SLOTS"]).list() {
            let range = range.list();
            if (range[0].number()..=range[1].number()).contains(&slot) {
                let port = range[2].list()[1].number();
                let of_port = |node: &RedisServer| i64::from(node.port()) == port;
                return self.nodes.iter().position(of_port).expect("a node of ours");
            }
        }
        panic!("slot {slot} has no master");
    }

    /// All keys of all masters, and that each expires.
    pub(crate) fn assert_every_key_expires(&self) {
        let mut written = 0;
        for node in &self.nodes {
            let Ok(role) = node.try_command(&["ROLE"]) else {
                continue;
            };
            if role.list()[0].text() == "master" && !node.keys().is_empty() {
                node.assert_every_key_expires();
                written += 1;
            }
        }
        assert!(written > 0, "nothing was written");
    }
}

fn options() -> Vec<String> {
    let options = [
        "--cluster-enabled",
        "yes",
        // It would be 10,000 ports up otherwise, which may be out of range or taken.
        "--cluster-port",
        A_PORT,
        "--cluster-node-timeout",
        QUICK,
        // A slot without a master is no reason for the others to stop serving theirs.
        "--cluster-require-full-coverage",
        "no",
        "--cluster-replica-validity-factor",
        "0",
        "--repl-diskless-sync-delay",
        "0",
    ];
    options.into_iter().map(str::to_owned).collect()
}

/// Options for users, each as in Redis' `user` directive.
pub(super) fn user_options(users: &[&str]) -> Vec<String> {
    let words = |user: &&str| {
        let rules = user.split(' ').map(str::to_owned);
        std::iter::once("--user".to_owned())
            .chain(rules)
            .collect::<Vec<_>>()
    };
    users.iter().flat_map(words).collect()
}

pub(super) fn as_strs(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}
