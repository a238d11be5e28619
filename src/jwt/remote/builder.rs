//! [`RemoteJwksBuilder`]: keys to be fetched, in the making.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    super::{Algorithm, address::shown},
    JwksEvent, RemoteJwks,
    load::{Loader, SetRules},
    schedule::Schedule,
    shared::{OnEvent, Shared},
    target::{Discovery, Target},
};
use crate::{
    clock::{Clock, SystemClock},
    config::ConfigError,
    fetch::{Background, Fetch, FetchLimits, TokioBackground},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Less than this between fetches is an attack on the endpoint.
const LEAST_COOLDOWN: Duration = Duration::from_secs(1);
const MOST_DEADLINE: Duration = Duration::from_secs(60);
/// Longer than this, a key that was taken back is not to be gone by.
const MOST_STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Keys to be fetched, in the making: [`RemoteJwks::builder`], [`RemoteJwks::discover`],
/// [`RemoteJwks::discover_oauth`].
#[must_use]
pub struct RemoteJwksBuilder {
    from: From,
    algorithms: Vec<Algorithm>,
    limits: FetchLimits,
    max_keys: usize,
    schedule: Schedule,
    seed: Option<(Bytes, SystemTime)>,
    clock: Arc<dyn Clock>,
    background: Arc<dyn Background>,
    on_event: OnEvent,
    allow_http: bool,
}

#[derive(Debug)]
pub(super) enum From {
    Keys(String),
    Issuer(Discovery, String),
}

impl RemoteJwksBuilder {
    pub(super) fn new(from: From) -> Self {
        Self {
            from,
            algorithms: Vec::new(),
            limits: FetchLimits::default(),
            max_keys: 64,
            schedule: Schedule {
                least: Duration::from_secs(5 * 60),
                most: DAY,
                cooldown: Duration::from_secs(30),
                stale: Duration::from_secs(6 * 60 * 60),
            },
            seed: None,
            clock: Arc::new(SystemClock),
            background: Arc::new(TokioBackground),
            on_event: Arc::new(|_| {}),
            allow_http: false,
        }
    }

    /// Takes only keys of these algorithms, as
    /// [`KeySet::from_jwks_for`](super::super::KeySet::from_jwks_for) does; the default is to take all that
    /// can verify.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Replaces the bounds between which the endpoint's word on how long its keys are good (`Cache-Control`,
    /// `Expires`) is believed; the defaults are 5 minutes and 24 hours.
    ///
    /// Endpoints that say 0 are not asked for every token, since new keys are found by the tokens that name
    /// them; and a key that was taken back is gone after the longer bound whatever the endpoint said.
    /// An answer that says nothing but when it was last changed is good for a tenth of the time since, an
    /// hour at most; one that says nothing at all is good for 15 minutes. Both keep to the bounds.
    pub fn refresh_between(mut self, least: Duration, most: Duration) -> Self {
        (self.schedule.least, self.schedule.most) = (least, most);
        self
    }

    /// Replaces the time between fetches for keys that tokens name and the set has not; the default is 30
    /// seconds. It is also the first pause after a failure, doubled at each, up to 5 minutes.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.schedule.cooldown = cooldown;
        self
    }

    /// Replaces how long the last good keys are gone by, once they should have been refreshed and could
    /// not; the default is 6 hours.
    ///
    /// It is the time that an outage of the issuer may last without taking this service along, and the time
    /// that somebody who holds a stolen key and the way to the endpoint gains. After it every token is
    /// answered 503.
    pub fn serve_stale_for(mut self, time: Duration) -> Self {
        self.schedule.stale = time;
        self
    }

    /// Replaces the time that one attempt may take, discovery included; the default is 5 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// Replaces the length in bytes beyond which a document is not read; the default is 512 KiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_bytes = bytes;
        self
    }

    /// Replaces the number of entries beyond which a set is not read; the default is 64.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Goes by a set that was fetched `at` some time before (see [`JwksEvent::Loaded`]) until it is fetched
    /// again, which is due at once: a process that starts while the issuer is down is not down as well. It
    /// ages as if this process had fetched it; if `at` lies in the future, from now on.
    pub fn seed(mut self, document: impl Into<Bytes>, at: SystemTime) -> Self {
        self.seed = Some((document.into(), at));
        self
    }

    /// Plugs in the clock that keys age by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Plugs in what fetches run on and wait with; the default is the tokio runtime in which they begin.
    pub fn with_background(mut self, background: impl Background) -> Self {
        self.background = Arc::new(background);
        self
    }

    /// Replaces what is told when keys were loaded, and when they could not be; the default is nothing.
    ///
    /// It is called on the background task: hand the event to a queue if writing it takes time.
    pub fn on_event(mut self, hook: impl Fn(&JwksEvent<'_>) + Send + Sync + 'static) -> Self {
        self.on_event = Arc::new(hook);
        self
    }

    /// Fetches over `http:` too: whoever sits on the way then decides whose tokens are good.
    pub fn dangerous_allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Keys that are fetched with an `HttpClient` of their own. Nothing is fetched before the first token
    /// or [`RemoteJwks::refresh`].
    ///
    /// # Errors
    ///
    /// As for [`RemoteJwksBuilder::build_over`].
    #[cfg(feature = "http-client")]
    pub fn build(self) -> Result<RemoteJwks, ConfigError> {
        let client = crate::fetch::HttpClient::new();
        match self.allow_http {
            true => self.build_over(client.dangerous_allow_http()),
            false => self.build_over(client),
        }
    }

    /// Keys that are fetched with this client. Nothing is fetched before the first token or
    /// [`RemoteJwks::refresh`].
    ///
    /// # Errors
    ///
    /// If the address is not absolute, not `https:`, or has credentials or a fragment; if the bounds of
    /// refreshing cross or lie outside 1 second and 7 days; if the cooldown is under 1 second or over 24
    /// hours, the deadline zero or over 1 minute, the stale time over 7 days, or a cap zero; or if the seed
    /// is no set of keys.
    pub fn build_over(self, fetch: impl Fetch) -> Result<RemoteJwks, ConfigError> {
        self.check()?;
        let (from, target) = match self.from {
            From::Keys(uri) => {
                let target = Target::keys(&uri, self.allow_http)?;
                (shown(&uri), target)
            }
            From::Issuer(discovery, issuer) => {
                let target = Target::issuer(discovery, &issuer, self.allow_http)?;
                (issuer, target)
            }
        };
        let rules = SetRules {
            algorithms: self.algorithms,
            max_keys: self.max_keys,
        };
        let fetch = Arc::new(fetch);
        let loader = Loader::new(target, fetch, self.limits, rules, self.allow_http);
        let shared = Shared::new(
            from,
            loader,
            self.schedule,
            self.clock,
            self.background,
            self.on_event,
        );
        if let Some((document, at)) = self.seed {
            let given = format!("{} bytes", document.len());
            let wrong =
                |error| ConfigError::new("seed", given, format!("is not to be had: {error}"));
            shared.seed(document, at).map_err(wrong)?;
        }
        Ok(RemoteJwks::of(shared))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let within = |setting, given: Duration, least: Duration, most: Duration| {
            let expected = format!("must be between {least:?} and {most:?}");
            match given >= least && given <= most {
                true => Ok(()),
                false => Err(ConfigError::new(setting, format!("{given:?}"), expected)),
            }
        };
        let Schedule {
            least,
            most,
            cooldown,
            stale,
        } = self.schedule;
        let shortest = Duration::from_millis(1);
        within("refresh_between", least, LEAST_COOLDOWN, MOST_STALE)?;
        within("refresh_between", most, least, MOST_STALE)?;
        within("cooldown", cooldown, LEAST_COOLDOWN, DAY)?;
        within("serve_stale_for", stale, Duration::ZERO, MOST_STALE)?;
        within("deadline", self.limits.deadline, shortest, MOST_DEADLINE)?;
        for (setting, cap) in [
            ("max_bytes", self.limits.max_bytes),
            ("max_keys", self.max_keys),
        ] {
            if cap == 0 {
                return Err(ConfigError::new(setting, "0", "must be at least 1"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RemoteJwksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match &self.from {
            From::Keys(uri) => shown(uri),
            From::Issuer(_, issuer) => shown(issuer),
        };
        f.debug_struct("RemoteJwksBuilder")
            .field("from", &from)
            .field("algorithms", &self.algorithms)
            .field("limits", &self.limits)
            .field("schedule", &self.schedule)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}
