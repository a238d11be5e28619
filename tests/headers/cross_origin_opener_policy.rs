use portcullis::headers::CrossOriginOpenerPolicy::{self as Policy, *};

use crate::support::{empty, field};

const VALUES: [(Policy, &str); 4] = [
    (SameOrigin, "same-origin"),
    (SameOriginAllowPopups, "same-origin-allow-popups"),
    (NoopenerAllowPopups, "noopener-allow-popups"),
    (UnsafeNone, "unsafe-none"),
];

#[test]
fn values_are_written_and_read_as_they_are_specified() {
    for (policy, text) in VALUES {
        let layer = empty().cross_origin_opener_policy(policy);
        assert_eq!(field(layer, "cross-origin-opener-policy"), text);
        assert_eq!(text.parse(), Ok(policy));
    }
}

#[test]
fn anything_else_is_refused_with_the_value_and_the_choice() {
    for text in ["", "SAME-ORIGIN", "same-origin ", "none", "same-site"] {
        let error = text.parse::<Policy>().unwrap_err();
        assert_eq!(error.setting(), "Cross-Origin-Opener-Policy");
        assert_eq!(error.given(), text);
        assert!(error.to_string().contains("same-origin-allow-popups"));
    }
}
