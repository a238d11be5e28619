use portcullis::headers::OriginAgentCluster;

use crate::support::{empty, field};

#[test]
fn it_is_a_boolean_of_structured_fields() {
    for (value, text) in [
        (OriginAgentCluster::Keyed, "?1"),
        (OriginAgentCluster::SiteKeyed, "?0"),
    ] {
        let layer = empty().origin_agent_cluster(value);
        assert_eq!(field(layer, "origin-agent-cluster"), text);
    }
}
