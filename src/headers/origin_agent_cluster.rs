//! `Origin-Agent-Cluster`: whether the browser keeps the origin apart from the rest of its site.

token_header! {
    /// The `Origin-Agent-Cluster` header field (HTML, "Origin-keyed agent clusters").
    OriginAgentCluster = "origin-agent-cluster" {
        /// The origin gets an agent cluster, and where the browser can a process, of its own.
        Keyed = "?1",
        /// The origin shares an agent cluster with its site.
        SiteKeyed = "?0",
    }
}
