use portcullis::headers::XFrameOptions;

use crate::support::{empty, field};

#[test]
fn values_are_written_in_upper_case_and_read_in_any() {
    for (text, value) in [
        ("deny", "DENY"),
        ("DeNy", "DENY"),
        ("sameorigin", "SAMEORIGIN"),
        ("SAME-ORIGIN", "SAMEORIGIN"),
    ] {
        let layer = empty().x_frame_options(text.parse::<XFrameOptions>().unwrap());
        assert_eq!(field(layer, "x-frame-options"), value);
    }
}

#[test]
fn allow_from_protects_nothing_and_is_refused_with_a_way_out() {
    for text in [
        "",
        " deny",
        "foo",
        "allow-from",
        "ALLOW-FROM https://a.example",
    ] {
        let error = text.parse::<XFrameOptions>().unwrap_err();
        assert_eq!(error.setting(), "X-Frame-Options");
        assert_eq!(error.given(), text);
        assert!(error.to_string().contains("frame-ancestors"));
    }
}
