//! What a store can be configured with, and that no password is shown.

use std::time::Duration;

use portcullis::store::{RedisSentinel, RedisStore};

const PASSWORD: &str = "hunter2-hunter2";

#[test]
fn takes_every_kind_of_url() {
    let mut urls = vec![
        "redis://localhost",
        "redis://localhost:6379/3",
        "redis://user:pass%20word@localhost:6379",
        "redis://[::1]:6379/",
        "unix:///run/redis.sock?db=2",
    ];
    if cfg!(feature = "aws-lc") {
        urls.push("rediss://localhost:6380");
    }
    for url in urls {
        assert!(RedisStore::new(url).is_ok(), "{url}");
    }
}

#[test]
fn refuses_what_it_cannot_use_without_showing_it() {
    for url in [
        format!("http://user:{PASSWORD}@localhost"),
        format!("redis://user:{PASSWORD}@localhost/notanumber"),
        format!("redis://user:{PASSWORD}@"),
        format!("rediss://user:{PASSWORD}@localhost:6380#insecure"),
        PASSWORD.to_owned(),
        String::new(),
    ] {
        let error = RedisStore::new(&url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error}");
        let error = RedisStore::cluster([url.as_str()]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error}");
        let sentinel = RedisSentinel::new([url.as_str()], "main");
        let error = RedisStore::sentinel(&sentinel).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error}");
    }
    let (one, two) = ("redis://:one-one-one@a", "redis://:two-two-two@b");
    let error = RedisStore::cluster([one, two]).unwrap_err();
    assert!(!format!("{error:?}").contains("-one") && !format!("{error:?}").contains("-two"));
    assert!(RedisStore::cluster([]).is_err());
    assert!(RedisStore::cluster(["redis://localhost/1"]).is_err());
    assert!(RedisStore::sentinel(&RedisSentinel::new([], "main")).is_err());
    assert!(RedisStore::sentinel(&RedisSentinel::new(["redis://a:26379"], "")).is_err());
}

/// Instead of rustls' panic when it is asked for a provider that it has not got.
#[cfg(not(feature = "aws-lc"))]
#[test]
fn refuses_tls_without_a_crypto_provider() {
    let error = RedisStore::new("rediss://localhost:6380").unwrap_err();
    assert!(error.to_string().contains("crypto provider"), "{error}");
}

#[test]
fn shows_no_password() {
    let url = format!("redis://user:{PASSWORD}@localhost:6379");
    let sentinel = RedisSentinel::new([url.as_str()], "main").password(PASSWORD);
    let stores = [
        RedisStore::new(&url).unwrap(),
        RedisStore::cluster([url.as_str()]).unwrap(),
        RedisStore::sentinel(&sentinel).unwrap(),
    ];
    let shown = format!("{stores:?} {sentinel:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[test]
fn bounds_prefixes_and_deadlines() {
    let store = RedisStore::new("redis://localhost").unwrap();
    let prefix = |prefix: &str| store.clone().key_prefix(prefix);
    assert!(prefix("").is_ok() && prefix("my-app.v1:eu/west_2~").is_ok());
    for bad in ["{tag}", "a b", "a\n", "ä", "*", &"a".repeat(129)] {
        assert!(prefix(bad).is_err(), "{bad}");
    }
    let deadline = |deadline| store.clone().deadline(deadline);
    assert!(deadline(Duration::from_millis(1)).is_ok());
    assert!(deadline(Duration::from_secs(60)).is_ok());
    assert!(deadline(Duration::from_micros(999)).is_err());
    assert!(deadline(Duration::from_millis(60_001)).is_err());
}
