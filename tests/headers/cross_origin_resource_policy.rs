use portcullis::headers::CrossOriginResourcePolicy::{self as Policy, *};

use crate::support::{empty, field};

const VALUES: [(Policy, &str); 3] = [
    (SameOrigin, "same-origin"),
    (SameSite, "same-site"),
    (CrossOrigin, "cross-origin"),
];

#[test]
fn values_are_written_and_read_as_they_are_specified() {
    for (policy, text) in VALUES {
        let layer = empty().cross_origin_resource_policy(policy);
        assert_eq!(field(layer, "cross-origin-resource-policy"), text);
        assert_eq!(text.parse(), Ok(policy));
    }
}

#[test]
fn anything_else_is_refused_with_the_value_and_the_choice() {
    for text in ["", "CROSS-ORIGIN", "same-site,same-origin", "none"] {
        let error = text.parse::<Policy>().unwrap_err();
        assert_eq!(error.setting(), "Cross-Origin-Resource-Policy");
        assert_eq!(error.given(), text);
        assert!(error.to_string().contains("same-site"));
    }
}
