//! [`KeySource`]: where a verifier's keys come from.

use std::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{key::VerifyingKey, key_set::KeySet, memo::Memo};

/// How many verifiers that share one set of keys remember headers; more of them verify as well, slower.
const MOST_MEMOS: usize = 4;

/// Where a verifier's keys come from: a set that never changes, or one that is fetched and refreshed.
///
/// Made of a [`VerifyingKey`], several of them, a [`KeySet`], or (with the feature `fetch`) a `RemoteJwks`.
#[derive(Clone)]
pub struct KeySource(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<Keys>),
    #[cfg_attr(
        not(feature = "fetch"),
        allow(dead_code, reason = "only a remote set is live")
    )]
    Live(Arc<dyn LiveKeys>),
}

/// Keys that change under a verifier.
pub(super) trait LiveKeys: fmt::Debug + Send + Sync {
    /// The keys to go by now: none before the first were loaded, and when the last are too old. It waits
    /// for nothing.
    fn current(&self) -> Option<Arc<Keys>>;

    /// What may bring a key that [`LiveKeys::current`] has not: to be waited for, however it ends. None, if
    /// it is not to be tried now.
    fn missing(&self) -> Option<Wait>;

    /// How long until the next attempt is due.
    fn due_in(&self) -> Duration;
}

/// Something to be waited for.
pub(super) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A set of keys that stays as it is, and what is remembered about tokens under it.
///
/// What is concluded from a token and kept must be kept together with [`Keys::generation`]: it says nothing
/// under another.
pub(super) struct Keys {
    set: KeySet,
    generation: u64,
    /// What was concluded from headers, by the settings (see [`Settings`]) it was concluded under.
    memos: [OnceLock<(Settings, Memo)>; MOST_MEMOS],
}

/// The identity of a verifier's settings: two verifiers that share keys must not share conclusions.
#[derive(Clone, Default)]
pub(super) struct Settings(Arc<()>);

impl Keys {
    pub(super) fn new(set: KeySet, generation: u64) -> Self {
        Self {
            set,
            generation,
            memos: Default::default(),
        }
    }

    pub(super) fn set(&self) -> &KeySet {
        &self.set
    }

    /// Counts up with every other set of keys from one source; of a fixed set it is 0.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The memo for these settings, unless too many others came first.
    pub(super) fn memo(&self, settings: &Settings) -> Option<&Memo> {
        self.memos
            .iter()
            .map(|slot| slot.get_or_init(|| (settings.clone(), Memo::default())))
            .find(|(of, _)| Arc::ptr_eq(&of.0, &settings.0))
            .map(|(_, memo)| memo)
    }
}

/// Keys while a token is verified with them.
pub(super) enum Current<'a> {
    Fixed(&'a Keys),
    Live(Arc<Keys>),
}

impl Deref for Current<'_> {
    type Target = Keys;

    fn deref(&self) -> &Keys {
        match self {
            Self::Fixed(keys) => keys,
            Self::Live(keys) => keys,
        }
    }
}

impl KeySource {
    #[cfg_attr(
        not(feature = "fetch"),
        allow(dead_code, reason = "only a remote set is live")
    )]
    pub(super) fn live(keys: Arc<dyn LiveKeys>) -> Self {
        Self(Source::Live(keys))
    }

    /// The keys to go by now; see [`LiveKeys::current`].
    pub(super) fn current(&self) -> Option<Current<'_>> {
        match &self.0 {
            Source::Fixed(keys) => Some(Current::Fixed(keys)),
            Source::Live(keys) => keys.current().map(Current::Live),
        }
    }

    /// See [`LiveKeys::missing`]; a fixed set has all it will ever have.
    pub(super) fn missing(&self) -> Option<Wait> {
        match &self.0 {
            Source::Fixed(_) => None,
            Source::Live(keys) => keys.missing(),
        }
    }

    /// See [`LiveKeys::due_in`]; what is fixed is not attempted again.
    pub(super) fn due_in(&self) -> Option<Duration> {
        match &self.0 {
            Source::Fixed(_) => None,
            Source::Live(keys) => Some(keys.due_in()),
        }
    }
}

impl From<KeySet> for KeySource {
    fn from(set: KeySet) -> Self {
        Self(Source::Fixed(Arc::new(Keys::new(set, 0))))
    }
}

impl From<VerifyingKey> for KeySource {
    fn from(key: VerifyingKey) -> Self {
        KeySet::from(key).into()
    }
}

impl From<Vec<VerifyingKey>> for KeySource {
    fn from(keys: Vec<VerifyingKey>) -> Self {
        KeySet::from(keys).into()
    }
}

impl<const N: usize> From<[VerifyingKey; N]> for KeySource {
    fn from(keys: [VerifyingKey; N]) -> Self {
        KeySet::from(keys).into()
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(keys) => keys.set.fmt(f),
            Source::Live(keys) => keys.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_that_share_keys_share_no_conclusions() {
        let keys = Keys::new(KeySet::from_iter([]), 1);
        let settings: Vec<_> = (0..=MOST_MEMOS).map(|_| Settings::default()).collect();
        for (at, own) in settings.iter().enumerate() {
            if let Some(memo) = keys.memo(own) {
                memo.keep(b"header", at);
            }
        }
        for (at, own) in settings.iter().enumerate() {
            let kept = keys.memo(own).and_then(|memo| memo.key(b"header"));
            assert_eq!(kept, (at < MOST_MEMOS).then_some(at));
        }
    }
}
