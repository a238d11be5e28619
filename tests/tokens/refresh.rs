//! Refresh tokens, apart from the stores.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use portcullis::{
    audit::AuditEvent,
    clock::ManualClock,
    store::{MemoryStore, Reply, StoreError, StoreErrorKind},
    tokens::{
        FamilyId, NewFamily, RefreshErrorKind, RefreshTokenStore, RefreshTokens, Turn, Turned,
        subject_tag,
    },
};
use proptest::prelude::*;

use crate::{
    mint::{self, NOW},
    stores::{KEY, bench},
};

const HOUR: Duration = Duration::from_secs(3600);

/// A store that can answer nothing.
struct Broken;

fn broken<T: Send + 'static>() -> Reply<T> {
    Reply::Wait(Box::pin(async {
        Err(StoreError::new(StoreErrorKind::Timeout))
    }))
}

impl RefreshTokenStore for Broken {
    fn begin(&self, _: &NewFamily<'_>, _: SystemTime) -> Reply<()> {
        broken()
    }

    fn rotate(&self, _: &Turn, _: SystemTime) -> Reply<Turned> {
        broken()
    }

    fn revoke_family(&self, _: FamilyId, _: SystemTime) -> Reply<bool> {
        broken()
    }

    fn revoke_subject(&self, _: &str, _: SystemTime) -> Reply<u64> {
        broken()
    }
}

/// Writes down every turn on its way to the memory.
struct Watched(MemoryStore, Arc<Mutex<Vec<String>>>);

impl RefreshTokenStore for Watched {
    fn begin(&self, family: &NewFamily<'_>, now: SystemTime) -> Reply<()> {
        self.1
            .lock()
            .unwrap()
            .push(format!("{family:?} {:?}", mint::encode(family.hash)));
        self.0.begin(family, now)
    }

    fn rotate(&self, turn: &Turn, now: SystemTime) -> Reply<Turned> {
        let hashes = [mint::encode(turn.presented), mint::encode(turn.successor)];
        self.1.lock().unwrap().push(format!("{turn:?} {hashes:?}"));
        self.0.rotate(turn, now)
    }

    fn revoke_family(&self, family: FamilyId, now: SystemTime) -> Reply<bool> {
        self.0.revoke_family(family, now)
    }

    fn revoke_subject(&self, subject: &str, now: SystemTime) -> Reply<u64> {
        self.0.revoke_subject(subject, now)
    }
}

