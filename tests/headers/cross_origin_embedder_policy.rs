use portcullis::headers::CrossOriginEmbedderPolicy::{self as Policy, *};

use crate::support::{empty, field};

const VALUES: [(Policy, &str); 3] = [
    (RequireCorp, "require-corp"),
    (Credentialless, "credentialless"),
    (UnsafeNone, "unsafe-none"),
];

#[test]
fn values_are_written_and_read_as_they_are_specified() {
    for (policy, text) in VALUES {
        let layer = empty().cross_origin_embedder_policy(policy);
        assert_eq!(field(layer, "cross-origin-embedder-policy"), text);
        assert_eq!(text.parse(), Ok(policy));
    }
}

#[test]
fn anything_else_is_refused_with_the_value_and_the_choice() {
    for text in ["", "REQUIRE-CORP", " credentialless", "same-origin"] {
        let error = text.parse::<Policy>().unwrap_err();
        assert_eq!(error.setting(), "Cross-Origin-Embedder-Policy");
        assert_eq!(error.given(), text);
        assert!(error.to_string().contains("credentialless"));
    }
}
