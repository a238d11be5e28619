//! The table by itself, and verifiers with and without it, which must always say the same.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::EncodingKey;
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::jwt::{
    JwtVerifier, KeySet, VerifyingKey, base64url,
    source::{KeySource, Keys, LiveKeys, Wait},
};

fn claims(of: u64) -> Claims {
    Claims::read(format!(r#"{{"jti":"{of}"}}"#).into_bytes()).expect("claims")
}

fn entries(cache: &Cache) -> usize {
    let table = cache.table.get().and_then(Option::as_ref);
    let sets = table.map_or(&[][..], |table| &table.sets);
    sets.iter().map(|set| lock(set).entries.len()).sum()
}

#[test]
fn it_holds_what_it_was_told_and_no_more() {
    for capacity in [0, 1, 7, 8, 9, 100, 1000] {
        let cache = Cache::new(capacity);
        for token in 0..4_u64 * 1000 {
            let Some(digest) = cache.digest(&token.to_le_bytes()) else {
                assert_eq!(capacity, 0);
                continue;
            };
            assert!(cache.find(digest, 0).is_none());
            cache.keep(digest, 0, &claims(token));
            // What was kept last is there.
            let found = cache.find(digest, 0).expect("it was kept");
            assert_eq!(found.jwt_id(), Some(&*token.to_string()));
        }
        let held = entries(&cache);
        assert!(
            held <= capacity && held * 10 >= capacity * 8,
            "{held} of {capacity}"
        );
    }
}

#[test]
fn it_has_room_for_no_more_than_there_can_be() {
    let cache = Cache::new(usize::MAX);
    let digest = cache.digest(b"token").expect("a digest");
    cache.keep(digest, 0, &claims(0));
    assert!(cache.find(digest, 0).is_some());
    assert_eq!(cache.capacity, MOST);
}

#[test]
fn the_entry_used_longest_ago_makes_room() {
    let cache = Cache::new(WAYS);
    let digest = |token: u8| cache.digest(&[token]).expect("a digest");
    for token in 0..WAYS as u8 {
        cache.keep(digest(token), 0, &claims(token.into()));
    }
    for newcomer in 100..200 {
        assert!(
            cache.find(digest(0), 0).is_some(),
            "in use, and gone at {newcomer}"
        );
        cache.keep(digest(newcomer), 0, &claims(newcomer.into()));
    }
    assert_eq!(entries(&cache), WAYS);
}

#[test]
fn entries_of_other_keys_are_not_found_and_make_room_first() {
    let cache = Cache::new(WAYS);
    let digest = |token: u8| cache.digest(&[token]).expect("a digest");
    for token in 0..WAYS as u8 {
        cache.keep(digest(token), u64::from(token == 3), &claims(token.into()));
    }
    assert!(cache.find(digest(3), 0).is_none() && cache.find(digest(3), 1).is_some());
    cache.keep(digest(100), 0, &claims(100));
    assert!(cache.find(digest(3), 1).is_none(), "it was of other keys");
    assert!(
        (0..WAYS as u8)
            .filter(|token| *token != 3)
            .all(|token| cache.find(digest(token), 0).is_some())
    );
    // The same token under new keys takes the place of itself.
    cache.keep(digest(0), 2, &claims(0));
    assert_eq!(entries(&cache), WAYS);
    assert!(cache.find(digest(0), 2).is_some() && cache.find(digest(1), 0).is_some());
}

#[test]
fn hashes_are_keyed_and_of_the_whole_token() {
    let (one, other) = (Cache::new(8), Cache::new(8));
    let hash = |cache: &Cache, token: &[u8]| cache.digest(token).map(|digest| digest.0);
    let token = [b'x'; LONGEST];
    assert_eq!(hash(&one, &token), hash(&one, &token));
    assert_ne!(hash(&one, &token), hash(&other, &token));
    assert_ne!(hash(&one, &token), hash(&one.clone(), &token));
    let mut changed = token;
    changed[LONGEST - 1] = b'y';
    assert_ne!(hash(&one, &token), hash(&one, &changed));
    assert_ne!(hash(&one, &token), hash(&one, &token[1..]));
    assert_eq!(hash(&one, &[b'x'; LONGEST + 1]), None);
}

/// Keys that a test replaces.
#[derive(Default)]
struct Changing(Mutex<(u64, Option<Arc<Keys>>)>);

impl Changing {
    fn replace(&self, set: Option<KeySet>) {
        let mut state = self.0.lock().expect("no test panics with it");
        state.0 += 1;
        let generation = state.0;
        state.1 = set.map(|set| Arc::new(Keys::new(set, generation)));
    }
}

impl LiveKeys for Changing {
    fn current(&self) -> Option<Arc<Keys>> {
        self.0.lock().expect("no test panics with it").1.clone()
    }

    fn missing(&self) -> Option<Wait> {
        None
    }

    fn due_in(&self) -> Duration {
        Duration::ZERO
    }
}

impl fmt::Debug for Changing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changing")
    }
}

