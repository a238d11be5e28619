//! How much a window held, from what servers wrote down.
//!
//! A server cannot know when Redis counted a request, only that it was after the request came and before it
//! had passed. So there are two counts. What lies in a window *for sure* came and passed within it: if that
//! is more than the limit, the limit was broken, whatever the times in between. What lies in it by the time
//! at which it had passed is blurred by how long each took, and is told beside the first.

use std::time::Duration;

/// A request that was let in, in nanoseconds since 1970 by the machine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) came: u64,
    pub(crate) passed: u64,
}

impl Admission {
    /// From a line that the server wrote.
    pub(crate) fn parse(line: &str) -> Self {
        let (came, passed) = line.split_once(' ').unwrap();
        let admission = Self {
            came: came.parse().unwrap(),
            passed: passed.parse().unwrap(),
        };
        assert!(admission.came <= admission.passed, "{line}");
        admission
    }
}

/// The most of which a window of this length holds the whole.
pub(crate) fn surely_within(admissions: &[Admission], window: Duration) -> usize {
    let window = nanos(window);
    let mut admissions = admissions.to_vec();
    admissions.sort_unstable_by_key(|admission| admission.came);
    let most = admissions.iter().enumerate().map(|(index, first)| {
        // It begins when one comes: one that begins later holds no more of the others.
        let end = first.came + window;
        let come = admissions[index..].iter();
        let come = come.take_while(|admission| admission.came < end);
        come.filter(|admission| admission.passed < end).count()
    });
    most.max().unwrap_or(0)
}

/// The most that a window of this length holds by the time at which they had passed.
pub(crate) fn within_by_passing(admissions: &[Admission], window: Duration) -> usize {
    let at_once = admissions.iter().map(|admission| Admission {
        came: admission.passed,
        passed: admission.passed,
    });
    surely_within(&at_once.collect::<Vec<_>>(), window)
}

fn nanos(window: Duration) -> u64 {
    window.as_nanos().try_into().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admissions(times: &[(u64, u64)]) -> Vec<Admission> {
        let admission = |(came, passed): &(u64, u64)| Admission {
            came: *came,
            passed: *passed,
        };
        times.iter().map(admission).collect()
    }

    #[test]
    fn what_reaches_out_of_a_window_is_not_surely_within() {
        let times = admissions(&[(12, 13), (10, 20), (5, 12), (19, 19), (22, 31), (20, 29)]);
        let most = |window| {
            let window = Duration::from_nanos(window);
            (
                surely_within(&times, window),
                within_by_passing(&times, window),
            )
        };
        assert_eq!(most(1), (1, 1));
        // 12 to 13 and 19; by passing, 12 and 13 and 19.
        assert_eq!(most(8), (2, 3));
        // 12 to 13, 10 to 20 and 19; by passing, 12, 13, 19 and 20.
        assert_eq!(most(11), (3, 4));
        assert_eq!(most(27), (6, 6));
        assert_eq!(most(26), (5, 6));
        assert_eq!(surely_within(&[], Duration::from_secs(1)), 0);
    }
}
