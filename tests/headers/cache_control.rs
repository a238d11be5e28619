use portcullis::headers::{CacheControl, SecurityHeadersLayer};

use crate::support::{empty, field, serve};

#[test]
fn values_are_written_as_they_are_specified() {
    for (value, text) in [
        (CacheControl::NoStore, "no-store"),
        (CacheControl::PrivateNoCache, "private, no-cache"),
    ] {
        assert_eq!(field(empty().cache_control(value), "cache-control"), text);
    }
}

#[test]
fn a_handler_may_let_its_answer_be_kept() {
    let headers = serve(
        &SecurityHeadersLayer::api(),
        &[("cache-control", "max-age=60")],
    );
    assert_eq!(headers["cache-control"], "max-age=60");
}
