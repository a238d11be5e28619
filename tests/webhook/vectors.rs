//! Signatures that providers have published, and some that were computed elsewhere.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::webhook::{WebhookScheme, WebhookSigner, WebhookVerifier};

use crate::schemes::BODY;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

/// The delivery verifies, and with one byte more it does not.
fn holds(
    scheme: WebhookScheme,
    secret: &str,
    fields: &[(&str, &str)],
    body: &[u8],
    now: SystemTime,
) {
    let name = scheme.name();
    let verifier = WebhookVerifier::new(scheme, secret).unwrap();
    let headers = headers(fields);
    verifier
        .verify(&headers, body, now)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let longer = [body, b"x"].concat();
    assert!(verifier.verify(&headers, &longer, now).is_err(), "{name}");
}

#[test]
fn v1_github() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    holds(
        WebhookScheme::github(),
        "It's a Secret to Everybody",
        &[("X-Hub-Signature-256", signature)],
        b"Hello, World!",
        at(0),
    );
}

#[test]
fn v2_slack() {
    let body = concat!(
        "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&",
        "channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&",
        "command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2F",
        "commands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&",
        "trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    );
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    holds(
        WebhookScheme::slack(),
        "8f742231b10e8888abcd99yyyzzz85a5",
        &[
            ("X-Slack-Signature", signature),
            ("X-Slack-Request-Timestamp", "1531420618"),
        ],
        body.as_bytes(),
        at(1_531_420_618),
    );
}

const V3: [(&str, &str); 3] = [
    ("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("svix-timestamp", "1614265330"),
    (
        "svix-signature",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
];

#[test]
fn v3_svix_and_standard_webhooks() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = br#"{"test": 2432232314}"#;
    let renamed = V3.map(|(name, value)| (name.replace("svix", "webhook"), value));
    let renamed = renamed
        .each_ref()
        .map(|(name, value)| (name.as_str(), *value));
    holds(WebhookScheme::svix(), secret, &V3, body, at(1_614_265_330));
    // Svix sends the names of the standard too, and the prefix of a secret may be left out.
    for secret in [secret, &secret["whsec_".len()..]] {
        holds(
            WebhookScheme::svix(),
            secret,
            &renamed,
            body,
            at(1_614_265_330),
        );
        holds(
            WebhookScheme::standard_webhooks(),
            secret,
            &renamed,
            body,
            at(1_614_265_330),
        );
    }
}

#[test]
fn v4_svix_with_a_public_key() {
    let signature = concat!(
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+",
        "m7TBAg==",
    );
    holds(
        WebhookScheme::svix(),
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        &[V3[0], V3[1], ("svix-signature", signature)],
        br#"{"test": 2432232314}"#,
        at(1_614_265_330),
    );
}

#[test]
fn v5_twilio() {
    let body = concat!(
        "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&",
        "To=%2B18005551212",
    );
    holds(
        WebhookScheme::twilio("https://mycompany.com/myapp.php?foo=1&bar=2").unwrap(),
        "12345",
        &[
            ("X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            (
                "Content-Type",
                "application/x-www-form-urlencoded; charset=UTF-8",
            ),
        ],
        body.as_bytes(),
        at(0),
    );
}

#[test]
fn adyen_of_its_own_test_suite() {
    let body = br#"{"live":"false","notificationItems":[{"NotificationRequestItem":{
        "additionalData":{"hmacSignature":"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
        "amount":{"value":1130,"currency":"EUR"},"pspReference":"7914073381342284",
        "eventCode":"AUTHORISATION","merchantAccountCode":"TestMerchant",
        "merchantReference":"TestPayment-1407325143704","paymentMethod":"visa","success":"true"}}]}"#;
    holds(
        WebhookScheme::adyen(),
        "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        &[],
        body,
        at(0),
    );
}

#[test]
fn stripe_shopify_paddle_flutterwave_and_reloadly_as_computed_elsewhere() {
    let now = at(1_614_265_330);
    holds(
        WebhookScheme::stripe(),
        "whsec_test_secret",
        &[(
            "Stripe-Signature",
            "t=1614265330,v1=fbd6bf5496b9d6310e422a2c072578f95f5eb492111ab57a5510e9cd79c1b304",
        )],
        BODY,
        now,
    );
    for name in ["X-Shopify-Hmac-SHA256", "Shopify-Hmac-Sha256"] {
        let signature = "Z3rSOdt652m4AqThbPp+bkJcHut0VS6qyaNgmDxWvVs=";
        holds(
            WebhookScheme::shopify(),
            "hush",
            &[(name, signature)],
            BODY,
            now,
        );
    }
    holds(
        WebhookScheme::paddle(),
        "pdl_ntfset_test",
        &[(
            "Paddle-Signature",
            "ts=1614265330;h1=138737a5a43899007539c339a5b87f423809c5f751b2d8034ef345035302641e",
        )],
        BODY,
        now,
    );
    holds(
        WebhookScheme::flutterwave(),
        "flw_secret_hash",
        &[(
            "flutterwave-signature",
            "XoAoLMZttGXb9Th7UY5GqAuIzhPDoTooPzMF3Bt1s1Q=",
        )],
        BODY,
        now,
    );
    holds(
        WebhookScheme::reloadly(),
        "reloadly_secret",
        &[
            (
                "X-Reloadly-Signature",
                "92eb039ce7dfa96c73e9adefc07ae320c810c2a89d6f8381d8052df2bee018df",
            ),
            ("X-Reloadly-Request-Timestamp", "1614265330000"),
        ],
        BODY,
        now,
    );
}