/// Ed25519 keys: RFC 8032 section 7.1, tests 1 and 2, as base64url of secret and public key.
const PAIRS: [(&str, &str); 2] = [
    (
        "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    ),
    (
        "TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs",
        "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
    ),
];

/// The beginning of an Ed25519 key in PKCS#8 (RFC 8410 section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

fn token(pair: usize, claims: serde_json::Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": pair.to_string()}).to_string();
    let secret = base64url::decode(PAIRS[pair].0).expect("base64url");
    let key = EncodingKey::from_ed_der(&[&PKCS8[..], &secret].concat());
    let (header, claims) = (header.as_bytes(), claims.to_string());
    let text = [header, claims.as_bytes()].map(base64url::encode).join(".");
    let algorithm = jsonwebtoken::Algorithm::EdDSA;
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, algorithm);
    format!("{text}.{}", signature.expect("it signs"))
}

/// Tokens whose lives begin, end and overlap between the seconds 0 and 100, and some that are no good.
fn tokens() -> Vec<String> {
    let mut tokens = Vec::new();
    for pair in 0..PAIRS.len() {
        for times in [
            json!({"exp": 30, "iat": 0}),
            json!({"exp": 60, "nbf": 20, "iat": 20}),
            json!({"exp": 90, "iat": 40}),
            json!({"exp": 50.5, "nbf": 10.5, "iat": 10}),
            json!({"exp": 100, "iat": 90}),
            json!({"exp": 100, "iat": 0, "iss": "b"}),
            json!({"exp": 100, "iat": 0, "cnf": {}}),
            json!({"iat": 0}),
        ] {
            let mut claims = json!({"iss": "a", "aud": "b", "sub": "c"});
            for (name, value) in times.as_object().expect("an object") {
                claims[name] = value.clone();
            }
            tokens.push(token(pair, claims));
        }
    }
    let mut forged = tokens[0].clone();
    forged.replace_range(forged.len() - 20..forged.len() - 10, "AAAAAAAAAA");
    tokens.extend([forged, String::from("a.b.c"), "x".repeat(LONGEST + 1)]);
    tokens
}

/// The keys whose bits are set; none at all for 4.
fn keys(bits: u8) -> Option<KeySet> {
    let key = |pair: usize| {
        let jwk =
            json!({"kty": "OKP", "crv": "Ed25519", "x": PAIRS[pair].1, "kid": pair.to_string()});
        VerifyingKey::from_jwk_value(&jwk).expect("a key")
    };
    (bits < 4).then(|| {
        (0..PAIRS.len())
            .filter(|pair| bits >> pair & 1 == 1)
            .map(key)
            .collect()
    })
}

