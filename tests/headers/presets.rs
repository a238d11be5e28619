use http::HeaderMap;
use portcullis::headers::{CspNonce, PermissionsPolicy, SecurityHeadersLayer};

use crate::support::{empty, serve};

const HELMET: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';\
         frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';\
         script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    (
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

const API: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none';frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    (
        "strict-transport-security",
        "max-age=63072000; includeSubDomains",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

fn sorted(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let mut fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    fields.sort_unstable();
    fields
}

#[test]
fn new_is_helmets_default_to_the_letter() {
    assert_eq!(sorted(&serve(&SecurityHeadersLayer::new(), &[])), HELMET);
    assert_eq!(
        sorted(&serve(&SecurityHeadersLayer::default(), &[])),
        HELMET
    );
}

#[test]
fn api_has_no_baggage_of_pages() {
    assert_eq!(sorted(&serve(&SecurityHeadersLayer::api(), &[])), API);
}

#[test]
fn empty_sets_nothing() {
    assert_eq!(serve(&empty(), &[]).len(), 0);
}

#[test]
fn strict_is_helmets_and_more() {
    let headers = serve(&SecurityHeadersLayer::strict(), &[]);
    let policy = headers["content-security-policy"].to_str().unwrap();
    let nonce = policy.split("'nonce-").nth(1).unwrap();
    let nonce = &nonce[..nonce.find('\'').unwrap()];
    assert_eq!(
        policy,
        format!(
            "default-src 'none';script-src 'nonce-{nonce}' 'strict-dynamic';\
             style-src 'self' 'nonce-{nonce}';img-src 'self';font-src 'self';connect-src 'self';\
             manifest-src 'self';object-src 'none';base-uri 'none';form-action 'self';\
             frame-ancestors 'none';upgrade-insecure-requests"
        )
    );
    let more = [
        ("cross-origin-embedder-policy", "require-corp"),
        (
            "permissions-policy",
            &PermissionsPolicy::deny_powerful().to_string(),
        ),
        (
            "strict-transport-security",
            "max-age=63072000; includeSubDomains",
        ),
        ("x-frame-options", "DENY"),
    ];
    let mut expected: Vec<_> = HELMET
        .iter()
        .copied()
        .filter(|(name, _)| !more.iter().any(|(known, _)| known == name))
        .chain(more)
        .filter(|(name, _)| *name != "content-security-policy")
        .chain([("content-security-policy", policy)])
        .collect();
    expected.sort_unstable();
    assert_eq!(sorted(&headers), expected);
}

/// The mark of MDN HTTP Observatory for a page without cookies, without CORS and without subresources, that
/// is reached by a redirect to HTTPS. Bonuses count from 90 on.
fn observatory(headers: &HeaderMap) -> i32 {
    let get = |name: &str| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let (mut malus, mut bonus) = (0, 0);

    let policy = get("content-security-policy");
    let directive = |name: &str| {
        policy.split(';').find_map(|directive| {
            let (found, sources) = directive.split_once(' ').unwrap_or((directive, ""));
            (found == name).then_some(sources)
        })
    };
    let scripts = directive("script-src")
        .or(directive("default-src"))
        .unwrap_or("*");
    let styles = directive("style-src")
        .or(directive("default-src"))
        .unwrap_or("*");
    let open = |sources: &str| {
        sources
            .split(' ')
            .any(|s| ["*", "https:", "http:", "data:"].contains(&s))
    };
    if policy.is_empty() {
        malus += 25;
    } else if scripts.contains("'unsafe-inline'") || open(scripts) {
        malus += 20;
    } else if scripts.contains("'unsafe-eval'") {
        malus += 10;
    } else if styles.contains("'unsafe-inline'") || open(styles) {
        // Nothing either way.
    } else if directive("default-src") == Some("'none'") {
        bonus += 10;
    } else {
        bonus += 5;
    }

    match get("strict-transport-security") {
        "" => malus += 20,
        hsts => {
            let age = hsts.strip_prefix("max-age=").unwrap();
            let age: u64 = age.split(';').next().unwrap().parse().unwrap();
            malus += if age < 15_552_000 { 10 } else { 0 };
        }
    }
    if directive("frame-ancestors").is_some_and(|who| who == "'none'" || who == "'self'") {
        bonus += 5;
    } else if get("x-frame-options").is_empty() {
        malus += 20;
    }
    malus += if get("x-content-type-options") == "nosniff" {
        0
    } else {
        5
    };
    match get("referrer-policy") {
        "no-referrer" | "same-origin" | "strict-origin" | "strict-origin-when-cross-origin" => {
            bonus += 5
        }
        "" => {}
        _ => malus += 5,
    }
    bonus += if get("cross-origin-resource-policy") == "same-origin" {
        10
    } else {
        0
    };
    bonus += if get("cross-origin-opener-policy") == "same-origin" {
        10
    } else {
        0
    };
    bonus += if get("cross-origin-embedder-policy") == "require-corp" {
        10
    } else {
        0
    };

    let base = 100 - malus;
    if base >= 90 { base + bonus } else { base }
}

#[test]
fn the_observatory_gives_strict_its_best_mark() {
    let mark = |layer: &SecurityHeadersLayer| observatory(&serve(layer, &[]));
    // Every bonus there is but for being in the preload list already.
    assert_eq!(
        mark(&SecurityHeadersLayer::strict()),
        100 + 10 + 5 + 5 + 10 + 10 + 10
    );
    assert_eq!(mark(&SecurityHeadersLayer::new()), 100 + 5 + 5 + 10 + 10);
    assert_eq!(mark(&SecurityHeadersLayer::api()), 100 + 10 + 5 + 5 + 10);
    assert_eq!(mark(&empty()), 100 - 25 - 20 - 20 - 5);
}

/// OWASP ASVS 5.0, section 3.4.
#[test]
fn strict_and_api_meet_asvs_3_4() {
    for layer in [SecurityHeadersLayer::strict(), SecurityHeadersLayer::api()] {
        let headers = serve(&layer, &[]);
        let get = |name: &str| headers[name].to_str().unwrap();
        assert!(
            get("strict-transport-security").contains("includeSubDomains"),
            "3.4.1"
        );
        let policy = get("content-security-policy");
        let none = |name: &str| policy.contains(&format!("{name} 'none'"));
        assert!(none("object-src") || none("default-src"), "3.4.3");
        assert_eq!(get("x-content-type-options"), "nosniff", "3.4.4");
        assert_eq!(get("referrer-policy"), "no-referrer", "3.4.5");
        assert!(none("frame-ancestors"), "3.4.6");
    }
    let strict = serve(&SecurityHeadersLayer::strict(), &[]);
    let policy = strict["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("base-uri 'none'"), "3.4.3");
    assert_eq!(strict["cross-origin-opener-policy"], "same-origin", "3.4.8");
}

#[test]
fn a_layer_shows_what_it_is_and_no_nonce() {
    let shown = format!("{:?}", SecurityHeadersLayer::strict());
    assert!(shown.contains("nosniff"), "{shown}");
    assert!(
        !shown.contains(std::any::type_name::<CspNonce>()),
        "{shown}"
    );
}
