//! [`Reading`]: a body on its way in, hashed as it comes, under a limit and a deadline.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};

use super::{
    body::Collected,
    check::{State as Check, at_once},
    claim::Held,
    error::WebhookErrorKind,
    received::Received,
    service::Pending,
    verified::VerifiedWebhook,
    witness::Witness,
};
use crate::head::RequestHead;

/// How many frames are taken before others get the thread: a body of empty ones comes to no limit.
const MOST_AT_ONCE: usize = 256;

/// A delivery whose body is not there yet.
pub(super) struct Reading<S> {
    pending: Pending<S>,
    begun: Option<Begun>,
    /// Only for a body of several frames: one frame is hashed when it is known to be all.
    check: Option<Box<Check>>,
    collected: Collected,
    /// Only for a body that had to be waited for.
    timer: Option<Timer>,
}

/// What the head was found to say when the body was first asked for.
#[derive(Clone, Copy)]
struct Begun {
    at: SystemTime,
    timestamp: Option<SystemTime>,
}

/// A genuine delivery.
pub(super) struct Genuine {
    pub(super) webhook: VerifiedWebhook,
    pub(super) trailers: Option<HeaderMap>,
    /// What is to be claimed for it, if deliveries are remembered.
    pub(super) held: Option<Held>,
    /// The time by which it was there.
    pub(super) at: SystemTime,
}

impl<S> Reading<S> {
    pub(super) fn new(pending: Pending<S>) -> Self {
        Self {
            pending,
            begun: None,
            check: None,
            collected: Collected::default(),
            timer: None,
        }
    }

    pub(super) fn into_pending(self) -> Pending<S> {
        self.pending
    }

    /// Takes what comes until the body ends, and decides.
    pub(super) fn poll<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Genuine, WebhookErrorKind>> {
        let Self {
            pending,
            begun,
            check,
            collected,
            timer,
        } = self;
        let (shared, parts) = (&pending.shared, &pending.parts);
        let keys = shared.verifier.keys();
        let now = shared.refusals.now();
        if begun.is_none() && body.size_hint().lower() > shared.limit {
            return Poll::Ready(Err(WebhookErrorKind::BodyTooLarge));
        }
        // Borrowed from the head, so read again where the body was waited for.
        let received = Received::read(&keys.scheme, &parts.headers, parts.uri.query())?;
        let begun = match begun {
            Some(begun) => *begun,
            None => {
                let timestamp = received.time(&keys.scheme, now)?;
                *begun.insert(Begun { at: now, timestamp })
            }
        };
        let taken = now.duration_since(begun.at).unwrap_or_default();
        if taken > shared.body_time {
            return Poll::Ready(Err(WebhookErrorKind::BodyTooSlow));
        }
        let mut frames = 0;
        loop {
            if frames == MOST_AT_ONCE {
                // The time that it has is looked at when it goes on.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            frames += 1;
            let frame = match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(frame)) => frame,
                Poll::Ready(None) => break,
                Poll::Pending => {
                    let timer = timer.get_or_insert_with(|| Timer::new(shared.body_time - taken));
                    return timer.poll(cx).map(|()| Err(WebhookErrorKind::BodyTooSlow));
                }
            };
            let frame = frame.map_err(|_| WebhookErrorKind::BodyUnreadable)?;
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    let length = collected.length().saturating_add(data.len() as u64);
                    if length > shared.limit {
                        return Poll::Ready(Err(WebhookErrorKind::BodyTooLarge));
                    }
                    if let Some(first) = collected.only().filter(|_| check.is_none()) {
                        check.insert(Box::default()).update(keys, &received, first);
                    }
                    if let Some(check) = check {
                        check.update(keys, &received, &data);
                    }
                    collected.push(data);
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        collected.end(trailers);
                    }
                }
            }
        }
        let (content, trailers) = mem::take(collected).finish(keys.needs_whole_body());
        let only = match content.pieces() {
            [only] => only,
            _ => &Bytes::new(),
        };
        let found = match check {
            Some(check) => check.finish(keys, &received, only),
            None => at_once(keys, &received, only),
        };
        let proof = keys.proof(&received, begun.timestamp, found?);
        if shared.checks_replay && proof.is_several() {
            return Poll::Ready(Err(WebhookErrorKind::BodyMalformed));
        }
        let held = match shared.checks_replay {
            true => {
                let witness = Witness::of(&shared.refusals, RequestHead::from(parts));
                let held = Held::new(shared, proof.each_replay_key(), witness);
                Some(held.map_err(|_| WebhookErrorKind::StoreUnavailable)?)
            }
            false => None,
        };
        Poll::Ready(Ok(Genuine {
            webhook: VerifiedWebhook::new(keys.scheme.name(), &proof, content),
            trailers,
            held,
            at: now,
        }))
    }
}

/// Wakes whoever waits for a body of which nothing comes any more.
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Made where the body is polled: outside of a runtime there is no timer to be had, and nothing is woken.
    #[cold]
    fn new(left: Duration) -> Self {
        Self(Handle::try_current().is_ok().then(|| Box::pin(sleep(left))))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
