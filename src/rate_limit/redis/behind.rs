//! What is sent behind an exchange, and what is kept of it.

use std::{sync::Arc, time::Duration};

use redis::{Pipeline, Value};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    Inner,
    decide::{Deciding, Seen},
    denied::{Change, Known},
    group::{Group, Limit},
    kept::Reading,
    time::Now,
    trip::Asking,
    view::Span,
    wire::Counted,
};
use crate::{rate_limit::Decisions, store::Call};

impl Inner {
    /// Gives back what nobody was let in for, and moves what was let in after its segment was over. It is
    /// sent before the requests are answered, so whatever this process asks next comes behind it, and nobody
    /// waits for it. What it changes is added to the changes that are known of. What is held for others is kept, where
    /// there is one limit.
    pub(super) fn settle(
        self: &Arc<Self>,
        deciding: &Deciding<'_>,
        asking: &[Asking],
        counted: &[Option<Counted>],
        changes: &mut [Change],
        (held, now, took): (u32, Now, Duration),
    ) {
        let limits = deciding.group.limits.iter().zip(asking).zip(counted);
        for (at, ((limit, asking), counted)) in limits.enumerate() {
            let (Some(counted), admitted) = (counted, deciding.admitted[at]) else {
                continue;
            };
            let mut back = counted.taken.saturating_sub(admitted).saturating_sub(held);
            // Beside these units, the others may have taken the limit for full; had there been more than fit
            // in, they would know better.
            let over = matches!(deciding.seen.get(at), Some(Seen::Window(view)) if view.room(&limit.quota) < back);
            if back > 0 && !over {
                self.denied.given_back(limit.id);
                changes[at].back = changes[at].back.wrapping_add(1);
            }
            match asking {
                Asking::State(_) => {
                    if back > 0 {
                        self.undo_behind(limit, back, counted.undo.clone());
                    }
                }
                Asking::Window(placed) => {
                    let (mut behind, mut again) = (Pipeline::new(), Pipeline::new());
                    let answered = self.time.of_key(now.later(took), &limit.quota, limit.id);
                    let place = Span::of(&limit.quota, &answered).place;
                    if (back > 0 || admitted > 0) && place > placed.span.place {
                        // What is over by now is not what it was.
                        self.kept.changed(limit.id);
                    }
                    if admitted > 0 && place > placed.span.place {
                        placed.count_at(limit, place, admitted, now, &mut behind);
                        placed.count_at(limit, placed.span.place, admitted, now, &mut again);
                        back += admitted;
                    }
                    if back > 0 {
                        placed.give_back(limit, placed.span.place, back, now, &mut behind);
                    }
                    if again.is_empty() {
                        self.send_behind(behind);
                    } else {
                        self.move_behind(behind, again);
                    }
                }
            }
        }
    }

    /// Lets keys expire that have come back after somebody deleted them. That is worth a second trip, which
    /// goes on if the caller goes away; all of them are under way before the first is waited for.
    pub(super) fn repair(
        self: &Arc<Self>,
        group: &Group,
        asking: &[Asking],
        counted: &[Option<Counted>],
        now: Now,
        repairing: &mut Vec<JoinHandle<()>>,
    ) {
        let limits = group.limits.iter().zip(asking).zip(counted);
        for ((limit, asking), counted) in limits {
            if let (Asking::Window(placed), Some(counted)) = (asking, counted)
                && !counted.short.is_empty()
                && let Ok(runtime) = Handle::try_current()
            {
                let (inner, mut pipeline) = (Arc::clone(self), Pipeline::new());
                for part in &counted.short {
                    placed.repair(limit, *part, now, &mut pipeline);
                }
                let repair = async move { inner.send_alone(pipeline).await };
                repairing.push(runtime.spawn(repair));
            }
        }
    }