/// What happens to two verifiers of the same keys.
#[derive(Clone, Debug)]
enum Event {
    /// This token comes at this second.
    Token(usize, u64),
    /// The keys are now these.
    Keys(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..19_usize, 0..110_u64).prop_map(|(token, at)| Event::Token(token, at)),
        1 => (0..=4_u8).prop_map(Event::Keys),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_verifier_that_remembers_says_what_one_says_that_does_not(
        events in vec(event(), 0..80),
        capacity in prop_oneof![Just(1_usize), Just(5), Just(4096)],
        leeway in prop_oneof![Just(0_u64), Just(5)],
        max_age in prop_oneof![Just(None), Just(Some(25_u64))],
    ) {
        let tokens = tokens();
        prop_assert_eq!(tokens.len(), 19);
        let source = Arc::new(Changing::default());
        source.replace(keys(3));
        let mut verifier = JwtVerifier::builder(KeySource::live(Arc::clone(&source) as _))
            .issuer("a")
            .audience("b")
            .leeway(Duration::from_secs(leeway))
            .expect("a small leeway");
        if let Some(age) = max_age {
            verifier = verifier.max_age(Duration::from_secs(age));
        }
        let (with, without) = (verifier.clone().cache_capacity(capacity), verifier.without_cache());
        for event in events {
            match event {
                Event::Keys(bits) => source.replace(keys(bits)),
                Event::Token(token, at) => {
                    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
                    // Twice, so that it is there the second time, if it may be.
                    for _ in 0..2 {
                        let verdicts = [&with, &without].map(|verifier| {
                            verifier.verify(&tokens[token], now).map(|claims| format!("{claims:?}"))
                        });
                        prop_assert_eq!(&verdicts[0], &verdicts[1], "token {} at {}", token, at);
                    }
                }
            }
        }
    }
}

#[test]
fn a_token_that_is_remembered_dies_with_its_key_and_with_its_time() {
    let source = Arc::new(Changing::default());
    source.replace(keys(3));
    let verifier = JwtVerifier::builder(KeySource::live(Arc::clone(&source) as _))
        .issuer("a")
        .audience("b");
    let token = token(0, json!({"iss": "a", "aud": "b", "exp": 50}));
    let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let first = verifier.verify(&token, at(10)).expect("it is good");
    let again = verifier.verify(&token, at(49)).expect("it is good");
    assert!(first.is_same(&again), "it was remembered");
    assert!(verifier.verify(&token, at(50)).is_err(), "it has expired");

    source.replace(keys(2));
    assert!(verifier.verify(&token, at(10)).is_err(), "its key is gone");
    source.replace(None);
    assert!(
        verifier.verify(&token, at(10)).is_err(),
        "all keys are gone"
    );
    source.replace(keys(1));
    let anew = verifier.verify(&token, at(10)).expect("its key is back");
    assert!(!first.is_same(&anew), "it was verified anew");

    let changed = verifier.clone().subject("d");
    assert!(changed.verify(&token, at(10)).is_err(), "settings count");
    assert!(verifier.subject("d").verify(&token, at(10)).is_err());
}

#[test]
fn a_key_that_takes_over_an_id_takes_over_no_tokens() {
    let key = |pair: usize| {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": PAIRS[pair].1, "kid": "0"});
        Some(KeySet::from(
            VerifyingKey::from_jwk_value(&jwk).expect("a key"),
        ))
    };
    let source = Arc::new(Changing::default());
    let remembering = JwtVerifier::builder(KeySource::live(Arc::clone(&source) as _))
        .issuer("a")
        .audience("b");
    // Its header is remembered all the same.
    let other = remembering.clone().without_cache();
    let token = token(0, json!({"iss": "a", "aud": "b", "exp": 50}));
    for verifier in [remembering, other] {
        for pair in [0, 1, 0] {
            source.replace(key(pair));
            for _ in 0..2 {
                let accepted = verifier.verify(&token, SystemTime::UNIX_EPOCH).is_ok();
                assert_eq!(accepted, pair == 0);
            }
        }
    }
}

#[test]
fn a_verifier_may_remember_nothing() {
    let token = token(0, json!({"iss": "a", "aud": "b", "exp": 50}));
    let verifier = JwtVerifier::builder(keys(1).expect("a key"))
        .issuer("a")
        .audience("b");
    let again = |verifier: &JwtVerifier| {
        let [one, other] = [0, 1].map(|second| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            verifier.verify(&token, now).expect("it is good")
        });
        one.is_same(&other)
    };
    assert!(again(&verifier));
    assert!(!again(&verifier.clone().without_cache()));
    assert!(!again(&verifier.clone().cache_capacity(0)));
    assert!(again(&verifier.without_cache().cache_capacity(1)));
}
