use portcullis::headers::ReportingEndpoints;

use crate::support::{empty, field};

#[test]
fn endpoints_are_a_dictionary_of_strings() {
    let endpoints = ReportingEndpoints::new([
        ("csp-1", "https://reports.example/csp?v=1"),
        ("default", "/reports"),
    ]);
    assert_eq!(
        field(
            empty().reporting_endpoints(endpoints.unwrap()),
            "reporting-endpoints"
        ),
        r#"csp-1="https://reports.example/csp?v=1", default="/reports""#
    );
}

#[test]
fn names_are_keys_and_come_once() {
    let url = "https://reports.example/";
    for name in ["", "Csp", "1csp", "c s p", "csp=", "c\"sp", "csp\r\n", "é"] {
        let error = ReportingEndpoints::new([(name, url)]).unwrap_err();
        assert_eq!(
            (error.setting(), error.given()),
            ("Reporting-Endpoints", name)
        );
    }
    let error = ReportingEndpoints::new([("csp", url), ("csp", url)]).unwrap_err();
    assert!(error.to_string().contains("once"), "{error}");
    assert!(ReportingEndpoints::new([]).is_err());
}

#[test]
fn urls_are_https_or_a_path() {
    for url in [
        "",
        "http://reports.example/",
        "//reports.example/",
        "reports",
        "https://reports.example/\", x=\"https://evil.example",
        "https://reports.example/a b",
        "https://reports.example/\r\nset-cookie: a=b",
        "https://",
        "javascript:alert(1)",
    ] {
        let error = ReportingEndpoints::new([("csp", url)]).unwrap_err();
        assert_eq!(error.given(), url);
    }
}
