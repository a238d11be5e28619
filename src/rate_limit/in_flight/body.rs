//! [`InFlightBody`]: a body that holds its request in flight.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::counts::Permit;
use crate::body::ResponseBody;

pin_project! {
    /// The body of a response whose request is in flight until the body has ended, has failed, or is dropped.
    pub struct InFlightBody<B> {
        #[pin]
        body: ResponseBody<B>,
        permit: Option<Permit>,
    }
}

impl<B> InFlightBody<B> {
    pub(super) fn new(body: ResponseBody<B>, permit: Option<Permit>) -> Self {
        Self { body, permit }
    }
}

/// The default of the inner body, which holds nothing in flight.
impl<B: Default> Default for InFlightBody<B> {
    fn default() -> Self {
        Self::new(ResponseBody::default(), None)
    }
}

impl<B: Body<Data = Bytes>> Body for InFlightBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for InFlightBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlightBody")
            .field("body", &self.body)
            .field("in_flight", &self.permit.is_some())
            .finish()
    }
}
