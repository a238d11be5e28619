//! The breaker at times of the tests' own: an hour from now, so that none goes by meanwhile.

use std::{mem, panic, sync::OnceLock, thread};

use super::*;

const PAUSE: Duration = LONGEST_PAUSE;

const LONGEST: Duration = Duration::from_secs(60);

type Heard = Arc<Mutex<Vec<bool>>>;

/// When the failures of these tests happen.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(|| Instant::now() + Duration::from_secs(3_600))
}

fn breaker(parts: usize) -> (Breaker, Heard) {
    let heard = Heard::default();
    let hearing = Arc::clone(&heard);
    let told: Told = Arc::new(move |out| hearing.lock().unwrap().push(out));
    (Breaker::new(parts, Some(told), LONGEST), heard)
}

fn failure(kind: StoreErrorKind) -> Result<(), StoreError> {
    Err(StoreError::new(kind))
}

impl Breaker {
    fn try_at(&self, now: Instant) -> Option<Asking<'_>> {
        self.ask_at(&self.0.parts[0], now).ok()
    }

    /// Now, which is long before the failures of these tests.
    fn ask_now(&self, part: usize) -> Result<Asking<'_>, StoreError> {
        self.ask_part(&self.0.parts[part])
    }

    fn fail(&self, part: usize, times: u32) {
        for _ in 0..times {
            self.ask_now(part).unwrap().failed(start());
        }
    }
}

#[test]
fn failures_in_a_row_are_an_outage_and_each_edge_is_told_once() {
    let (breaker, heard) = breaker(1);
    for _ in 0..10 {
        breaker.fail(0, FAILURES - 1);
        breaker.ask_now(0).unwrap().heard(&Ok(()));
    }
    assert!(heard.lock().unwrap().is_empty());
    breaker.fail(0, FAILURES);
    for _ in 0..100 {
        let refused = breaker.ask_now(0).map(drop).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unreachable);
    }
    assert_eq!(*heard.lock().unwrap(), [true]);
    let later = start() + PAUSE;
    breaker.try_at(later).unwrap().heard(&Ok(()));
    assert_eq!(*heard.lock().unwrap(), [true, false]);
    // The count begins anew.
    breaker.fail(0, FAILURES - 1);
    breaker.ask_now(0).unwrap().heard(&Ok(()));
    assert_eq!(*heard.lock().unwrap(), [true, false]);
}

#[test]
fn during_an_outage_one_asks_at_a_time_and_not_often() {
    let (breaker, heard) = breaker(1);
    breaker.fail(0, FAILURES);
    let mut failed = start();
    for pause in [10, 20, 40, 80, 100, 100, 100] {
        let next = failed + Duration::from_millis(pause);
        assert!(breaker.try_at(next - Duration::from_nanos(1)).is_none());
        let probe = breaker.try_at(next).unwrap();
        // However long it takes.
        assert!(breaker.try_at(next + PAUSE * 10).is_none());
        failed = next + PAUSE * 20;
        probe.failed(failed);
    }
    assert_eq!(*heard.lock().unwrap(), [true]);
}

#[test]
fn one_who_goes_away_says_nothing_and_keeps_nobody_from_asking() {
    let (breaker, heard) = breaker(1);
    for _ in 0..100 {
        drop(breaker.ask_now(0).unwrap());
    }
    breaker.fail(0, FAILURES - 1);
    drop(breaker.ask_now(0).unwrap());
    assert!(heard.lock().unwrap().is_empty());
    breaker.fail(0, 1);
    let mut now = start() + PAUSE;
    for _ in 0..20 {
        drop(breaker.try_at(now).unwrap());
        assert!(breaker.try_at(now).is_none(), "too often");
        now += FIRST_PAUSE;
    }
    // Neither polled nor dropped, it is waited for no longer than any deadline.
    mem::forget(breaker.try_at(now).unwrap());
    assert!(breaker.try_at(now + LONGEST / 2).is_none());
    breaker.try_at(now + LONGEST).unwrap().heard(&Ok(()));
    assert_eq!(*heard.lock().unwrap(), [true, false]);
    // Which goes by the deadline, whatever else is told of.
    let short = breaker.within(PAUSE).telling(Arc::new(|_| ()));
    short.fail(0, FAILURES);
    mem::forget(short.try_at(now).unwrap());
    assert!(short.try_at(now + PAUSE * 2).is_none());
    assert!(short.try_at(now + PAUSE * DEADLINES).is_some());
}

