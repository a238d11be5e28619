//! What cannot be built.

use std::time::{Duration, SystemTime};

use portcullis::jwt::{RemoteJwks, RemoteJwksBuilder};

use crate::support::{HOUR, MINUTE, SECOND};

fn builder() -> RemoteJwksBuilder {
    RemoteJwks::builder("https://login.example.com/keys?key=hidden")
}

#[test]
fn addresses_must_be_absolute_and_over_tls() {
    for address in [
        "",
        "/keys",
        "login.example.com/keys",
        "http://login.example.com/keys",
        "https://user@login.example.com/keys",
        "https://login.example.com/#keys",
        "javascript:alert(1)",
        "unix:///run/keys",
    ] {
        assert!(RemoteJwks::builder(address).build().is_err(), "{address}");
        assert!(RemoteJwks::discover(address).build().is_err(), "{address}");
    }
    let loopback = || RemoteJwks::builder("http://127.0.0.1/keys");
    assert!(loopback().build().is_err());
    assert!(loopback().dangerous_allow_http().build().is_ok());
    assert!(
        RemoteJwks::discover("https://a.example/?q")
            .build()
            .is_err()
    );
}

#[test]
fn times_and_caps_have_bounds() {
    let day = 24 * HOUR;
    for bad in [
        builder().refresh_between(Duration::ZERO, HOUR),
        builder().refresh_between(HOUR, MINUTE),
        builder().refresh_between(HOUR, 8 * day),
        builder().cooldown(Duration::ZERO),
        builder().cooldown(2 * day),
        builder().serve_stale_for(8 * day),
        builder().deadline(Duration::ZERO),
        builder().deadline(2 * MINUTE),
        builder().max_bytes(0),
        builder().max_keys(0),
        builder().seed("no keys", SystemTime::now()),
        builder().seed(r#"{"keys":[]}"#, SystemTime::now()),
    ] {
        let shown = format!("{bad:?}");
        assert!(bad.build().is_err(), "{shown}");
    }
    let good = builder()
        .refresh_between(SECOND, 7 * day)
        .cooldown(SECOND)
        .serve_stale_for(Duration::ZERO)
        .deadline(MINUTE)
        .max_bytes(1)
        .max_keys(1);
    assert!(good.build().is_ok());
}

#[test]
fn no_error_and_no_debug_holds_the_secret_of_an_address() {
    for address in [
        "https://user:hunter2@login.example.com/keys",
        "user:hunter2@login.example.com",
        "http://login.example.com/keys?key=hunter2",
        "https://login.example.com/#hunter2",
    ] {
        for builder in [
            RemoteJwks::builder(address),
            RemoteJwks::discover(address),
            RemoteJwks::discover_oauth(address),
        ] {
            let debug = format!("{builder:?}");
            let error = builder.build().expect_err(address);
            let all = format!("{debug} {error} {error:?}");
            assert!(!all.contains("hunter2"), "{all}");
        }
    }
}

#[test]
fn a_query_is_not_shown() {
    let built = builder();
    assert!(!format!("{built:?}").contains("hidden"));
    let keys = built.build().expect("keys");
    assert!(!format!("{keys:?}").contains("hidden"));
    assert!(format!("{keys:?}").contains("https://login.example.com/keys"));
}
