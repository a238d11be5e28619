//! What becomes known of a delivery after it went to the handler.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use http::{Method, StatusCode, Uri};

use super::layer::NAME;
use crate::{
    audit::{AuditEvent, AuditKind, AuditSink},
    client_ip::{self, ClientIp},
    guard::Refusals,
    head::RequestHead,
    principal::Principal,
};

/// What an event tells of a request, kept until there is one. Only made where there is a sink to tell.
pub(super) struct Witness {
    sink: Arc<dyn AuditSink>,
    method: Method,
    uri: Uri,
    peer: Option<IpAddr>,
    client: Option<IpAddr>,
    subject: Option<Principal>,
}

impl Witness {
    pub(super) fn of(refusals: &Refusals, request: RequestHead<'_>) -> Option<Box<Self>> {
        let sink = refusals.audit_of(request)?;
        let extensions = request.extensions();
        let client = extensions.get::<ClientIp>();
        Some(Box::new(Self {
            sink,
            method: request.method().clone(),
            uri: request.uri().clone(),
            peer: client_ip::peer_addr(extensions).map(|peer| peer.ip()),
            client: client.and_then(|strategy| strategy.resolve(request).ok()),
            subject: extensions.get::<Principal>().cloned(),
        }))
    }

    pub(super) fn tell(&self, at: SystemTime, code: &'static str, status: StatusCode) {
        self.sink.record(&AuditEvent {
            kind: AuditKind::SysDependencyFail,
            at,
            layer: NAME,
            code,
            status,
            method: self.method.as_str(),
            path: self.uri.path(),
            peer: self.peer,
            client: self.client,
            subject: self.subject.as_ref().map(Principal::subject),
        });
    }
}
