//! Webhook verification against the bare HMAC of the same backend.
//!
//! Stripe's scheme over bodies of 1 KB, 64 KB and 1 MB in frames of 16 KB: the check alone, at once (of a body
//! that is there) and in frames; and the whole layer, with the claim of the delivery in memory and without
//! ("open"), the inner service included. Beside them runs what cannot be saved: the backend's own HMAC over
//! the same frames, its key made ready once; and the inner service alone ("bare").
//!
//! What the check allocates is counted by a test (`tests/webhook/allocations.rs`).

mod support;

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    hint::black_box,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use portcullis::webhook::{
    WebhookBody, WebhookLayer, WebhookScheme, WebhookSigner, WebhookVerifier,
};
use tower::{Layer, Service, service_fn};

use crate::support::{Contender, Figures, Rounds};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const FRAME: usize = 16 * 1024;

fn main() -> io::Result<()> {
    let mut figures = Figures::new("webhook");
    for (size, names) in [
        (
            1 << 10,
            [
                "raw 1 KB",
                "check 1 KB",
                "check 1 KB in frames",
                "layer 1 KB",
                "open layer 1 KB",
                "bare 1 KB",
            ],
        ),
        (
            64 << 10,
            [
                "raw 64 KB",
                "check 64 KB",
                "check 64 KB in frames",
                "layer 64 KB",
                "open layer 64 KB",
                "bare 64 KB",
            ],
        ),
        (
            1 << 20,
            [
                "raw 1 MB",
                "check 1 MB",
                "check 1 MB in frames",
                "layer 1 MB",
                "open layer 1 MB",
                "bare 1 MB",
            ],
        ),
    ] {
        let body = Bytes::from(vec![b'x'; size]);
        let frames: Vec<Bytes> = (0..size)
            .step_by(FRAME)
            .map(|at| body.slice(at..size.min(at + FRAME)))
            .collect();
        compare(&mut figures, &body, &frames, names);
    }
    figures.write()
}

fn compare(figures: &mut Figures, body: &Bytes, frames: &[Bytes], names: [&'static str; 6]) {
    let [
        raw_name,
        check_name,
        frames_name,
        layer_name,
        open_name,
        bare_name,
    ] = names;
    // A delivery at another second is another delivery: the layer lets none in twice.
    let scheme = || WebhookScheme::stripe().dangerous_without_tolerance();
    let signer = WebhookSigner::new(scheme(), SECRET).expect("a signer");
    let verifier = WebhookVerifier::new(scheme(), SECRET).expect("a verifier");
    let second = Cell::new(1_600_000_000);
    let sign = || {
        second.set(second.get() + 1);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second.get());
        signer.sign("", body, at).expect("fields")
    };
    let headers = sign();
    let now = SystemTime::now();
    let check = |headers: &HeaderMap| {
        let proof = verifier.verify(headers, black_box(body), now);
        proof.expect("a genuine delivery").secret_index()
    };
    let check_frames = |headers: &HeaderMap| {
        let mut check = verifier.begin(headers, now).expect("a sound header");
        for frame in frames {
            check.update(black_box(frame));
        }
        check.finish().expect("a genuine delivery").secret_index()
    };
    let inner = || service_fn(async |request: Request<WebhookBody>| respond(request));
    let layer = WebhookLayer::new(verifier.clone());
    let mut open = layer
        .clone()
        .dangerous_without_replay_check()
        .layer(inner());
    let mut layered = layer.layer(inner());
    let mut bare = service_fn(async |request: Request<Frames>| respond(request));
    let raw = raw::hmac(SECRET.as_bytes());

    let rounds = Rounds::measure(vec![
        Contender::new(raw_name, || raw(b"1600000001.", black_box(frames))),
        Contender::new(check_name, || check(black_box(&headers))),
        Contender::new(frames_name, || check_frames(black_box(&headers))),
        through(layer_name, frames, sign, |request| {
            assert_eq!(finish(layered.call(request)).status(), 200);
        }),
        through(open_name, frames, sign, |request| {
            assert_eq!(finish(open.call(request)).status(), 200);
        }),
        through(
            bare_name,
            frames,
            || headers.clone(),
            |request| {
                assert_eq!(finish(bare.call(request)).status(), 200);
            },
        ),
    ]);
    figures.add_median(&rounds, raw_name, None);
    for name in [check_name, frames_name, layer_name, open_name] {
        figures.add_median(&rounds, name, Some(raw_name));
    }
    figures.add_median(&rounds, bare_name, None);
}

/// A contender that is given requests that were signed before the clock started.
fn through<'a>(
    name: &'static str,
    frames: &'a [Bytes],
    sign: impl Fn() -> HeaderMap + 'a,
    mut serve: impl FnMut(Request<Frames>) + 'a,
) -> Contender<'a> {
    Contender::timed(name, move |iterations| {
        let request = |_| {
            let mut request = Request::new(Frames(frames.iter().cloned().collect()));
            *request.headers_mut() = sign();
            request
        };
        let requests: Vec<_> = (0..iterations).map(request).collect();
        let start = Instant::now();
        requests.into_iter().for_each(&mut serve);
        start.elapsed()
    })
}

fn respond<B>(request: Request<B>) -> Result<Response<()>, Infallible> {
    black_box(request.extensions().len());
    Ok(Response::new(()))
}

/// A body whose frames are there.
struct Frames(VecDeque<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|frame| Ok(Frame::data(frame))))
    }
}

/// The output of a future that waits for nothing.
fn finish<T>(future: impl Future<Output = Result<T, Infallible>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(output)) => output,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// The backend's own HMAC-SHA256.
#[cfg(feature = "aws-lc")]
mod raw {
    use aws_lc_rs::hmac;
    use bytes::Bytes;

    pub(crate) fn hmac(secret: &[u8]) -> impl Fn(&[u8], &[Bytes]) -> hmac::Tag + use<> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        move |first, frames| {
            let mut context = hmac::Context::with_key(&key);
            context.update(first);
            for frame in frames {
                context.update(frame);
            }
            context.sign()
        }
    }
}

#[cfg(not(feature = "aws-lc"))]
mod raw {
    use bytes::Bytes;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    pub(crate) fn hmac(secret: &[u8]) -> impl Fn(&[u8], &[Bytes]) -> [u8; 32] + use<> {
        let key = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length");
        move |first, frames| {
            let mut mac = key.clone();
            mac.update(first);
            for frame in frames {
                mac.update(frame);
            }
            mac.finalize().into_bytes().into()
        }
    }
}
