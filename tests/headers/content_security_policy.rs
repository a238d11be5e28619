use portcullis::headers::{ContentSecurityPolicy as Csp, ContentSecurityPolicyBuilder, Source};

use crate::support::{empty, field, serve};

fn written(builder: ContentSecurityPolicyBuilder) -> String {
    builder.build().unwrap().to_string()
}

/// The error of a policy that is whole but for one source.
fn error_of(source: &str) -> portcullis::config::ConfigError {
    let policy = Csp::builder().default_src([Source::SELF]);
    let error = policy.img_src([source]).build().unwrap_err();
    assert_eq!(error.setting(), "Content-Security-Policy");
    assert_eq!(error.given(), source);
    error
}

#[test]
fn the_default_is_helmets() {
    let text = "default-src 'self';base-uri 'self';font-src 'self' https: data:;\
        form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';\
        script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';\
        upgrade-insecure-requests";
    let layer = empty().content_security_policy(Csp::helmet());
    assert_eq!(field(layer, "content-security-policy"), text);
}

#[test]
fn presets_keep_the_rules_of_the_builder() {
    for policy in [Csp::helmet(), Csp::strict(), Csp::api()] {
        assert_eq!(policy.as_str().parse(), Ok(policy.clone()));
        assert_eq!(policy.clone().into_builder().build(), Ok(policy));
    }
}

#[test]
fn any_policy_can_be_changed() {
    let strict = Csp::strict()
        .into_builder()
        .report_to("csp")
        .sandbox([] as [Source; 0]);
    let expected = format!("{};report-to csp;sandbox", Csp::strict());
    assert_eq!(written(strict), expected);
    let without = Csp::builder()
        .script_src([Source::SELF])
        .dangerous_without("default-src");
    let without = without
        .build()
        .unwrap()
        .into_builder()
        .img_src(["a.example"]);
    assert_eq!(written(without), "script-src 'self';img-src a.example");
}

#[test]
fn every_setter_writes_its_directive() {
    let s = || ["'self'"];
    let text = written(
        Csp::builder()
            .default_src(s())
            .script_src(s())
            .script_src_elem(s())
            .script_src_attr(s())
            .style_src(s())
            .style_src_elem(s())
            .style_src_attr(s())
            .img_src(s())
            .font_src(s())
            .connect_src(s())
            .media_src(s())
            .object_src(s())
            .frame_src(s())
            .child_src(s())
            .worker_src(s())
            .manifest_src(s())
            .base_uri(s())
            .form_action(s())
            .frame_ancestors(s())
            .sandbox(["allow-scripts", "allow-forms"])
            .trusted_types(["default", "dompurify"])
            .report_uri(["https://reports.example/csp"])
            .report_to("csp")
            .upgrade_insecure_requests()
            .require_trusted_types(),
    );
    let mut expected: Vec<String> = [
        "default-src",
        "script-src",
        "script-src-elem",
        "script-src-attr",
        "style-src",
        "style-src-elem",
        "style-src-attr",
        "img-src",
        "font-src",
        "connect-src",
        "media-src",
        "object-src",
        "frame-src",
        "child-src",
        "worker-src",
        "manifest-src",
        "base-uri",
        "form-action",
        "frame-ancestors",
    ]
    .map(|name| format!("{name} 'self'"))
    .to_vec();
    expected.extend(
        [
            "sandbox allow-scripts allow-forms",
            "trusted-types default dompurify",
            "report-uri https://reports.example/csp",
            "report-to csp",
            "upgrade-insecure-requests",
            "require-trusted-types-for 'script'",
        ]
        .map(str::to_owned),
    );
    assert_eq!(text.split(';').collect::<Vec<_>>(), expected);
}

#[test]
fn setters_replace_and_add_source_appends() {
    let policy = Csp::builder()
        .default_src(["a.example"])
        .default_src([Source::NONE])
        .add_source("img-src", "b.example")
        .add_source("img-src", Source::DATA)
        .add_source("default-src", Source::SELF);
    assert_eq!(
        written(policy),
        "default-src 'self';img-src b.example data:"
    );
}

#[test]
fn a_directive_can_be_left_out_but_not_default_src() {
    let policy = Csp::helmet()
        .into_builder()
        .without("style-src")
        .build()
        .unwrap();
    assert!(!policy.as_str().contains("style-src"), "{policy}");
    let error = Csp::helmet()
        .into_builder()
        .without("default-src")
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("dangerous_without("), "{error}");
    let policy = Csp::builder().script_src([Source::SELF]);
    assert!(policy.clone().build().is_err());
    assert_eq!(
        written(policy.dangerous_without("default-src")),
        "script-src 'self'"
    );
}

#[test]
fn what_default_src_does_not_speak_for_is_not_left_out_by_chance() {
    let policy = Csp::helmet().into_builder();
    for name in ["base-uri", "form-action", "frame-ancestors"] {
        let error = policy.clone().without(name).build().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        let again = policy.clone().without(name).directive(name, ["'self'"]);
        assert!(written(again).contains(name));
        let policy = written(policy.clone().dangerous_without(name));
        assert!(!policy.contains(name), "{policy}");
    }
}

#[test]
fn a_policy_has_a_directive() {
    for empty in [
        Csp::builder(),
        Csp::builder().dangerous_without("default-src"),
    ] {
        assert!(
            empty
                .build()
                .unwrap_err()
                .to_string()
                .contains("leave the header out")
        );
    }
}

