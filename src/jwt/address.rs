//! Addresses as errors and `Debug` may show them.

use http::Uri;

/// The address without what may be a secret in it: credentials, query and fragment.
///
/// Where an `@` may end credentials, nothing of it is shown, as nobody knows where they begin.
pub(super) fn shown(address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or_default();
    let read: Option<Uri> = address.parse().ok();
    let authority = read.as_ref().and_then(Uri::authority);
    let is_plain = authority.is_some_and(|authority| !authority.as_str().contains('@'));
    match is_plain || !address.contains('@') {
        true => plain.to_owned(),
        false => format!("{} bytes with an @", address.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::shown;

    #[test]
    fn an_address_is_shown_up_to_its_query() {
        for (address, expected) in [
            (
                "https://a.example/keys?key=secret",
                "https://a.example/keys",
            ),
            ("https://a.example/@me?to=b@c", "https://a.example/@me"),
            ("https://a.example#secret", "https://a.example"),
            ("a.example", "a.example"),
            ("user:secret@a.example", "21 bytes with an @"),
            ("", ""),
        ] {
            assert_eq!(shown(address), expected, "{address}");
        }
    }

    proptest! {
        #[test]
        fn no_password_is_shown(before in "[ -~]{0,9}", path in "[ -~]{0,9}") {
            let address = format!("https://{before}user:hunter2@a.example/{path}");
            // Behind one of these it is no password: part of a path, which is no secret.
            prop_assume!(!before.contains(['/', '\\']));
            prop_assert!(!shown(&address).contains("hunter2"), "{}", shown(&address));
        }
    }
}
