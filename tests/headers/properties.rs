//! Whatever it is given, a builder writes what it was told or refuses.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use portcullis::headers::{
    ContentSecurityPolicy, HttpsRedirectLayer, PermissionsAllow, PermissionsFeature,
    PermissionsPolicy, Referrer, ReportingEndpoints, SecurityHeadersLayer, Source, XFrameOptions,
};
use proptest::prelude::*;

use crate::support::{empty, serve, serve_request};

/// Text that is near to a policy, so that much of it gets through.
fn policy_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "default-src",
        "'self'",
        "'none'",
        "'nonce'",
        "nonce",
        "*",
        "https:",
        "a.example",
        "'",
        ";",
        ",",
        "\r\n",
        "\n",
        " ",
        "\t",
        "\0",
        "-",
        "sha256-",
        "'sha256-",
        "x",
        "é",
        "\u{7f}",
        "Set-Cookie: a=b",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(word, 0..8).prop_map(|words| words.concat()),
    ]
}

/// The one field of a layer: no line can end in it, and it is the text of `written`.
fn assert_sound(layer: SecurityHeadersLayer, name: &str) -> String {
    let headers = serve(&layer, &[]);
    assert_eq!(headers.len(), 1);
    let value = headers[name].to_str().unwrap();
    assert!(
        value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)),
        "{value:?}"
    );
    value.to_owned()
}

