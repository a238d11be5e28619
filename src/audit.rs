//! Who was refused, and why: events for a security log.
//!
//! The names are those of the OWASP Application Logging Vocabulary where it has one. An event holds no
//! token, secret, code or password, and no query string (tokens end up there); what comes from the client
//! is escaped when it is written, so that nobody can forge a line of the log (OWASP ASVS 5.0, 16.2.5 and
//! 16.4.1).

use std::{fmt, net::IpAddr, time::SystemTime};

use http::StatusCode;

/// What happened, in the OWASP Application Logging Vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditKind {
    /// Credentials were presented and not accepted.
    AuthnLoginFail,
    /// A bearer token was missing or not accepted. (The vocabulary names the creation, revocation and
    /// reuse of tokens; this one is formed after them.)
    AuthnTokenFail,
    /// A token that is good once was used twice.
    AuthnTokenReuse,
    /// The party is known and may not do this.
    AuthzFail,
    /// A limit was exceeded.
    ExcessRateLimitExceeded,
    /// The request was not well-formed.
    InputValidationFail,
    /// Something that the check needs (a store, the random generator) failed, and the request was refused
    /// for it. (Formed after the vocabulary's `sys_` events.)
    SysDependencyFail,
}

impl AuditKind {
    /// The name in the vocabulary, which never changes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthnLoginFail => "authn_login_fail",
            Self::AuthnTokenFail => "authn_token_fail",
            Self::AuthnTokenReuse => "authn_token_reuse",
            Self::AuthzFail => "authz_fail",
            Self::ExcessRateLimitExceeded => "excess_rate_limit_exceeded",
            Self::InputValidationFail => "input_validation_fail",
            Self::SysDependencyFail => "sys_dependency_fail",
        }
    }
}

impl fmt::Display for AuditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that happened at the door.
///
/// `Display` writes it as one line of `name=value` pairs in which text from the client is quoted and its
/// control characters are escaped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditEvent<'a> {
    /// What happened.
    pub kind: AuditKind,
    /// When, by the clock of the layer that saw it.
    pub at: SystemTime,
    /// What saw it: [`Guard::NAME`](crate::guard::Guard::NAME) of the layer, such as `jwt`, `rate_limit`,
    /// `https_redirect`.
    pub layer: &'static str,
    /// The stable code of the refusal.
    pub code: &'static str,
    /// The status that was answered.
    pub status: StatusCode,
    /// The request's method.
    pub method: &'a str,
    /// The request's path, without its query, as it came to the layer: within a nested router, without the
    /// router's prefix.
    pub path: &'a str,
    /// The address on the other end of the connection. Behind a proxy it is the proxy's, not the client's:
    /// join the event with the proxy's own log there.
    pub peer: Option<IpAddr>,
    /// The client's address, found by the [`ClientIp`](crate::client_ip::ClientIp) in the request's
    /// extensions, if there is one ([`RefusalsLayer::client_ip`](crate::guard::RefusalsLayer::client_ip)
    /// puts it there) and the address can be determined.
    pub client: Option<IpAddr>,
    /// Who asked, if that was already proven.
    pub subject: Option<&'a str>,
}

impl fmt::Display for AuditEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            layer,
            code,
            status,
            ..
        } = self;
        write!(
            f,
            "event={kind} layer={layer} code={code} status={}",
            status.as_u16()
        )?;
        write!(f, " method={:?} path={:?}", self.method, self.path)?;
        if let Some(peer) = self.peer {
            write!(f, " peer={peer}")?;
        }
        if let Some(client) = self.client {
            write!(f, " client={client}")?;
        }
        self.subject
            .map_or(Ok(()), |subject| write!(f, " subject={subject:?}"))
    }
}

/// Takes events.
///
/// It is called while the request waits: hand the event to a queue if writing it takes time.
///
/// Functions and closures are sinks too. A closure must name the type of its argument, or the compiler finds
/// its "implementation of `FnOnce` is not general enough":
///
/// ```
/// use portcullis::{audit::AuditEvent, guard::RefusalsLayer};
///
/// let for_all = RefusalsLayer::new().with_audit(|event: &AuditEvent<'_>| eprintln!("{event}"));
/// ```
pub trait AuditSink: Send + Sync + 'static {
    /// Takes one event. It must not panic.
    fn record(&self, event: &AuditEvent<'_>);
}

impl<F: Fn(&AuditEvent<'_>) + Send + Sync + 'static> AuditSink for F {
    fn record(&self, event: &AuditEvent<'_>) {
        self(event);
    }
}

/// Drops every event: the sink of a layer that was given no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAudit;

impl AuditSink for NoAudit {
    fn record(&self, _event: &AuditEvent<'_>) {}
}

/// Writes every event to `tracing`, at level `WARN` under the target `portcullis::audit`.
#[cfg(feature = "tracing")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingAudit;

#[cfg(feature = "tracing")]
impl AuditSink for TracingAudit {
    fn record(&self, event: &AuditEvent<'_>) {
        tracing::warn!(
            target: "portcullis::audit",
            event = event.kind.as_str(),
            layer = event.layer,
            code = event.code,
            status = event.status.as_u16(),
            method = ?event.method,
            path = ?event.path,
            peer = event.peer.map(tracing::field::display),
            client = event.client.map(tracing::field::display),
            subject = event.subject.map(tracing::field::debug),
        );
    }
}
