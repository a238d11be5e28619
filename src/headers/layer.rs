//! [`SecurityHeadersLayer`].

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_layer::Layer;

use super::{
    CacheControl, ClearSiteData, ContentSecurityPolicy, CrossOriginEmbedderPolicy,
    CrossOriginOpenerPolicy, CrossOriginResourcePolicy, OriginAgentCluster, PermissionsPolicy,
    ReferrerPolicy, ReportingEndpoints, StrictTransportSecurity, XContentTypeOptions,
    XDnsPrefetchControl, XDownloadOptions, XFrameOptions, XPermittedCrossDomainPolicies,
    XXssProtection,
    csp::Template,
    guard::{Plan, SecurityHeadersGuard},
};
use crate::{
    client_ip::RequestScheme,
    guard::{Guarded, Refusals},
    random,
};

/// Room in the ready table for the fields of a response, so that the copy need not be hashed anew.
const SPARE: usize = 8;

/// Sets security headers on every response; see the [module's documentation](crate::headers).
#[derive(Clone, Debug)]
#[must_use]
pub struct SecurityHeadersLayer {
    plan: Arc<Plan>,
}

/// The service of [`SecurityHeadersLayer`].
pub type SecurityHeaders<S> = Guarded<S, SecurityHeadersGuard>;