proptest! {
    #[test]
    fn a_source_is_one_source_of_its_directive(source in policy_like(), other in policy_like()) {
        let builder = ContentSecurityPolicy::builder()
            .default_src([Source::SELF])
            .img_src([source.as_str(), other.as_str()]);
        if let Ok(policy) = builder.build() {
            let value = assert_sound(empty().content_security_policy(policy), "content-security-policy");
            prop_assert!(!value.contains(','));
            let directives: Vec<&str> = value.split(';').collect();
            prop_assert_eq!(directives.len(), 2);
            let words: Vec<&str> = directives[1].split(' ').collect();
            prop_assert_eq!(words.len(), 3);
        }
    }

    #[test]
    fn a_name_is_one_directive(name in policy_like(), source in "[a-z.]{1,9}") {
        let builder = ContentSecurityPolicy::builder()
            .default_src([Source::SELF])
            .directive(name.clone(), [source.as_str()]);
        if let Ok(policy) = builder.build() {
            let value = assert_sound(empty().content_security_policy(policy), "content-security-policy");
            let expected = match name.as_str() {
                "default-src" => format!("default-src {source}"),
                _ => format!("default-src 'self';{name} {source}"),
            };
            prop_assert_eq!(value, expected);
        }
    }

    #[test]
    fn a_policy_that_is_read_reads_the_same_again(text in policy_like()) {
        let text = format!("default-src 'self';{text}");
        if let Ok(policy) = text.parse::<ContentSecurityPolicy>() {
            prop_assert_eq!(policy.as_str().parse(), Ok(policy.clone()));
            assert_sound(empty().content_security_policy_report_only(policy), "content-security-policy-report-only");
        }
    }

    #[test]
    fn permissions_are_what_they_were_told(feature in policy_like(), origin in policy_like()) {
        let Ok(feature) = PermissionsFeature::custom(feature) else { return Ok(()) };
        let written = PermissionsPolicy::builder()
            .allow(feature.clone(), [PermissionsAllow::from(origin.as_str())])
            .build();
        if let Ok(policy) = written {
            let value = assert_sound(empty().permissions_policy(policy), "permissions-policy");
            prop_assert_eq!(value, format!("{}=(\"{origin}\")", feature.as_str()));
        }
        let denied = PermissionsPolicy::builder().deny(feature).build().unwrap();
        assert_sound(empty().permissions_policy(denied), "permissions-policy");
    }

    #[test]
    fn endpoints_are_what_they_were_told(name in "[a-z*\"=,\r\n]{0,5}|.*", url in "(https://[a-z.\"\\\\ ]*)|(/.*)|.*") {
        if let Ok(endpoints) = ReportingEndpoints::new([(name.as_str(), url.as_str())]) {
            let value = assert_sound(empty().reporting_endpoints(endpoints), "reporting-endpoints");
            prop_assert_eq!(value.matches('"').count(), 2);
            prop_assert_eq!(value, format!("{name}=\"{url}\""));
        }
    }

    #[test]
    fn words_are_read_or_refused(text in any::<String>()) {
        if let Ok(policy) = text.parse::<Referrer>() {
            prop_assert_eq!(policy.as_str(), text.as_str());
        }
        if let Ok(options) = text.parse::<XFrameOptions>() {
            prop_assert!(text.to_ascii_uppercase().replace('-', "") == options.as_str());
        }
    }

    #[test]
    fn a_response_keeps_its_fields_and_gets_each_of_ours_once(
        own in prop::collection::vec(("[a-c]{1,2}|x-frame-options|content-security-policy|server", "[ -~]{0,9}"), 0..60),
    ) {
        let layer = SecurityHeadersLayer::strict();
        let mut expected = HeaderMap::new();
        let handler = tower::service_fn(async |_: Request<()>| {
            let mut response = http::Response::new(());
            for (name, value) in &own {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                response.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
            }
            Ok::<_, std::convert::Infallible>(response)
        });
        for (name, value) in own.iter().filter(|(name, _)| name != "server") {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            expected.append(name, HeaderValue::from_str(value).unwrap());
        }
        let service = tower::Layer::layer(&layer, handler);
        let response = crate::support::now(tower::ServiceExt::oneshot(service, Request::new(()))).unwrap();
        for name in expected.keys() {
            let got: Vec<_> = response.headers().get_all(name).iter().collect();
            let own: Vec<_> = expected.get_all(name).iter().collect();
            prop_assert_eq!(got, own);
        }
        let ours = serve_request(&layer, Request::new(()), &[]);
        for name in ours.headers().keys().filter(|name| !expected.contains_key(*name)) {
            prop_assert_eq!(response.headers().get_all(name).iter().count(), 1);
        }
        prop_assert!(!response.headers().contains_key("server"));
    }

    #[test]
    fn a_redirect_stays_on_the_host_that_was_asked(
        host in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[a-zA-Z0-9.:\\[\\]@/\\\\_-]{0,30}".prop_map(String::into_bytes),
            "[a-zA-Z0-9-]{1,9}(\\.[a-z]{1,9}){0,2}(:[0-9]{0,5})?".prop_map(String::into_bytes),
        ],
        target in prop_oneof![
            any::<String>(),
            "[/\\\\a-z.:@?#%*\"{}|^ ]{0,30}",
            "/[/\\\\a-z.:@?#%]{0,30}",
        ],
        forwarded in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut request = Request::new(());
        if let Ok(host) = HeaderValue::from_bytes(&host) {
            request.headers_mut().insert("host", host);
        }
        if let Ok(value) = HeaderValue::from_bytes(&forwarded) {
            request.headers_mut().insert("x-forwarded-host", value.clone());
            request.headers_mut().insert("forwarded", value);
        }
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
        let pinned = HttpsRedirectLayer::new().host("pinned.example").unwrap().port(8443).unwrap();
        for (layer, pin) in [(HttpsRedirectLayer::new(), None), (pinned, Some("pinned.example"))] {
            let Ok(Some(location)) = layer.check((&request).into()) else { continue };
            let text = location.to_str().unwrap();
            let rest = text.strip_prefix("https://").unwrap();
            let authority = &rest[..rest.find(['/', '\\', '?', '#', '@']).unwrap()];
            prop_assert_eq!(rest.as_bytes()[authority.len()], b'/', "{}", text);
            let asked = match request.uri().authority() {
                Some(authority) => authority.as_str().to_owned(),
                None => String::from_utf8(host.clone()).unwrap(),
            };
            let asked = asked.to_ascii_lowercase();
            match pin {
                Some(pin) => prop_assert_eq!(authority, format!("{pin}:8443")),
                None => prop_assert!(
                    asked == authority || asked.strip_prefix(authority).is_some_and(|port| port.starts_with(':')),
                    "{} for {}", text, asked
                ),
            }
            prop_assert!(text.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'\\'));
        }
    }
}
