//! Whatever bytes come, nothing panics and nothing passes.

use std::{
    collections::BTreeSet,
    fmt,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Request, StatusCode, header};
use portcullis::{
    clock::ManualClock,
    jwt::{
        Algorithm, Claims, JwsVerifier, JwtAuthLayer, JwtVerifier, JwtVerifiers, KeySet,
        VerifyingKey,
    },
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::{layer, mint};

static VERIFIERS: LazyLock<Vec<(Algorithm, JwtVerifier, String)>> = LazyLock::new(|| {
    let all = mint::ALGORITHMS.into_iter();
    all.map(|algorithm| {
        let token = mint::token(algorithm, &mint::claims());
        (algorithm, mint::verifier(algorithm), token)
    })
    .collect()
});

fn base64url() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{0,60}"
}

/// Signatures with big numbers take their time where nothing is optimised.
const FEW: u32 = 48;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(FEW))]

    #[test]
    fn a_token_with_a_byte_changed_is_not_it(at in any::<prop::sample::Index>(), change in 1_u8..) {
        for (algorithm, verifier, token) in &*VERIFIERS {
            prop_assert!(verifier.verify(token, mint::now()).is_ok());
            let mut changed = token.clone().into_bytes();
            let at = at.index(changed.len());
            changed[at] ^= change;
            prop_assert!(verifier.verify(&changed, mint::now()).is_err(), "{algorithm}: byte {at}");
        }
    }

    #[test]
    fn arbitrary_signatures_of_the_right_length_are_not_it(bytes in vec(any::<u8>(), 512)) {
        for (algorithm, verifier, token) in &*VERIFIERS {
            let (signed, signature) = token.rsplit_once('.').expect("two dots");
            let length = mint::decode(signature).len();
            let forged = format!("{signed}.{}", mint::encode(&bytes[..length]));
            prop_assert!(verifier.verify(forged, mint::now()).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn a_key_with_a_byte_changed_is_another_key_or_none(at in any::<prop::sample::Index>(), change in 1_u8..) {
        let rsa = mint::rsa_public_key(&mint::decode(mint::RSA_N), &[1, 0, 1]);
        let ec = [&[4], &*mint::decode(mint::EC_X), &*mint::decode(mint::EC_Y)].concat();
        let p256 = [&mint::EC_PUBLIC_KEY[..], &mint::PRIME256V1].concat();
        for (algorithm, der) in [
            (Algorithm::Rs256, mint::spki(&mint::RSA_ENCRYPTION, &rsa)),
            (Algorithm::Rs256, rsa),
            (Algorithm::Es256, mint::spki(&p256, &ec)),
            (Algorithm::Ed25519, mint::spki(&mint::ED25519, &mint::decode(mint::ED_X))),
        ] {
            let mut der = der;
            let at = at.index(der.len());
            der[at] ^= change;
            let (_, _, token) = VERIFIERS.iter().find(|(own, ..)| *own == algorithm).expect("all are there");
            if let Ok(key) = VerifyingKey::from_der(algorithm, &der) {
                prop_assert!(JwsVerifier::new(key).verify(token).is_err(), "{algorithm}: byte {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_token(bytes in vec(any::<u8>(), 0..300)) {
        for (_, verifier, _) in &*VERIFIERS {
            prop_assert!(verifier.verify(&bytes, mint::now()).is_err());
        }
    }

    #[test]
    fn three_arbitrary_parts_are_no_token(header in base64url(), payload in base64url(), signature in base64url()) {
        let token = format!("{header}.{payload}.{signature}");
        for (_, verifier, _) in &*VERIFIERS {
            prop_assert!(verifier.verify(&token, mint::now()).is_err());
        }
    }

    #[test]
    fn arbitrary_json_signed_by_the_right_key_never_panics(
        header in "\\{\"alg\":\"HS256\"(,\"[a-z0-9]{1,4}\":(null|1|\"x\"|\\[\\]|\\{\"a\":1\\})){0,4}\\}",
        payload in vec(any::<u8>(), 0..200),
    ) {
        let token = mint::sign(Algorithm::Hs256, header, &payload);
        // Nobody writes an issuer and an audience into it by chance.
        prop_assert!(VERIFIERS[0].1.verify(token, mint::now()).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_no_key(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(VerifyingKey::from_jwk(&bytes).is_err());
        prop_assert!(KeySet::from_jwks(&bytes).is_err());
        for algorithm in mint::ALGORITHMS {
            prop_assert!(VerifyingKey::from_pem(algorithm, &bytes).is_err());
            prop_assert!(VerifyingKey::from_der(algorithm, &bytes).is_err());
            prop_assert!(VerifyingKey::from_pem(algorithm, mint::pem("PUBLIC KEY", &bytes)).is_err());
        }
    }

    #[test]
    fn arbitrary_jwks_never_panic(
        kty in "RSA|EC|OKP|oct|x", crv in "P-256|P-384|Ed25519|X25519|x", alg in "RS256|ES256|EdDSA|HS256|none",
        n in base64url(), x in "[A-Za-z0-9_-]{43}", y in "[A-Za-z0-9_-]{43}",
    ) {
        let jwk = json!({"kty": kty, "crv": crv, "alg": alg, "n": n, "e": "AQAB", "x": x, "y": y, "k": n});
        let _ = VerifyingKey::from_jwk_value(&jwk);
        // Beside a good key, none is more than left out.
        let set = json!({"keys": [jwk, mint::jwk(Algorithm::Es256)]});
        prop_assert!(KeySet::from_jwks(set.to_string()).is_ok());
    }

    #[test]
    fn arbitrary_authorization_is_refused(bytes in vec(any::<u8>(), 0..200), prefix in "([Bb][Ee]arer[ \t,=])?") {
        let value = [prefix.as_bytes(), &bytes].concat();
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let request = || {
            let request = Request::builder().header(header::AUTHORIZATION, value.clone());
            request.body(()).expect("a request")
        };
        let clock = ManualClock::new(mint::now());
        let layer = JwtAuthLayer::new(VERIFIERS[0].1.clone()).with_clock(clock);
        let response = layer::answer(layer.clone(), request());
        prop_assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        // Whoever sends a bearer token is not nobody.
        if !prefix.is_empty() {
            let response = layer::answer(layer.optional(), request());
            prop_assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        }
    }
}

/// JSON with its members side by side, as they stand in the text: what payloads are held against.
enum Json {
    Scalar(Value),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Scalar(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Scalar(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Scalar(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Scalar(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Scalar(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Scalar(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some(member) = members.next_entry()? {
                    object.push(member);
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl Json {
    /// The value, if no member stands twice in it.
    fn strict(self) -> Option<Value> {
        Some(match self {
            Self::Scalar(value) => value,
            Self::List(items) => items.into_iter().map(Self::strict).collect::<Option<_>>()?,
            Self::Object(members) => {
                let count = members.len();
                let object: Map<_, _> = members
                    .into_iter()
                    .map(|(name, value)| Some((name, value.strict()?)))
                    .collect::<Option<_>>()?;
                (object.len() == count).then_some(Value::Object(object))?
            }
        })
    }
}

/// The claims of a payload, if it is a set of claims with a meaning.
fn meant(payload: &[u8]) -> Option<Map<String, Value>> {
    let json: Json = serde_json::from_slice(payload).ok()?;
    let Value::Object(claims) = json.strict()? else {
        return None;
    };
    let all_are_texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
    let is_sound = |(name, value): (&String, &Value)| match &**name {
        "iss" | "sub" | "jti" => value.is_string(),
        "aud" => value.is_string() || value.as_array().is_some_and(all_are_texts),
        "exp" | "nbf" | "iat" => {
            let seconds = value.as_f64();
            seconds.is_some_and(|seconds| (0.0..=253_402_300_799.0).contains(&seconds))
        }
        _ => true,
    };
    claims.iter().all(is_sound).then_some(claims)
}

fn is_in_time(claims: &Map<String, Value>) -> bool {
    let time = |name| claims.get(name).and_then(Value::as_f64);
    let now = mint::NOW as f64;
    time("exp").is_none_or(|exp| exp > now) && time("nbf").is_none_or(|nbf| nbf <= now)
}

/// Whether the claims say what is meant, whatever they are asked first.
fn assert_says(claims: &Claims, meant: &Map<String, Value>) {
    let text = |name| meant.get(name).and_then(Value::as_str);
    let texts = |name| {
        let list = meant.get(name).and_then(Value::as_array);
        let listed = list.into_iter().flatten().filter_map(Value::as_str);
        text(name).into_iter().chain(listed)
    };
    let scopes: BTreeSet<_> = ["scope", "scp"].into_iter().flat_map(texts).collect();
    let scopes: BTreeSet<_> = scopes.iter().flat_map(|text| text.split(' ')).collect();
    let scopes: BTreeSet<_> = scopes.into_iter().filter(|one| !one.is_empty()).collect();
    assert_eq!(claims.scopes().collect::<BTreeSet<_>>(), scopes);
    let principal = claims.principal();
    assert_eq!(
        principal.as_ref().map(|one| one.subject()),
        text("sub").filter(|sub| !sub.is_empty())
    );
    if let Some(principal) = principal {
        let roles: BTreeSet<_> = texts("roles").collect();
        assert_eq!(principal.roles().collect::<BTreeSet<_>>(), roles);
        assert_eq!(principal.scopes().collect::<BTreeSet<_>>(), scopes);
    }
    assert_eq!(claims.subject(), text("sub").unwrap_or_default());
    assert_eq!(claims.issuer(), text("iss").unwrap_or_default());
    assert_eq!(claims.jwt_id(), text("jti"));
    assert!(claims.audience().eq(texts("aud")));
    let at = |name| {
        let seconds = meant.get(name).and_then(Value::as_f64)?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds))
    };
    assert_eq!(claims.expires_at(), at("exp"));
    assert_eq!(claims.not_before(), at("nbf"));
    assert_eq!(claims.issued_at(), at("iat"));
    for (name, value) in meant {
        let has_accessor = match &**name {
            "iss" | "sub" | "aud" | "exp" | "nbf" | "iat" | "jti" => true,
            "scope" => value.is_string(),
            _ => false,
        };
        assert_eq!(claims.claim(name), (!has_accessor).then_some(value));
    }
    let whole = Value::Object(meant.clone());
    assert_eq!(serde_json::to_value(claims).expect("JSON"), whole);
    assert_eq!(*claims.typed::<Value>().expect("any JSON"), whole);
}

/// Payloads of issuers that are in use, plain ones and others.
const PAYLOADS: [&str; 6] = [
    r#"{"iss":"https://login.example.com","sub":"user-7","aud":"https://api.example.com","exp":1800000060,"iat":1799999940,"jti":"a1","scope":"read write"}"#,
    r#"{"aud":["https://api.example.com","b"],"iss":"https://login.example.com","exp":1800000060,"nbf":1799999940,"sub":"é-7","roles":["admin","x"],"azp":"web","email_verified":true,"ver":2,"nonce":null}"#,
    r#"{"iss":"https://login.example.com","exp":1800000060,"realm_access":{"roles":["a","b"]},"resource_access":{"api":{"roles":["c"]}},"sub":"f:1:2","scope":"openid"}"#,
    r#"{"iss":"https:\/\/login.example.com","sub":"user\u002d7","exp":1800000060.5,"https:\/\/example.com\/roles":["a"],"scp":["read","write"]}"#,
    "{\"iss\":\"https://login.example.com\",\r\n \"exp\":1800000060,\r\n \"http://example.com/is_root\":true}",
    r#"{"exp":1800000060,"sub":"1","cognito:groups":["g"],"auth_time":1799999000,"amr":["pwd","otp"],"acr":"2","scope":["a b","c"]}"#,
];

/// Members that are put into an object: the second of a name, in another spelling, of another type.
const MEMBERS: [&str; 24] = [
    r#""iss":"https://login.example.com""#,
    r#""\u0069ss":"https://login.example.com""#,
    r#""iss":null"#,
    r#""iss ":"b""#,
    r#""Iss":"b""#,
    r#""sub":"root""#,
    r#""s\u0075b":"root""#,
    r#""exp":1900000000"#,
    r#""e\u0078p":1900000000"#,
    r#""exp":"1900000000""#,
    r#""exp":18e8"#,
    r#""nbf":1900000000"#,
    r#""nbf":-0"#,
    r#""iat":12345678"#,
    r#""aud":[]"#,
    r#""cnf":{}"#,
    r#""c\u006ef":null"#,
    r#""scope":"admin""#,
    r#""scope":["admin"]"#,
    r#""roles":["root"]"#,
    r#""r\u006fles":["root"]"#,
    r#""a":{"b":1,"\u0062":2}"#,
    r#""":"""#,
    r#""a":[[[{"a":{}}]]]"#,
];

/// Pieces that are put anywhere.
const PIECES: [&[u8]; 40] = [
    b",",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b" ",
    b"\n",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\ude00",
    b"\\u00e9",
    b"\\/",
    b"\\x",
    b"-",
    b"0",
    b"1",
    b".5",
    b"e3",
    b"E+400",
    b"9007199254740993",
    b"18446744073709551616",
    b"253402300800",
    b"null",
    b"true",
    b"tru",
    b"/**/",
    b"NaN",
];

#[derive(Clone, Debug)]
enum Edit {
    Member(usize, Index),
    Piece(usize, Index),
    Remove(Index, usize),
    Repeat(Index, usize, Index),
    Byte(Index, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        3 => (0..MEMBERS.len(), at()).prop_map(|(member, at)| Edit::Member(member, at)),
        2 => (0..PIECES.len(), at()).prop_map(|(piece, at)| Edit::Piece(piece, at)),
        1 => (at(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (at(), 1..40_usize, at()).prop_map(|(at, length, to)| Edit::Repeat(at, length, to)),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
    ]
}

fn edited(payload: &str, edits: &[Edit]) -> Vec<u8> {
    let mut payload = payload.as_bytes().to_vec();
    for edit in edits {
        let length = payload.len();
        let put = |payload: &mut Vec<u8>, at: usize, what: &[u8]| {
            payload.splice(at..at, what.iter().copied());
        };
        match edit {
            Edit::Member(member, at) => {
                let starts: Vec<_> = (0..length).filter(|at| payload[*at] == b'{').collect();
                if !starts.is_empty() {
                    let member = format!("{},", MEMBERS[*member]);
                    put(&mut payload, at.get(&starts) + 1, member.as_bytes());
                }
            }
            Edit::Piece(piece, at) => put(&mut payload, at.index(length + 1), PIECES[*piece]),
            Edit::Remove(at, count) => {
                let at = at.index(length + 1);
                payload.drain(at..length.min(at + count));
            }
            Edit::Repeat(at, count, to) => {
                let at = at.index(length + 1);
                let what = payload[at..length.min(at + count)].to_vec();
                put(&mut payload, to.index(length + 1), &what);
            }
            Edit::Byte(at, byte) if length > 0 => payload[at.index(length)] = *byte,
            Edit::Byte(..) => {}
        }
    }
    payload
}

/// One that demands nothing of claims but that they are in time.
fn undemanding() -> JwtVerifier {
    JwtVerifier::builder(mint::key(Algorithm::Hs256))
        .dangerous_without_issuer()
        .dangerous_without_audience()
        .dangerous_without_expiry()
        .dangerous_without_confirmation()
}

/// The undemanding one; one that has a value made; one that refuses `cnf` and demands `scope`; the choice
/// among issuers.
static READERS: LazyLock<(JwtVerifier, JwtVerifier, JwtVerifier, JwtVerifiers)> =
    LazyLock::new(|| {
        let picky = JwtVerifier::builder(mint::key(Algorithm::Hs256))
            .dangerous_without_issuer()
            .dangerous_without_audience()
            .dangerous_without_expiry()
            .add_required_claim("scope");
        let of_issuer = JwtVerifier::builder(mint::key(Algorithm::Hs256))
            .issuer(mint::ISSUER)
            .dangerous_without_audience()
            .dangerous_without_expiry()
            .dangerous_without_confirmation();
        let several = JwtVerifiers::by_issuer([of_issuer]).expect("an issuer");
        (
            undemanding(),
            undemanding().typed::<Map<String, Value>>(),
            picky,
            several,
        )
    });

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_payload_says_what_a_strict_reader_of_json_reads_or_nothing(
        payload in 0..PAYLOADS.len(),
        edits in vec(edit(), 0..4),
    ) {
        let payload = edited(PAYLOADS[payload], &edits);
        let shown = String::from_utf8_lossy(&payload);
        let token = mint::sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, &payload);
        let (plain, typed, picky, several) = &*READERS;
        let verdict = |verifier: &JwtVerifier| verifier.verify(&token, mint::now()).ok();
        let meant = meant(&payload).filter(is_in_time);
        // The second time it is remembered.
        for _ in 0..2 {
            let (plain, typed) = (verdict(plain), verdict(typed));
            prop_assert_eq!(plain.is_some(), meant.is_some(), "{}", shown);
            prop_assert_eq!(typed.is_some(), meant.is_some(), "{}", shown);
            let is_plain = |meant: &Map<_, _>| meant.contains_key("scope") && !meant.contains_key("cnf");
            prop_assert_eq!(verdict(picky).is_some(), meant.as_ref().is_some_and(is_plain), "{}", shown);
            let is_theirs = |meant: &Map<_, _>| meant.get("iss") == Some(&json!(mint::ISSUER));
            let chosen = several.verify(&token, mint::now());
            prop_assert_eq!(chosen.is_ok(), meant.as_ref().is_some_and(is_theirs), "{}", shown);
            if let (Some(plain), Some(typed), Some(meant)) = (plain, typed, &meant) {
                let made = typed.typed::<Map<String, Value>>().expect("it was made");
                prop_assert_eq!(&*made, meant);
                assert_says(&plain, meant);
                assert_says(&typed, meant);
            }
        }
    }
}
