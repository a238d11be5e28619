//! The presets of [`SecurityHeadersLayer`].

use http::{HeaderName, header::SERVER};

use super::{
    CacheControl, ContentSecurityPolicy, CrossOriginEmbedderPolicy, CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy, OriginAgentCluster, PermissionsPolicy, Referrer,
    SecurityHeadersLayer, StrictTransportSecurity, XContentTypeOptions, XDnsPrefetchControl,
    XDownloadOptions, XFrameOptions, XPermittedCrossDomainPolicies, XXssProtection,
};

const X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");

impl SecurityHeadersLayer {
    /// The preset [`SecurityHeadersLayer::helmet`].
    pub fn new() -> Self {
        Self::helmet()
    }

    /// The defaults of helmet 8: good for most sites, and broken by few.
    ///
    /// | field | value |
    /// |---|---|
    /// | `Content-Security-Policy` | [`ContentSecurityPolicy::helmet`] |
    /// | `Cross-Origin-Opener-Policy` | `same-origin` |
    /// | `Cross-Origin-Resource-Policy` | `same-origin` |
    /// | `Origin-Agent-Cluster` | `?1` |
    /// | `Referrer-Policy` | `no-referrer` |
    /// | `Strict-Transport-Security` | `max-age=31536000; includeSubDomains` |
    /// | `X-Content-Type-Options` | `nosniff` |
    /// | `X-DNS-Prefetch-Control` | `off` |
    /// | `X-Download-Options` | `noopen` |
    /// | `X-Frame-Options` | `SAMEORIGIN` |
    /// | `X-Permitted-Cross-Domain-Policies` | `none` |
    /// | `X-XSS-Protection` | `0` |
    /// | `Server`, `X-Powered-By` | taken out |
    pub fn helmet() -> Self {
        Self::empty()
            .removed_headers([SERVER, X_POWERED_BY])
            .content_security_policy(ContentSecurityPolicy::helmet())
            .cross_origin_opener_policy(CrossOriginOpenerPolicy::SameOrigin)
            .cross_origin_resource_policy(CrossOriginResourcePolicy::SameOrigin)
            .origin_agent_cluster(OriginAgentCluster::Keyed)
            .referrer_policy(Referrer::NoReferrer)
            .strict_transport_security(StrictTransportSecurity::HELMET)
            .x_content_type_options(XContentTypeOptions::NoSniff)
            .x_dns_prefetch_control(XDnsPrefetchControl::Off)
            .x_download_options(XDownloadOptions::NoOpen)
            .x_frame_options(XFrameOptions::SameOrigin)
            .x_permitted_cross_domain_policies(XPermittedCrossDomainPolicies::None)
            .x_xss_protection(XXssProtection::Off)
    }

    /// What a new site should begin with: MDN HTTP Observatory's best mark and OWASP ASVS 5.0 section 3.4.
    ///
    /// Over [`SecurityHeadersLayer::helmet`] it has [`ContentSecurityPolicy::strict`], whose scripts need the
    /// nonce of the response ([`CspNonce`](super::CspNonce)); `Strict-Transport-Security` of two years with
    /// subdomains (whether to ask for preloading is yours to say);
    /// `Cross-Origin-Embedder-Policy: require-corp`; [`PermissionsPolicy::deny_powerful`]; and
    /// `X-Frame-Options: DENY`. Where violations are reported to (ASVS 3.4.7) only you can say: give the policy
    /// a `report_to`, and the layer the [`ReportingEndpoints`](super::ReportingEndpoints).
    pub fn strict() -> Self {
        Self::helmet()
            .content_security_policy(ContentSecurityPolicy::strict())
            .strict_transport_security(StrictTransportSecurity::TWO_YEARS)
            .cross_origin_embedder_policy(CrossOriginEmbedderPolicy::RequireCorp)
            .permissions_policy(PermissionsPolicy::deny_powerful())
            .x_frame_options(XFrameOptions::Deny)
    }

    /// For services that answer with data, not pages (OWASP REST Security Cheat Sheet).
    ///
    /// | field | value |
    /// |---|---|
    /// | `Cache-Control` | `no-store` |
    /// | `Content-Security-Policy` | `default-src 'none';frame-ancestors 'none'` |
    /// | `Cross-Origin-Resource-Policy` | `same-origin` |
    /// | `Referrer-Policy` | `no-referrer` |
    /// | `Strict-Transport-Security` | `max-age=63072000; includeSubDomains` |
    /// | `X-Content-Type-Options` | `nosniff` |
    /// | `X-Frame-Options` | `DENY` |
    /// | `Server`, `X-Powered-By` | taken out |
    pub fn api() -> Self {
        Self::empty()
            .removed_headers([SERVER, X_POWERED_BY])
            .cache_control(CacheControl::NoStore)
            .content_security_policy(ContentSecurityPolicy::api())
            .cross_origin_resource_policy(CrossOriginResourcePolicy::SameOrigin)
            .referrer_policy(Referrer::NoReferrer)
            .strict_transport_security(StrictTransportSecurity::TWO_YEARS)
            .x_content_type_options(XContentTypeOptions::NoSniff)
            .x_frame_options(XFrameOptions::Deny)
    }
}

/// [`SecurityHeadersLayer::helmet`].
impl Default for SecurityHeadersLayer {
    fn default() -> Self {
        Self::new()
    }
}
