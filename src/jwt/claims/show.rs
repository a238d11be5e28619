//! [`Claims`] in a log, and as a payload again.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{
    Claims,
    registered::{Audience, NumericDate},
};

impl<T> Claims<T> {
    fn dates(&self) -> [(&'static str, Option<&NumericDate>); 3] {
        let claims = self.registered();
        [
            ("exp", claims.exp.as_ref()),
            ("nbf", claims.nbf.as_ref()),
            ("iat", claims.iat.as_ref()),
        ]
    }
}

impl<T> fmt::Debug for Claims<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.record;
        let mut claims = f.debug_struct("Claims");
        claims
            .field("iss", &record.iss())
            .field("sub", &record.sub())
            .field("aud", &record.aud().collect::<Vec<_>>());
        for (name, date) in self.dates() {
            match date.and_then(|date| date.written.as_deref()) {
                Some(written) => claims.field(name, written),
                None => claims.field(name, &date.map(|date| date.since_epoch.as_secs())),
            };
        }
        claims
            .field("jti", &record.jti())
            .field("scope", &record.scope())
            .field("other", self.other())
            .finish()
    }
}

impl<T> Serialize for Claims<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = &self.record;
        let mut map = serializer.serialize_map(None)?;
        for (name, text) in [
            ("iss", record.iss()),
            ("sub", record.sub()),
            ("jti", record.jti()),
            ("scope", record.scope()),
        ] {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        match &record.registered().aud {
            Some(Audience::One(_)) => map.serialize_entry("aud", &record.aud().next())?,
            Some(Audience::Many(_)) => {
                map.serialize_entry("aud", &record.aud().collect::<Vec<_>>())?;
            }
            None => {}
        }
        for (name, date) in self.dates() {
            match date {
                Some(NumericDate {
                    written: Some(written),
                    ..
                }) => map.serialize_entry(name, written)?,
                Some(date) => map.serialize_entry(name, &date.since_epoch.as_secs())?,
                None => {}
            }
        }
        for (name, value) in self.other() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
