use portcullis::headers::XPermittedCrossDomainPolicies as Policies;

use crate::support::{empty, field};

const VALUES: [(Policies, &str); 4] = [
    (Policies::None, "none"),
    (Policies::MasterOnly, "master-only"),
    (Policies::ByContentType, "by-content-type"),
    (Policies::All, "all"),
];

#[test]
fn values_are_written_and_read_as_they_are_specified() {
    for (policies, text) in VALUES {
        let layer = empty().x_permitted_cross_domain_policies(policies);
        assert_eq!(field(layer, "x-permitted-cross-domain-policies"), text);
        assert_eq!(text.parse(), Ok(policies));
    }
}

#[test]
fn anything_else_is_refused_with_the_value_and_the_choice() {
    for text in ["", "NONE", "by-ftp-filename"] {
        let error = text.parse::<Policies>().unwrap_err();
        assert_eq!(error.setting(), "X-Permitted-Cross-Domain-Policies");
        assert_eq!(error.given(), text);
        assert!(error.to_string().contains("master-only"));
    }
}