#[test]
fn sendgrid_of_its_own_test_suite() {
    let key = concat!(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+",
        "2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
    );
    let signature = concat!(
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtE",
        "ZtM=",
    );
    let body = concat!(
        r#"[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","#,
        r#""sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","#,
        r#""sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","#,
        r#""smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]"#,
        "\r\n",
    );
    let fields = [
        ("X-Twilio-Email-Event-Webhook-Signature", signature),
        ("X-Twilio-Email-Event-Webhook-Timestamp", "1600112502"),
    ];
    let now = at(1_600_112_502);
    holds(
        WebhookScheme::sendgrid(),
        key,
        &fields,
        body.as_bytes(),
        now,
    );
    let armoured = format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n");
    holds(
        WebhookScheme::sendgrid(),
        &armoured,
        &fields,
        body.as_bytes(),
        now,
    );
}

#[test]
fn the_other_providers_as_computed_elsewhere() {
    let now = at(1_614_265_330);
    let check = |scheme, secret: &str, fields: &[(&str, &str)]| {
        holds(scheme, secret, fields, BODY, now);
    };
    check(
        WebhookScheme::paystack(),
        "sk_test_7",
        &[(
            "x-paystack-signature",
            concat!(
                "d077308a4942690644bb79eee3b4461ecb4606d794061227e93efcb35705a2a7",
                "0511b0c5b2df6af573ba7aa07c9f3b4fd588b92f600626c657ac281472fdfea3",
            ),
        )],
    );
    check(
        WebhookScheme::square("https://example.com/hooks?shop=7").unwrap(),
        "asdf1234",
        &[(
            "x-square-hmacsha256-signature",
            "majp2WHLKgNRHLwZbj1AOtuKFd9CVQ2wj3KyWR/oF+Y=",
        )],
    );
    check(
        WebhookScheme::razorpay(),
        "rzp_secret",
        &[(
            "X-Razorpay-Signature",
            "93fe30e176ab1504f59bb0704a2584f8dc317e02fd106725a002efb37b3889a1",
        )],
    );
    check(
        WebhookScheme::coinbase(),
        "0e4b1c5e-7f2a",
        &[(
            "X-CC-Webhook-Signature",
            "f50a6c875730fda94271933f55fd2cf938859618f305c5da33848c371fbe1a8c",
        )],
    );
    check(
        WebhookScheme::line(),
        "channel-secret",
        &[(
            "x-line-signature",
            "NMhXCS20JpEahprhtAvLnTxnbcWKt3XVn/bJ0PqtVuU=",
        )],
    );
    check(
        WebhookScheme::adyen(),
        "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        &[(
            "HmacSignature",
            "OFH+jb62scQ5AdsTykXpAhOdzHGvODZPl0YwytXtMGM=",
        )],
    );
    check(
        WebhookScheme::twilio(crate::schemes::HASH_URL).unwrap(),
        "12345",
        &[("X-Twilio-Signature", "g1z/U61uioPBY7Mn2yEIZGTROnE=")],
    );
    // The unit of Reloadly's own sample.
    check(
        WebhookScheme::reloadly(),
        "reloadly_secret",
        &[
            (
                "X-Reloadly-Signature",
                "4cbc6715dfc6964f763fdb38857a705d1eccf2b4366892a6527c74af85a46ee1",
            ),
            ("X-Reloadly-Request-Timestamp", "1614265330"),
        ],
    );
    // The key of RFC 8032 section 7.1, test 1.
    check(
        WebhookScheme::discord(),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        &[
            (
                "X-Signature-Ed25519",
                concat!(
                    "77ba33874429ef6fa4a8a8a9590734d757b54865ffbd84362f4d6242e581ddda",
                    "1cab72f7a7a8cc64281a9c7eb62ad517c34e6f1125251e32f6631b3a6dfae40e",
                ),
            ),
            ("X-Signature-Timestamp", "1614265330"),
        ],
    );
}

#[test]
fn the_signer_makes_the_published_fields() {
    let sign = |scheme, secret: &str, id: &str, body: &[u8], now| {
        let signer = WebhookSigner::new(scheme, secret).unwrap();
        signer.sign(id, body, now).unwrap()
    };
    let fields = sign(
        WebhookScheme::github(),
        "It's a Secret to Everybody",
        "",
        b"Hello, World!",
        at(0),
    );
    assert_eq!(
        fields["x-hub-signature-256"],
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
    let fields = sign(
        WebhookScheme::svix(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        V3[0].1,
        br#"{"test": 2432232314}"#,
        at(1_614_265_330),
    );
    assert_eq!(fields, headers(&V3));
    let fields = sign(
        WebhookScheme::stripe(),
        "whsec_test_secret",
        "",
        BODY,
        at(1_614_265_330),
    );
    assert_eq!(
        fields["stripe-signature"],
        "t=1614265330,v1=fbd6bf5496b9d6310e422a2c072578f95f5eb492111ab57a5510e9cd79c1b304"
    );
    let fields = sign(
        WebhookScheme::twilio("https://mycompany.com/myapp.php?foo=1&bar=2").unwrap(),
        "12345",
        "",
        b"Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE",
        at(0),
    );
    assert_eq!(fields["x-twilio-signature"], "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
}