#[test]
fn what_was_asked_before_the_end_begins_no_other_outage() {
    let (breaker, heard) = breaker(1);
    let late: Vec<_> = (0..10).map(|_| breaker.ask_now(0).unwrap()).collect();
    let answered = breaker.ask_now(0).unwrap();
    breaker.fail(0, FAILURES);
    let probe = breaker.try_at(start() + PAUSE).unwrap();
    // Any answer ends it, also one that came late.
    answered.heard(&Ok(()));
    assert_eq!(*heard.lock().unwrap(), [true, false]);
    for asking in late.into_iter().chain([probe]) {
        asking.heard(&failure(StoreErrorKind::Timeout));
    }
    breaker.fail(0, FAILURES - 1);
    assert_eq!(*heard.lock().unwrap(), [true, false]);
    // Nor does a probe of that one end the wait of the next.
    breaker.fail(0, 1);
    assert_eq!(*heard.lock().unwrap(), [true, false, true]);
}

#[test]
fn a_probe_of_a_past_outage_changes_nothing_in_the_next() {
    let (breaker, _) = breaker(1);
    let answered = breaker.ask_now(0).unwrap();
    breaker.fail(0, FAILURES);
    let later = start() + PAUSE * 2;
    let past = breaker.try_at(later).unwrap();
    answered.heard(&Ok(()));
    breaker.fail(0, FAILURES);
    let probe = breaker.try_at(later).unwrap();
    drop(past);
    assert!(breaker.try_at(later + PAUSE * 2).is_none());
    drop(probe);
    assert!(breaker.try_at(later + PAUSE * 2).is_some());
}

#[test]
fn who_may_not_ask_is_told_so_without_asking() {
    for (parts, told) in [(1, true), (part::COUNT, true), (1, false)] {
        let breaker = match told {
            true => breaker(parts).0,
            false => Breaker::new(parts, None, LONGEST),
        };
        let keys = || vec!["rate:{a}".to_owned()];
        let part = if parts == 1 {
            0
        } else {
            part::of(["a"].into_iter())
        };
        breaker.fail(part, FAILURES - 1);
        assert!(!breaker.refuses(|| unreachable!("nobody is away")));
        breaker.fail(part, 1);
        assert!(breaker.refuses(keys));
        if parts > 1 {
            assert!(!breaker.refuses(|| vec!["rate:{b}".to_owned()]));
            assert!(!breaker.refuses(|| ["a", "b"].map(str::to_owned).to_vec()));
        }
        // Whoever may ask is not refused, and while he does, everybody else is.
        let part = &breaker.0.parts[part];
        part.lock().next = Some(Instant::now());
        assert!(!breaker.refuses(keys));
        let probe = breaker.ask(keys().iter().map(String::as_str)).unwrap();
        assert!(breaker.refuses(keys));
        probe.heard(&Ok(()));
        assert!(!breaker.refuses(keys));
    }
}

#[test]
fn a_value_that_cannot_be_right_is_no_outage() {
    let (breaker, heard) = breaker(1);
    breaker.fail(0, FAILURES - 1);
    for _ in 0..100 {
        let asking = breaker.ask_now(0).unwrap();
        asking.heard(&failure(StoreErrorKind::Corrupt));
    }
    assert!(heard.lock().unwrap().is_empty());
    for (kind, out) in [
        (StoreErrorKind::Unreachable, true),
        (StoreErrorKind::Refused, true),
        (StoreErrorKind::Full, true),
        (StoreErrorKind::Corrupt, false),
    ] {
        let breaker = Breaker::new(1, None, LONGEST);
        for _ in 0..FAILURES {
            breaker.ask_now(0).unwrap().heard(&failure(kind));
        }
        let out_now = breaker.0.parts[0].lock().next.is_some();
        assert_eq!(out_now, out, "{kind:?}");
    }
}

#[test]
fn parts_have_outages_of_their_own_which_are_told_as_one() {
    let (breaker, heard) = breaker(3);
    let end = |part: usize| {
        let part = &breaker.0.parts[part];
        let probe = breaker.ask_at(part, start() + PAUSE);
        probe.unwrap().heard(&Ok(()));
    };
    breaker.fail(1, FAILURES);
    assert!(breaker.ask_now(0).is_ok() && breaker.ask_now(2).is_ok());
    assert!(breaker.ask_now(1).is_err());
    breaker.fail(2, FAILURES);
    end(1);
    assert_eq!(*heard.lock().unwrap(), [true]);
    end(2);
    assert_eq!(*heard.lock().unwrap(), [true, false]);
    assert!((0..3).all(|part| breaker.ask_now(part).is_ok()));
}

