//! The JOSE header (RFC 7515 section 4), read once.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::{
    error::JwtErrorKind,
    json::{self, Strict, Text},
};

/// The most members without a meaning here that a header may have. Nobody has proven anything yet when the
/// header is read, so reading it must stay cheap; RFC 7515 knows eleven members.
const MOST_OTHERS: usize = 32;

/// What of a header has a meaning here. `jwk`, `jku`, `x5u` and `x5c` have none: they are a stranger's word
/// about which key to trust.
#[derive(Default)]
pub(super) struct Header<'t> {
    pub(super) alg: Cow<'t, str>,
    pub(super) kid: Option<Cow<'t, str>>,
    pub(super) typ: Option<Cow<'t, str>>,
    /// `crit` stands in it, or a member that would have to stand in `crit`.
    critical: bool,
    /// Members of a JWE.
    encrypted: bool,
}

impl<'t> Header<'t> {
    /// Reads a header, refusing what changes the meaning of a token in a way that is not known here.
    pub(super) fn read(json: &'t [u8]) -> Result<Self, JwtErrorKind> {
        let header: Self = json::read_as(json).ok_or(JwtErrorKind::Malformed)?;
        if header.encrypted {
            return Err(JwtErrorKind::Encrypted);
        }
        if header.critical {
            return Err(JwtErrorKind::CriticalHeader);
        }
        Ok(header)
    }
}

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Header<'de>, A::Error> {
        let twice = || A::Error::custom("duplicate member");
        let mut header = Header::default();
        let mut alg = None;
        let mut others: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Text(name)) = members.next_key()? {
            let slot = match &*name {
                "alg" => &mut alg,
                "kid" => &mut header.kid,
                "typ" => &mut header.typ,
                other => {
                    // RFC 7515 section 4.1.11: crit must be understood. RFC 7797 section 3: b64 changes what
                    // is signed. RFC 7516 section 4.1: enc and zip belong to encryption.
                    header.critical |= matches!(other, "crit" | "b64");
                    header.encrypted |= matches!(other, "enc" | "zip");
                    members.next_value::<Strict>()?;
                    if others.contains(&name) {
                        return Err(twice());
                    }
                    if others.len() == MOST_OTHERS {
                        return Err(A::Error::custom("too many members"));
                    }
                    others.push(name);
                    continue;
                }
            };
            if slot.replace(members.next_value::<Text<'de>>()?.0).is_some() {
                return Err(twice());
            }
        }
        header.alg = alg.ok_or_else(|| A::Error::missing_field("alg"))?;
        Ok(header)
    }
}

/// Whether two media types are the same (RFC 7515 section 4.1.9): `application/` may be left out where no
/// other slash follows, and case has no meaning.
pub(super) fn is_same_type(one: &str, other: &str) -> bool {
    fn short(media_type: &str) -> &str {
        const PREFIX: &str = "application/";
        match media_type.split_at_checked(PREFIX.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => {
                rest
            }
            _ => media_type,
        }
    }
    short(one).eq_ignore_ascii_case(short(other))
}