#[test]
fn names_of_directives_are_lower_case_words() {
    for name in [
        "",
        ";",
        "á",
        "default src",
        " default-src",
        "default-src ",
        "default;src",
        "default,src",
        "default_src",
        "Default-Src",
        "-default-src",
        "default-src-",
        "a--b",
        "a\r\nb",
        "a\0",
    ] {
        let policy = Csp::helmet()
            .into_builder()
            .directive(name.to_owned(), ["a.example"]);
        let error = policy.build().unwrap_err();
        assert_eq!(
            (error.setting(), error.given()),
            ("Content-Security-Policy", name)
        );
    }
    let custom = Csp::builder()
        .default_src([Source::SELF])
        .directive("x-new9", ["a.example"]);
    assert_eq!(written(custom), "default-src 'self';x-new9 a.example");
}

#[test]
fn a_source_cannot_end_its_directive_or_line() {
    for source in [
        "",
        " ",
        ";",
        ",",
        "a;b",
        "a,b",
        "a b",
        "a\tb",
        "a\rb",
        "a\nb",
        "a\0b",
        "a\u{7f}b",
        "é.example",
    ] {
        error_of(source);
    }
}

#[test]
fn keywords_hashes_and_nonces_are_quoted() {
    for word in [
        "none",
        "nonce",
        "self",
        "SELF",
        "strict-dynamic",
        "report-sample",
        "inline-speculation-rules",
        "unsafe-inline",
        "unsafe-eval",
        "unsafe-hashes",
        "wasm-unsafe-eval",
        "nonce-abc123",
        "sha256-abc123",
        "sha384-abc123",
        "sha512-abc123",
    ] {
        let error = error_of(word).to_string();
        assert!(
            error.contains("should be quoted") && error.contains("img-src"),
            "{error}"
        );
    }
    for source in [
        "'self", "self'", "'", "''", "a'b", "'a b'", "'a\"b'", "'====='", "'abc==='",
    ] {
        error_of(source);
    }
}

#[test]
fn hashes_have_the_length_of_their_digest() {
    let policy = |source: Source| written(Csp::builder().default_src([source]));
    assert_eq!(
        policy(Source::sha256([0; 32])),
        format!("default-src 'sha256-{}='", "A".repeat(43))
    );
    assert_eq!(
        policy(Source::sha384([0; 48])),
        format!("default-src 'sha384-{}'", "A".repeat(64))
    );
    assert_eq!(
        policy(Source::sha512([0; 64])),
        format!("default-src 'sha512-{}=='", "A".repeat(86))
    );
    let unpadded = format!("'sha256-{}'", "-".repeat(43));
    assert!(
        Csp::builder()
            .default_src([unpadded.as_str()])
            .build()
            .is_ok()
    );
    for short in [
        "'sha256-abc123'",
        "'sha384-AAAA'",
        "'sha512-'",
        "'SHA256-AAAA'",
    ] {
        assert!(error_of(short).to_string().contains("base64"), "{short}");
    }
}

#[test]
fn a_nonce_in_the_configuration_never_changes_and_is_refused() {
    let error = error_of("'nonce-cmFuZG9t'").to_string();
    assert!(error.contains("Source::NONCE"), "{error}");
}

#[test]
fn none_stands_alone() {
    let policy = Csp::builder().default_src(["'NONE'", "a.example"]);
    assert!(policy.build().unwrap_err().to_string().contains("alone"));
}

#[test]
fn a_policy_is_read_from_text_and_each_directive_once() {
    let policy: Csp = " default-src 'self'  a.example ;; sandbox ; img-src 'nonce'"
        .parse()
        .unwrap();
    assert_eq!(
        policy.as_str(),
        "default-src 'self' a.example;sandbox;img-src 'nonce'"
    );
    assert!(policy.needs_nonce());
    let error = "default-src 'self'; img-src a; default-src b"
        .parse::<Csp>()
        .unwrap_err();
    assert_eq!(error.given(), "default-src");
    for text in [
        "",
        ";",
        "script-src 'self'",
        "default-src 'self', script-src *",
    ] {
        assert!(text.parse::<Csp>().is_err(), "{text}");
    }
}

#[test]
fn a_report_only_twin_stands_beside_the_policy() {
    let twin: Csp = "default-src 'none'; report-to csp".parse().unwrap();
    let layer = empty()
        .content_security_policy(Csp::helmet())
        .content_security_policy_report_only(twin);
    let headers = serve(&layer, &[]);
    assert_eq!(headers["content-security-policy"], Csp::helmet().as_str());
    assert_eq!(
        headers["content-security-policy-report-only"],
        "default-src 'none';report-to csp"
    );
    assert_eq!(headers.len(), 2);
}

/// `alert('Hello, world.');` is the example of CSP 3 (section 2.3.1), which gives its SHA-256.
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#[test]
fn an_inline_script_is_allowed_by_the_digest_of_its_text() {
    let script = b"alert('Hello, world.');";
    for (source, text) in [
        (
            Source::sha256_of(script),
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='",
        ),
        (
            Source::sha384_of(script),
            "'sha384-H8BRh8j48O9oYatfu5AZzq6A9RINhZO5H16dQZngK7T62em8MUt1FLm52t+eX6xO'",
        ),
        (
            Source::sha512_of(script),
            "'sha512-Q2bFTOhEALkN8hOms2FKTDLy7eugP2zFZ1T8LCvX42Fp3WoNr3bjZSAHeOsHrbV1Fu9/A0EzCinRE7Af1ofPrw=='",
        ),
    ] {
        assert_eq!(source.as_str(), text);
        assert!(Csp::builder().default_src([source]).build().is_ok());
    }
}
