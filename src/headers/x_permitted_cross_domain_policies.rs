//! `X-Permitted-Cross-Domain-Policies`: whether Adobe clients may load data across domains.

token_header! {
    /// The `X-Permitted-Cross-Domain-Policies` header field (Adobe cross-domain policy file specification).
    XPermittedCrossDomainPolicies = "x-permitted-cross-domain-policies" {
        /// No policy file is honoured.
        None = "none",
        /// Only the master policy file is.
        MasterOnly = "master-only",
        /// Only policy files served as `text/x-cross-domain-policy` are.
        ByContentType = "by-content-type",
        /// Every policy file is.
        All = "all",
    }
}

exact_tokens!(
    XPermittedCrossDomainPolicies,
    "X-Permitted-Cross-Domain-Policies"
);