/// Setters that each replace one header field.
macro_rules! setters {
    ($($(#[$docs:meta])* $method:ident: $value:ty;)+) => {
        $(
            $(#[$docs])*
            pub fn $method(self, value: impl Into<$value>) -> Self {
                self.header(<$value>::NAME, value.into())
            }
        )+
    };
}

impl SecurityHeadersLayer {
    /// A layer that sets nothing and removes nothing, to be told what it shall.
    ///
    /// It is for a route that adds to what a layer outside sets, or is stricter:
    ///
    /// ```
    /// use portcullis::headers::{CacheControl, SecurityHeadersLayer, XFrameOptions};
    ///
    /// // Around the routes of the administration; everything else comes from the layer around all routes.
    /// let stricter = SecurityHeadersLayer::empty()
    ///     .x_frame_options(XFrameOptions::Deny)
    ///     .cache_control(CacheControl::NoStore);
    /// ```
    pub fn empty() -> Self {
        Self {
            plan: Arc::new(Plan {
                headers: HeaderMap::with_capacity(SPARE),
                headers_over_http: None,
                hsts_only_over: None,
                nonced: Vec::new(),
                has_policy: false,
                removed: Vec::new(),
                left_out: Vec::new(),
                refusals: Refusals::new(),
                random: random::fill,
            }),
        }
    }

    setters! {
        /// Replaces `Strict-Transport-Security`.
        strict_transport_security: StrictTransportSecurity;
        /// Replaces `Referrer-Policy`.
        referrer_policy: ReferrerPolicy;
        /// Replaces `Permissions-Policy`.
        permissions_policy: PermissionsPolicy;
        /// Replaces `Cross-Origin-Opener-Policy`.
        cross_origin_opener_policy: CrossOriginOpenerPolicy;
        /// Replaces `Cross-Origin-Embedder-Policy`.
        cross_origin_embedder_policy: CrossOriginEmbedderPolicy;
        /// Replaces `Cross-Origin-Resource-Policy`.
        cross_origin_resource_policy: CrossOriginResourcePolicy;
        /// Replaces `Origin-Agent-Cluster`.
        origin_agent_cluster: OriginAgentCluster;
        /// Replaces `X-Frame-Options`.
        x_frame_options: XFrameOptions;
        /// Replaces `X-Content-Type-Options`.
        x_content_type_options: XContentTypeOptions;
        /// Replaces `X-DNS-Prefetch-Control`.
        x_dns_prefetch_control: XDnsPrefetchControl;
        /// Replaces `X-Download-Options`.
        x_download_options: XDownloadOptions;
        /// Replaces `X-Permitted-Cross-Domain-Policies`.
        x_permitted_cross_domain_policies: XPermittedCrossDomainPolicies;
        /// Replaces `X-XSS-Protection`.
        x_xss_protection: XXssProtection;
        /// Replaces `Cache-Control`.
        cache_control: CacheControl;
        /// Replaces `Clear-Site-Data`: for the layer of a route that signs somebody out.
        clear_site_data: ClearSiteData;
        /// Replaces `Reporting-Endpoints`.
        reporting_endpoints: ReportingEndpoints;
    }

    /// Replaces `Content-Security-Policy`.
    pub fn content_security_policy(self, policy: ContentSecurityPolicy) -> Self {
        self.policy(ContentSecurityPolicy::NAME, &policy)
    }

    /// Replaces `Content-Security-Policy-Report-Only`: a policy that browsers report on and do not enforce,
    /// beside the one that they do.
    pub fn content_security_policy_report_only(self, policy: ContentSecurityPolicy) -> Self {
        self.policy(ContentSecurityPolicy::REPORT_ONLY_NAME, &policy)
    }

    /// Replaces a header field by its name: one that has no setter here.
    ///
    /// ```
    /// use http::{HeaderName, HeaderValue};
    /// use portcullis::headers::SecurityHeadersLayer;
    ///
    /// let name = HeaderName::from_static("x-robots-tag");
    /// let layer = SecurityHeadersLayer::new().header(name, HeaderValue::from_static("noindex"));
    /// ```
    pub fn header(self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        let value = value.into();
        self.change(|plan| {
            plan.forget(&name);
            plan.headers.insert(name, value);
        })
    }

    /// Leaves a header field out, and tells layers outside this one to leave it out too.
    ///
    /// Every header that a preset sets is there for a reason, hence the name. A handler may still set the
    /// field.
    pub fn dangerous_without(self, name: HeaderName) -> Self {
        self.change(|plan| {
            plan.forget(&name);
            plan.headers.remove(&name);
            plan.left_out.push(name);
        })
    }

    /// Sends `Strict-Transport-Security` with answers to requests over HTTPS only, as RFC 6797 section 7.2
    /// has it. Without this it goes out always, and browsers ignore it where it came by HTTP (section 8.1).
    pub fn hsts_only_over(self, scheme: RequestScheme) -> Self {
        self.change(|plan| plan.hsts_only_over = Some(scheme))
    }

    /// Replaces the names of the fields that are taken out of responses: `Server` and `X-Powered-By` in the
    /// presets.
    pub fn removed_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.change(|plan| plan.removed = names.into_iter().collect())
    }

    /// Appends a name to the fields that are taken out of responses.
    pub fn add_removed_header(self, name: HeaderName) -> Self {
        self.change(|plan| plan.removed.push(name))
    }

    refusal_setters!(self => Arc::make_mut(&mut self.plan).refusals);

    /// Plugs in the clock that audit events go by.
    pub fn with_clock(self, clock: impl crate::clock::Clock) -> Self {
        self.change(|plan| plan.refusals.set_clock(clock))
    }

    #[cfg(test)]
    pub(super) fn with_random(
        self,
        random: fn(&mut [u8]) -> Result<(), random::RandomError>,
    ) -> Self {
        self.change(|plan| plan.random = random)
    }

    fn policy(self, name: HeaderName, policy: &ContentSecurityPolicy) -> Self {
        match Template::new(policy) {
            Template::Fixed(value) => self.header(name, value),
            template => self
                .header(name.clone(), Template::placeholder())
                .change(|plan| plan.nonced.push((name, template))),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        let plan = Arc::make_mut(&mut self.plan);
        change(plan);
        plan.headers.reserve(SPARE);
        plan.has_policy = plan.headers.contains_key(ContentSecurityPolicy::NAME);
        plan.headers_over_http = plan.hsts_only_over.is_some().then(|| {
            let mut headers = plan.headers.clone();
            headers.remove(StrictTransportSecurity::NAME);
            headers
        });
        self
    }
}

impl Plan {
    /// Takes back what was said of a name, but for its value.
    fn forget(&mut self, name: &HeaderName) {
        self.nonced.retain(|(known, _)| known != name);
        self.left_out.retain(|known| known != name);
    }
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeaders<S>;

    fn layer(&self, inner: S) -> SecurityHeaders<S> {
        let plan = Arc::clone(&self.plan);
        Guarded::new(inner, SecurityHeadersGuard { plan })
    }
}
