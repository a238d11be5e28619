//! Security headers, through the front door: one file a header, then what the layer makes of them.

#![cfg(feature = "headers")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps in a helper is still a test"
)]

mod support;

mod cache_control;
mod clear_site_data;
mod content_security_policy;
mod cross_origin_embedder_policy;
mod cross_origin_opener_policy;
mod cross_origin_resource_policy;
mod origin_agent_cluster;
mod permissions_policy;
mod referrer_policy;
mod reporting_endpoints;
mod strict_transport_security;
mod x_content_type_options;
mod x_dns_prefetch_control;
mod x_download_options;
mod x_frame_options;
mod x_permitted_cross_domain_policies;
mod x_xss_protection;

mod allocations;
mod https_redirect;
mod merging;
mod nonce;
mod presets;
mod properties;
mod routing;
mod sockets;