#[tokio::test]
async fn a_store_sees_hashes_only_and_nothing_shows_a_token() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let bench = bench(Watched(MemoryStore::new(), Arc::clone(&seen)));
    let first = bench.refresh.begin("user-7", "").await.unwrap();
    let second = bench.refresh.rotate(first.expose()).await.unwrap();
    let seen = seen.lock().unwrap().join("\n");
    let shown = format!("{seen}{first:?}{second:?}{:?}", bench.refresh);
    for token in [&first, second.token()] {
        // Family and generation are no secrets; the 48 bytes after them are.
        let bytes = mint::decode(token.expose());
        assert_eq!(bytes.len(), 108);
        let secret = &bytes[28..];
        assert!(!shown.contains(token.expose()));
        for window in secret.windows(4) {
            let listed = format!("{window:?}");
            assert!(!shown.contains(listed.trim_matches(['[', ']'])), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_accepts_nothing_and_is_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let good = bench(MemoryStore::new());
    let token = good.refresh.begin("user-7", "").await.unwrap();
    let refresh = RefreshTokens::new(KEY)
        .unwrap()
        .with_store(Broken)
        .with_audit(move |event: &AuditEvent<'_>| sink.lock().unwrap().push(event.to_string()));
    let kinds = [
        refresh.begin("user-7", "").await.unwrap_err(),
        refresh.rotate(token.expose()).await.unwrap_err(),
        refresh.revoke(token.expose()).await.unwrap_err(),
        refresh.revoke_subject("user-7").await.unwrap_err(),
    ];
    for error in kinds {
        assert_eq!(error.kind(), RefreshErrorKind::StoreUnavailable);
        assert!(std::error::Error::source(&error).is_some());
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 4);
    assert!(told[0].starts_with(
        "event=sys_dependency_fail layer=refresh_tokens code=refresh_store_unavailable"
    ));
}

#[tokio::test]
async fn reuse_is_told_with_its_kind_and_whose_it_is() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let refresh = RefreshTokens::new(KEY)
        .unwrap()
        .with_clock(clock.clone())
        .with_audit(move |event: &AuditEvent<'_>| sink.lock().unwrap().push(event.to_string()));
    let first = refresh.begin("user-7", "").await.unwrap();
    refresh.rotate(first.expose()).await.unwrap();
    clock.advance(HOUR);
    for _ in 0..2 {
        assert!(refresh.rotate(first.expose()).await.is_err());
    }
    assert_eq!(
        *told.lock().unwrap(),
        [
            "event=authn_token_reuse layer=refresh_tokens code=refresh_reuse_predecessor status=400 method=\"\" path=\"\" subject=\"user-7\""
        ]
    );
}

#[tokio::test]
async fn what_was_never_handed_out_reaches_no_store_and_ends_nothing() {
    let bench = bench(MemoryStore::new());
    let token = bench.refresh.begin("user-7", "").await.unwrap();
    let text = token.expose();
    // Every bit of it.
    for at in 0..108 * 8 {
        let mut bytes = mint::decode(text);
        bytes[at / 8] ^= 1 << (at % 8);
        let error = bench
            .refresh
            .rotate(&mint::encode(bytes))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), RefreshErrorKind::Malformed, "bit {at}");
    }
    for wrong in [
        "",
        "x",
        &text[1..],
        &format!("{text}A"),
        &format!("{text}="),
    ] {
        assert_eq!(
            bench.refresh.rotate(wrong).await.unwrap_err().kind(),
            RefreshErrorKind::Malformed
        );
        assert_eq!(
            bench.refresh.revoke(wrong).await.unwrap_err().kind(),
            RefreshErrorKind::Malformed
        );
    }
    // Under another key it is nothing.
    let stranger = RefreshTokens::new("another key of the service, of 32 bytes or more").unwrap();
    assert_eq!(
        stranger.rotate(text).await.unwrap_err().kind(),
        RefreshErrorKind::Malformed
    );
    assert!(bench.refresh.rotate(text).await.is_ok());
}

#[tokio::test]
async fn keys_are_replaced_without_signing_anybody_out() {
    const NEW: &str = "a newer key of the service, also of 32 bytes or more";
    let store = Arc::new(MemoryStore::new());
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let with = |key: &str, other: Option<&str>| {
        let refresh = RefreshTokens::new(key)
            .unwrap()
            .with_store(Arc::clone(&store))
            .with_clock(clock.clone());
        match other {
            Some(other) => refresh.add_other_key(other).unwrap(),
            None => refresh,
        }
    };
    let (before, aware, after) = (with(KEY, None), with(KEY, Some(NEW)), with(NEW, Some(KEY)));
    let first = before.begin("user-7", "").await.unwrap();
    // The old and the new instance, in the same moment: one successor.
    let second = after.rotate(first.expose()).await.unwrap();
    let again = aware.rotate(first.expose()).await.unwrap();
    assert!(again.is_again());
    let third = aware.rotate(second.token().expose()).await.unwrap();
    // Two generations on, made under two keys.
    let live = after.rotate(first.expose()).await.unwrap();
    assert_eq!(live.token().generation(), 2);
    for token in [third.token(), live.token()] {
        assert!(after.rotate(token.expose()).await.is_ok());
    }
    // An instance that does not know the new key decides nothing, and ends nothing.
    let first = before.begin("user-8", "").await.unwrap();
    let second = after.rotate(first.expose()).await.unwrap();
    let unknown = before.rotate(first.expose()).await.unwrap_err();
    assert_eq!(unknown.kind(), RefreshErrorKind::SuccessorUnknown);
    assert!(after.rotate(second.token().expose()).await.is_ok());
    assert!(with(KEY, None).add_other_key("short").is_err());
}

#[tokio::test]
async fn memory_is_bounded_and_what_lives_is_not_forgotten() {
    let bench = bench(MemoryStore::bounded(64));
    let mut tokens = Vec::new();
    for user in 0..64 {
        tokens.push(
            bench
                .refresh
                .begin(&format!("user-{user}"), "")
                .await
                .unwrap(),
        );
    }
    let full = bench.refresh.begin("user-65", "").await.unwrap_err();
    assert_eq!(full.kind(), RefreshErrorKind::StoreUnavailable);
    // Revoked is not forgotten: the store must still know that they are.
    bench
        .refresh
        .revoke_family(tokens[0].family())
        .await
        .unwrap();
    assert!(bench.refresh.begin("user-65", "").await.is_err());
    for token in &tokens[1..] {
        assert!(bench.refresh.rotate(token.expose()).await.is_ok());
    }
    // What has expired makes room.
    bench.clock.advance(8 * 24 * HOUR);
    assert!(bench.refresh.begin("user-65", "").await.is_ok());
}

#[tokio::test]
async fn keys_are_not_tried_without_end() {
    let store = Arc::new(MemoryStore::new());
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let with = |order: &[usize]| {
        let key = |at: &usize| format!("{KEY}, number {at}");
        let mut refresh = RefreshTokens::new(key(&order[0])).unwrap();
        for other in &order[1..] {
            refresh = refresh.add_other_key(key(other)).unwrap();
        }
        refresh
            .with_store(Arc::clone(&store))
            .with_clock(clock.clone())
    };
    for (here, there, is_found) in [
        (&[0, 1][..], &[1, 0][..], true),
        (&[0, 1, 2, 3], &[3, 0, 1, 2], false),
    ] {
        let (here, there) = (with(here), with(there));
        let first = there.begin("user-7", "").await.unwrap();
        let mut live = first.clone();
        for _ in 0..8 {
            live = there.rotate(live.expose()).await.unwrap().token().clone();
        }
        // The last of all the chains that there may be.
        let again = here.rotate(first.expose()).await;
        match is_found {
            true => assert_eq!(again.unwrap().token().generation(), 8),
            false => assert_eq!(
                again.unwrap_err().kind(),
                RefreshErrorKind::SuccessorUnknown
            ),
        }
        // Whoever made them finds them at once, and whoever did not ends nothing.
        assert_eq!(*there.rotate(first.expose()).await.unwrap().token(), live);
        assert!(here.rotate(live.expose()).await.is_ok());
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused() {
    let bench = bench(MemoryStore::new());
    assert!(bench.refresh.begin("", "").await.is_err());
    assert!(bench.refresh.begin(&"u".repeat(1025), "").await.is_err());
    assert!(
        bench
            .refresh
            .begin("u", &"p".repeat(16 * 1024 + 1))
            .await
            .is_err()
    );
    let most = bench
        .refresh
        .begin(&"u".repeat(1024), &"p".repeat(16 * 1024))
        .await
        .unwrap();
    assert_eq!(
        bench
            .refresh
            .rotate(most.expose())
            .await
            .unwrap()
            .payload()
            .len(),
        16 * 1024
    );

    assert!(RefreshTokens::new("31 bytes are one byte too short").is_err());
    let refresh = || RefreshTokens::new(KEY).unwrap();
    assert!(
        refresh().grace(Duration::from_secs(301)).is_err()
            && refresh().grace(Duration::ZERO).is_ok()
    );
    assert!(refresh().idle(Duration::ZERO).is_err() && refresh().absolute(Duration::ZERO).is_err());
    assert!(
        refresh().idle(401 * 24 * HOUR).is_err() && refresh().absolute(401 * 24 * HOUR).is_err()
    );
}

#[test]
fn a_family_is_named_by_text() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let bench = bench(MemoryStore::new());
    let token = runtime.block_on(bench.refresh.begin("user-7", "")).unwrap();
    let family = token.family();
    assert_eq!(family.to_string().parse::<FamilyId>().unwrap(), family);
    assert_eq!(family.subject_tag(), subject_tag("user-7"));
    assert!("x".parse::<FamilyId>().is_err());
}

proptest! {
    #[test]
    fn no_text_is_taken_for_a_token(text in any::<String>(), bytes in any::<[u8; 32]>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bench = bench(MemoryStore::new());
        let whole = mint::encode([&bytes[..], &bytes, &bytes, &bytes[..12]].concat());
        for text in [text, whole] {
            let refused = runtime.block_on(bench.refresh.rotate(&text)).unwrap_err();
            prop_assert_eq!(refused.kind(), RefreshErrorKind::Malformed);
        }
    }
}
