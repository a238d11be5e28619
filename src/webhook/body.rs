//! [`WebhookBody`]: the bytes that were verified, for whoever reads the body next.

use std::{
    convert::Infallible,
    fmt, mem,
    pin::Pin,
    slice,
    sync::OnceLock,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::verified::VerifiedWebhook;

/// From here on a frame is kept as it came; smaller ones are put together, so that a body in pieces of one
/// byte does not cost a handle for each.
const LARGE: usize = 4096;

/// A body that was read and verified: the same bytes, ready at once.
///
/// It shares its bytes with [`VerifiedWebhook`]: reading one leaves the other whole.
pub struct WebhookBody {
    webhook: VerifiedWebhook,
    next: usize,
    left: u64,
    trailers: Option<HeaderMap>,
}

impl WebhookBody {
    pub(super) fn new(webhook: VerifiedWebhook, trailers: Option<HeaderMap>) -> Self {
        Self {
            left: webhook.content().length,
            webhook,
            next: 0,
            trailers,
        }
    }
}

impl Body for WebhookBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.webhook.content().pieces().get(self.next).cloned() {
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
        self.next == self.webhook.content().pieces().len() && self.trailers.is_none()
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

/// The bytes of a body, in the frames that they came in.
#[derive(Default)]
pub(super) struct Content {
    pieces: Pieces,
    length: u64,
    joined: OnceLock<Bytes>,
}

/// Most bodies come in one frame, which needs no list.
#[derive(Default)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Several(Vec<Bytes>),
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        *self = match mem::take(self) {
            Self::None => Self::One(piece),
            Self::One(first) => Self::Several(vec![first, piece]),
            Self::Several(mut pieces) => {
                pieces.push(piece);
                Self::Several(pieces)
            }
        };
    }
}

impl Content {
    pub(super) fn pieces(&self) -> &[Bytes] {
        match &self.pieces {
            Pieces::None => &[],
            Pieces::One(piece) => slice::from_ref(piece),
            Pieces::Several(pieces) => pieces,
        }
    }

    /// All of it as one; a copy only where it came in several pieces.
    pub(super) fn joined(&self) -> &Bytes {
        match &self.pieces {
            Pieces::One(piece) => piece,
            _ => self.joined.get_or_init(|| self.pieces().concat().into()),
        }
    }

    /// Makes one piece of all.
    fn join(&mut self) {
        if let Pieces::Several(pieces) = &self.pieces {
            self.pieces = Pieces::One(pieces.concat().into());
        }
    }
}

/// A body on its way in: at most its bytes, and the small frames that are being put together.
#[derive(Default)]
pub(super) struct Collected {
    content: Content,
    small: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Collected {
    /// How many bytes have come.
    pub(super) fn length(&self) -> u64 {
        self.content.length
    }

    /// The first frame, if it is all that has come.
    pub(super) fn only(&self) -> Option<&Bytes> {
        match &self.content.pieces {
            Pieces::One(piece) if self.small.is_empty() => Some(piece),
            _ => None,
        }
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.content.length += frame.len() as u64;
        if frame.is_empty() {
            return;
        }
        if self.small.len() + frame.len() > LARGE {
            self.settle();
        }
        let is_first = matches!(self.content.pieces, Pieces::None) && self.small.is_empty();
        if is_first || frame.len() >= LARGE {
            self.content.pieces.push(frame);
        } else {
            if self.small.capacity() < self.small.len() + frame.len() {
                self.small.reserve_exact(LARGE - self.small.len());
            }
            self.small.extend_from_slice(&frame);
        }
    }

    pub(super) fn end(&mut self, trailers: HeaderMap) {
        self.trailers = Some(trailers);
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.content
                .pieces
                .push(Bytes::copy_from_slice(&self.small));
            self.small.clear();
        }
    }

    /// The body, in one piece where that is asked for, and what came after it.
    pub(super) fn finish(mut self, as_one: bool) -> (Content, Option<HeaderMap>) {
        self.settle();
        if as_one {
            self.content.join();
        }
        (self.content, self.trailers)
    }
}
