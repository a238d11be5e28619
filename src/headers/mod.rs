//! Security headers on every response: the defaults of helmet 8, stricter presets, and a nonce for each
//! response's Content Security Policy.
//!
//! 1. The headers stand on every response that comes out of the inner service, whatever its status and
//!    whether its body streams, refusals of inner layers included. Put the layer outside of all others.
//! 2. What a handler sets itself stands, with all its values, and is never doubled.
//! 3. A layer inside (on a nested router, on one route) wins over a layer outside, field by field, as a
//!    handler does. What it leaves out by [`SecurityHeadersLayer::dangerous_without`] stays out.
//! 4. A policy that asks for a nonce gets 144 fresh bits for each response, or the request is refused.
//! 5. Values are checked and written out when they are built: a bad one is a
//!    [`ConfigError`](crate::config::ConfigError) with the value and what it should be.
//!
//! [`HttpsRedirectLayer`] sends those who come by HTTP to HTTPS.
//!
//! # Caveats
//!
//! An error of the inner service is no response, so the layer has nothing to put headers on; routers turn
//! errors into responses before they come here. What the HTTP server answers by itself, to requests that it
//! cannot read, never comes here either.
//!
//! A page with a nonce is for one reader, once. A cache that keeps the page, or revalidates it and takes the
//! header fields of the `304` (RFC 9111 section 4.3.4), joins it with another nonce, and its scripts do not
//! run: let such pages say `Cache-Control: no-store`.
//!
//! # Example
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::headers::{ContentSecurityPolicy, SecurityHeadersLayer, XFrameOptions};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = ContentSecurityPolicy::helmet().into_builder()
//!     .img_src(["'self'", "https://images.example"])
//!     .build()?;
//! let layer = SecurityHeadersLayer::new()
//!     .content_security_policy(policy)
//!     .x_frame_options(XFrameOptions::Deny);
//!
//! let page = service_fn(async |_: Request<()>| {
//!     Response::builder().header("referrer-policy", "same-origin").body(String::from("hello"))
//! });
//! let response = layer.layer(page).oneshot(Request::new(())).await?;
//! assert_eq!(response.headers()["x-frame-options"], "DENY");
//! assert_eq!(response.headers()["x-content-type-options"], "nosniff");
//! assert_eq!(response.headers()["referrer-policy"], "same-origin", "the handler's own");
//! # Ok(())
//! # }
//! ```

#[macro_use]
mod token;
mod cache_control;
mod clear_site_data;
mod cross_origin_embedder_policy;
mod cross_origin_opener_policy;
mod cross_origin_resource_policy;
mod csp;
mod guard;
mod host;
mod https_redirect;
mod layer;
mod merge;
mod origin_agent_cluster;
mod permissions_policy;
mod presets;
mod referrer_policy;
mod reporting_endpoints;
mod strict_transport_security;
mod structured;
mod x_content_type_options;
mod x_dns_prefetch_control;
mod x_download_options;
mod x_frame_options;
mod x_permitted_cross_domain_policies;
mod x_xss_protection;

pub use self::{
    cache_control::CacheControl,
    clear_site_data::{ClearSiteData, SiteData},
    cross_origin_embedder_policy::CrossOriginEmbedderPolicy,
    cross_origin_opener_policy::CrossOriginOpenerPolicy,
    cross_origin_resource_policy::CrossOriginResourcePolicy,
    csp::{ContentSecurityPolicy, ContentSecurityPolicyBuilder, CspNonce, Source},
    guard::{SecurityHeadersGuard, SecurityHeadersPass},
    https_redirect::{
        HttpsRedirect, HttpsRedirectError, HttpsRedirectErrorKind, HttpsRedirectGuard,
        HttpsRedirectLayer,
    },
    layer::{SecurityHeaders, SecurityHeadersLayer},
    origin_agent_cluster::OriginAgentCluster,
    permissions_policy::{
        PermissionsAllow, PermissionsFeature, PermissionsPolicy, PermissionsPolicyBuilder,
    },
    referrer_policy::{Referrer, ReferrerPolicy},
    reporting_endpoints::ReportingEndpoints,
    strict_transport_security::StrictTransportSecurity,
    x_content_type_options::XContentTypeOptions,
    x_dns_prefetch_control::XDnsPrefetchControl,
    x_download_options::XDownloadOptions,
    x_frame_options::XFrameOptions,
    x_permitted_cross_domain_policies::XPermittedCrossDomainPolicies,
    x_xss_protection::XXssProtection,
};
