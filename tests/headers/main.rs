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

/// A header field lives in `src/headers/<name>.rs`, is declared by its `NAME`, and has
/// `tests/headers/<name>.rs`; a setter of the layer takes it.
#[test]
fn every_header_field_has_its_test_and_its_setter() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let layer = std::fs::read_to_string(root.join("src/headers/layer.rs")).unwrap();
    let mut fields = 0;
    for entry in std::fs::read_dir(root.join("src/headers")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        if text.contains("\ntoken_header!") || text.contains("pub const NAME: HeaderName") {
            fields += 1;
            let file = path.file_name().unwrap();
            let test = root.join("tests/headers").join(file);
            assert!(test.exists(), "{} is missing", test.display());
            let setter = path.file_stem().unwrap().to_str().unwrap();
            assert!(
                layer.contains(&format!("        {setter}: ")),
                "no {setter} in the layer"
            );
        }
    }
    assert!(fields > 10, "only {fields} header fields were found");
}
