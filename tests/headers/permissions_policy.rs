use portcullis::headers::{
    PermissionsAllow as Allow, PermissionsFeature as Feature, PermissionsPolicy,
};

use crate::support::{empty, field};

#[test]
fn allow_lists_are_inner_lists_and_all_is_a_token() {
    let policy = PermissionsPolicy::builder()
        .deny(Feature::CAMERA)
        .allow(Feature::FULLSCREEN, [Allow::ALL])
        .allow(Feature::GEOLOCATION, [Allow::SELF])
        .allow(
            Feature::MICROPHONE,
            [Allow::SELF, "https://meet.example:8443".into()],
        )
        .allow(
            Feature::PAYMENT,
            ["https://*.pay.example".into(), Allow::SRC],
        )
        .deny(Feature::custom("new-thing").unwrap())
        .build()
        .unwrap();
    assert_eq!(
        field(empty().permissions_policy(policy), "permissions-policy"),
        "camera=(), fullscreen=*, geolocation=(self), \
         microphone=(self \"https://meet.example:8443\"), \
         payment=(\"https://*.pay.example\" src), new-thing=()"
    );
}

#[test]
fn what_is_said_last_of_a_feature_counts() {
    let policy = PermissionsPolicy::builder()
        .allow(Feature::USB, [Allow::ALL])
        .deny(Feature::USB)
        .build()
        .unwrap();
    assert_eq!(policy.to_string(), "usb=()");
}

#[test]
fn the_preset_denies_what_sees_hears_locates_and_pays() {
    let text = PermissionsPolicy::deny_powerful().to_string();
    for feature in ["camera", "microphone", "geolocation", "payment", "usb"] {
        let denied = format!("{feature}=()");
        assert!(text.split(", ").any(|member| member == denied), "{text}");
    }
    assert!(
        text.split(", ").all(|member| member.ends_with("=()")),
        "{text}"
    );
}

#[test]
fn only_origins_are_allowed() {
    for origin in [
        "",
        "self",
        "*",
        "maps.example",
        "https://maps.example/",
        "https://maps.example/path",
        "https://user@maps.example",
        "https://maps.example:0",
        "https://maps.example:99999",
        "https://maps.example\" \"https://evil.example",
        "https://maps.example\r\n",
        "ftp://maps.example",
        "https://",
    ] {
        let policy = PermissionsPolicy::builder().allow(Feature::CAMERA, [origin.into()]);
        let error = policy.build().unwrap_err();
        assert_eq!(
            (error.setting(), error.given()),
            ("Permissions-Policy", origin)
        );
    }
    let both = PermissionsPolicy::builder().allow(Feature::CAMERA, [Allow::ALL, Allow::SELF]);
    assert!(both.build().unwrap_err().to_string().contains("alone"));
    assert!(PermissionsPolicy::builder().build().is_err());
}

#[test]
fn features_have_names_of_lower_case() {
    for name in [
        "",
        "Camera",
        "cam era",
        "camera=*",
        "camera,usb",
        "*",
        "a\r\n",
        "9a",
    ] {
        assert_eq!(Feature::custom(name).unwrap_err().given(), name);
    }
    assert_eq!(Feature::custom("camera").unwrap(), Feature::CAMERA);
}