#[test]
fn a_part_that_nobody_asks_about_any_more_is_taken_for_well_when_another_answers() {
    let (breaker, heard) = breaker(3);
    breaker.fail(1, FAILURES);
    let idle = start() + FIRST_PAUSE + IDLE;
    breaker.0.end_idle(idle);
    breaker.0.end_idle(idle + LOOK / 2);
    assert_eq!(*heard.lock().unwrap(), [true]);
    // Being asked about, it is not.
    let probe = breaker.ask_at(&breaker.0.parts[1], idle + LOOK).unwrap();
    breaker.0.end_idle(idle + LOOK * 2);
    assert_eq!(*heard.lock().unwrap(), [true]);
    probe.failed(idle + LOOK * 3);
    breaker.0.end_idle(idle + LOOK * 4);
    assert_eq!(*heard.lock().unwrap(), [true]);
    breaker.0.end_idle(idle + LOOK * 4 + IDLE);
    assert_eq!(*heard.lock().unwrap(), [true, false]);
    assert!(breaker.ask_now(1).is_ok());
}

#[test]
fn an_answer_of_another_part_is_what_tells() {
    let (breaker, heard) = breaker(2);
    // A machine that has not run for so long has no such time.
    let Some(past) = Instant::now().checked_sub(IDLE * 2) else {
        return;
    };
    for _ in 0..FAILURES {
        breaker.ask_now(1).unwrap().failed(past);
    }
    assert_eq!(*heard.lock().unwrap(), [true]);
    breaker.ask_now(0).unwrap().heard(&Ok(()));
    assert_eq!(*heard.lock().unwrap(), [true, false]);
}

#[test]
fn what_is_told_may_ask_and_even_panic() {
    let inner: Arc<Mutex<Option<Breaker>>> = Arc::default();
    let (heard, asking) = (Heard::default(), Arc::clone(&inner));
    let hearing = Arc::clone(&heard);
    let told: Told = Arc::new(move |out| {
        let breaker = asking.lock().unwrap().clone().unwrap();
        assert_eq!(breaker.ask_now(0).is_err(), out);
        hearing.lock().unwrap().push(out);
        assert!(!out, "as it was meant to");
    });
    let breaker = Breaker::new(1, Some(told), LONGEST);
    *inner.lock().unwrap() = Some(breaker.clone());
    breaker.fail(0, FAILURES - 1);
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| breaker.fail(0, 1)));
    assert!(panicked.is_err());
    let later = start() + PAUSE;
    breaker.try_at(later).unwrap().heard(&Ok(()));
    assert_eq!(*heard.lock().unwrap(), [true, false]);
}

#[test]
fn many_at_once_leave_it_in_order() {
    let (breaker, heard) = breaker(2);
    thread::scope(|scope| {
        for seed in 1..=4_u64 {
            let breaker = &breaker;
            scope.spawn(move || {
                let (mut chance, mut now) = (seed, start());
                for _ in 0..20_000 {
                    chance = chance.wrapping_mul(6_364_136_223_846_793_005) + 1;
                    let draw = chance >> 40;
                    now += PAUSE / 8;
                    let part = &breaker.0.parts[usize::from(draw % 2 == 0)];
                    let Ok(asking) = breaker.ask_at(part, now) else {
                        continue;
                    };
                    match draw % 7 {
                        0 => drop(asking),
                        1 | 2 => asking.heard(&Ok(())),
                        _ => asking.failed(now),
                    }
                }
            });
        }
    });
    // Time goes on, and both parts answer again.
    for part in &breaker.0.parts {
        let much_later = start() + PAUSE * 20_000 + LONGEST * 2;
        let probe = breaker.ask_at(part, much_later);
        probe.unwrap().heard(&Ok(()));
    }
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 10, "{heard:?}");
    let alternate = heard.chunks(2).all(|pair| pair == [true, false]);
    assert!(alternate, "{heard:?}");
    assert_eq!(breaker.0.edges().out, 0);
    assert!(breaker.ask_now(0).is_ok() && breaker.ask_now(1).is_ok());
}

#[test]
fn one_keys_fault_hides_nothing_of_what_else_was_heard() {
    use StoreErrorKind::{Corrupt, Timeout};
    let heard = |answers: &[Option<StoreErrorKind>]| {
        let answers = answers.iter().map(|kind| match kind {
            None => Ok(()),
            Some(kind) => Err(StoreError::new(*kind)),
        });
        let answers: Vec<_> = answers.collect();
        heard_of(&answers).map_err(|error| error.kind())
    };
    assert_eq!(heard(&[Some(Corrupt), None]), Ok(()));
    assert_eq!(heard(&[Some(Corrupt), Some(Timeout)]), Err(Timeout));
    assert_eq!(heard(&[Some(Corrupt), Some(Corrupt)]), Err(Corrupt));
    assert_eq!(heard(&[None]), Ok(()));
}