    /// Keeps what was read and will not change, for the next requests.
    pub(super) fn keep(&self, deciding: &Deciding<'_>, asking: &[Asking], now: Now) {
        if !self.remembers {
            return;
        }
        let Deciding {
            group, times, seen, ..
        } = deciding;
        let limits = group.limits.iter().zip(asking).zip(seen).zip(times);
        for (((limit, asking), seen), times) in limits {
            if let (Asking::Window(placed), Seen::Window(view)) = (asking, seen)
                && placed.is_whole()
                && !view.full
                // Of a count that was never more than nothing, it is not seen when its key is deleted.
                && view.newest() > 0
            {
                let reading = Reading {
                    quota: &limit.quota,
                    times: *times,
                    now,
                    change: placed.change,
                };
                self.kept
                    .keep(limit.id, &reading, view.kept(), self.way(now));
            }
        }
    }

    /// Remembers what matters to the next requests.
    pub(super) fn note(
        &self,
        deciding: Deciding<'_>,
        changes: &[Change],
        decisions: &[Decisions],
        now: Now,
    ) {
        let Deciding {
            group,
            seen,
            admitted,
            begun,
            ..
        } = deciding;
        for ((limit, admitted), begun) in group.limits.iter().zip(&admitted).zip(begun) {
            if begun {
                self.time.track(now, limit.id);
            }
            if *admitted > 0 {
                self.denied.changed(limit.id);
            }
        }
        let refused = decisions.iter().any(|decisions| !decisions.allowed());
        let settled = group
            .limits
            .iter()
            .zip(&seen)
            .all(|(limit, seen)| seen.is_settled(&limit.quota));
        if self.remembers && refused && settled && group.is_plain() {
            let known = seen.into_iter().enumerate().map(|(at, seen)| Known {
                seen,
                id: group.limits[at].id,
                change: Change {
                    counted: changes[at]
                        .counted
                        .wrapping_add(u32::from(admitted[at] > 0)),
                    ..changes[at]
                },
            });
            self.denied
                .remember(group, known.collect(), &self.time, now);
        }
    }

    /// Sends commands about one limit, which go behind everything that was sent and before everything that
    /// will be.
    pub(super) fn send_behind(self: &Arc<Self>, pipeline: Pipeline) {
        if pipeline.is_empty() {
            return;
        }
        let inner = Arc::clone(self);
        begin(async move { inner.send_alone(pipeline).await });
    }

    /// Moves units to a segment, and back again if that holds as much as it can. Until it does so no more,
    /// nobody is let in.
    fn move_behind(self: &Arc<Self>, pipeline: Pipeline, again: Pipeline) {
        let inner = Arc::clone(self);
        begin(async move {
            let call = Call::once().within(inner.deadline);
            let answers = inner.store.pipeline::<Vec<Value>>(&pipeline, call).await;
            if let Ok(answers) = answers
                && let Some(Value::Array(counted)) = answers.first()
                && matches!(counted[..], [Value::Nil])
            {
                inner.send_alone(again).await;
            }
        });
    }

    async fn send_alone(&self, pipeline: Pipeline) {
        let call = Call::once().within(self.deadline);
        // If it is lost, units stay counted until they leave.
        let _ = self.store.pipeline::<Vec<Value>>(&pipeline, call).await;
    }

    fn undo_behind(self: &Arc<Self>, limit: &Limit, units: u32, undo: Vec<u8>) {
        let (inner, limit) = (Arc::clone(self), limit.clone());
        begin(async move {
            let call = Call::once().within(inner.deadline);
            let _ = inner.undo(&limit, units, &undo, call).await;
        });
    }
}

/// Begins to work, and goes on in the background if there is anything to wait for.
fn begin(work: impl Future<Output = ()> + Send + 'static) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    // A task's budget must not keep it from being sent.
    let mut work = Box::pin(tokio::task::coop::unconstrained(work));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    if work.as_mut().poll(&mut context).is_pending() {
        runtime.spawn(work);
    }
}
