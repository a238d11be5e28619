//! [`Background`]: work that outlives the request that began it, and waiting that is not counted in
//! requests.

use std::{fmt::Debug, future::Future, pin::Pin, sync::Arc, time::Duration};

/// Work for the background.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where work goes on in the background.
///
/// [`TokioBackground`] is it, unless a test plugs in one whose time it moves itself, or a program runs
/// something else than tokio.
pub trait Background: Debug + Send + Sync + 'static {
    /// Has the work done whether or not somebody waits for it. False, if there is nothing that could do it;
    /// the work is dropped then.
    fn spawn(&self, work: Work) -> bool;

    /// Is done when this much time has passed.
    fn sleep(&self, time: Duration) -> Work;
}

impl<B: Background + ?Sized> Background for Arc<B> {
    fn spawn(&self, work: Work) -> bool {
        (**self).spawn(work)
    }

    fn sleep(&self, time: Duration) -> Work {
        (**self).sleep(time)
    }
}

/// The tokio runtime that is entered at the time. Outside every runtime, nothing can be spawned.
///
/// The runtime's time must be enabled, as `#[tokio::main]` does.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioBackground;

impl Background for TokioBackground {
    fn spawn(&self, work: Work) -> bool {
        let runtime = tokio::runtime::Handle::try_current();
        runtime.map(|runtime| runtime.spawn(work)).is_ok()
    }

    fn sleep(&self, time: Duration) -> Work {
        // Made when it is first polled, on the runtime: `sleep` panics outside.
        Box::pin(async move { tokio::time::sleep(time).await })
    }
}
