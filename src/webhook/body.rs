//! [`WebhookBody`]: the bytes that were verified, for whoever reads the body next.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// From here on a frame is kept as it came; smaller ones are put together, so that a body in pieces of one
/// byte does not cost a handle for each.
const LARGE: usize = 4096;

/// A body that was read and verified: the same bytes, ready at once.
///
/// It shares its bytes with [`VerifiedWebhook`](super::VerifiedWebhook): reading one leaves the other whole.
pub struct WebhookBody {
    pieces: Arc<[Bytes]>,
    next: usize,
    left: u64,
    trailers: Option<HeaderMap>,
}

impl Body for WebhookBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.pieces.get(self.next).cloned() {
            self.next += 1;
            self.left -= piece.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        Poll::Ready(
            self.trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.pieces.len() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl fmt::Debug for WebhookBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookBody")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// A body on its way in: at most its bytes, and the small frames that are being put together.
#[derive(Default)]
pub(super) struct Collected {
    pieces: Vec<Bytes>,
    small: Vec<u8>,
    length: u64,
    trailers: Option<HeaderMap>,
}

impl Collected {
    /// How many bytes have come.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.length += frame.len() as u64;
        if frame.is_empty() {
            return;
        }
        if self.small.len() + frame.len() > LARGE {
            self.settle();
        }
        // The first frame of most bodies is the only one.
        if self.pieces.is_empty() && self.small.is_empty() || frame.len() >= LARGE {
            self.pieces.push(frame);
        } else {
            self.small.extend_from_slice(&frame);
        }
    }

    pub(super) fn end(&mut self, trailers: HeaderMap) {
        self.trailers = Some(trailers);
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(Bytes::copy_from_slice(&self.small));
            self.small.clear();
        }
    }

    pub(super) fn finish(mut self) -> WebhookBody {
        self.settle();
        WebhookBody {
            pieces: self.pieces.into(),
            next: 0,
            left: self.length,
            trailers: self.trailers,
        }
    }
}

impl WebhookBody {
    /// Makes one piece of all, and gives it.
    pub(super) fn join(&mut self) -> Bytes {
        let whole = joined(&self.pieces);
        if self.pieces.len() > 1 {
            self.pieces = Arc::from([whole.clone()]);
        }
        whole
    }

    /// The pieces, shared.
    pub(super) fn pieces(&self) -> Arc<[Bytes]> {
        Arc::clone(&self.pieces)
    }
}

/// The pieces as one; a copy only where there are several.
pub(super) fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [] => Bytes::new(),
        [one] => one.clone(),
        several => {
            let mut bytes = Vec::with_capacity(several.iter().map(Buf::remaining).sum());
            for piece in several {
                bytes.extend_from_slice(piece);
            }
            bytes.into()
        }
    }
}
