use portcullis::headers::{Referrer, ReferrerPolicy};

use crate::support::{empty, field};

const TOKENS: [&str; 9] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
    "",
];

#[test]
fn each_policy_is_written_and_read_as_it_is_specified() {
    for token in TOKENS {
        let policy: Referrer = token.parse().unwrap();
        assert_eq!(
            field(empty().referrer_policy(policy), "referrer-policy"),
            token
        );
    }
}

#[test]
fn fallbacks_stand_in_the_order_given() {
    let list = ReferrerPolicy::list([Referrer::Origin, Referrer::UnsafeUrl]).unwrap();
    assert_eq!(
        field(empty().referrer_policy(list), "referrer-policy"),
        "origin, unsafe-url"
    );
}

#[test]
fn a_list_names_each_policy_once_and_one_at_least() {
    assert_eq!(ReferrerPolicy::list([]).unwrap_err().given(), "[]");
    let twice = [Referrer::SameOrigin, Referrer::Origin, Referrer::SameOrigin];
    let error = ReferrerPolicy::list(twice).unwrap_err();
    assert_eq!(error.setting(), "Referrer-Policy");
    assert_eq!(error.given(), "same-origin");
}

#[test]
fn other_words_are_refused_with_the_choice() {
    for token in [
        "foo",
        "sameorigin",
        "ORIGIN",
        "origin ",
        "origin,unsafe-url",
    ] {
        let error = token.parse::<Referrer>().unwrap_err();
        assert_eq!(error.given(), token);
        assert!(error.to_string().contains("strict-origin"));
    }
}
