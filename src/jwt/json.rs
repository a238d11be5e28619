//! JSON read strictly: a member that stands twice in an object is an error, at every depth (RFC 7515
//! section 4, RFC 7519 section 4, both of which allow refusing).

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Under serde_json's feature `arbitrary_precision`, which any crate of a program may switch on, a number
/// arrives as a map with this one member, whose value is handed over as an owned string. Those of a text are
/// not: whoever writes such an object means an object.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads the whole text as one JSON value.
pub(super) fn read(text: &[u8]) -> Option<Value> {
    read_as::<Strict>(text).map(|strict| strict.0)
}

/// Reads the whole text as one JSON value that makes a `T`.
pub(super) fn read_as<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Option<T> {
    // Found to be UTF-8 as a whole, which is faster than string by string.
    serde_json::from_str(str::from_utf8(text).ok()?).ok()
}

/// Text, borrowed where it holds no escapes.
pub(super) struct Text<'t>(pub(super) Cow<'t, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// A value without members that stand twice.
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reader = StrictReader { owned: None };
        deserializer.deserialize_any(reader).map(Strict)
    }
}

struct StrictReader<'f> {
    /// Whether the value came as an owned string.
    owned: Option<&'f mut bool>,
}

impl<'de> DeserializeSeed<'de> for StrictReader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictReader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        if let Some(owned) = self.owned {
            *owned = true;
        }
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let mut owned = false;
            let value = members.next_value_seed(StrictReader {
                owned: Some(&mut owned),
            })?;
            if owned && name == NUMBER && object.is_empty() {
                let digits = value.as_str().unwrap_or_default();
                let number = digits.parse::<Number>().map_err(A::Error::custom)?;
                return Ok(Value::Number(number));
            }
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, MapDeserializer};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_of_arbitrary_precision_is_a_number() {
        let strict = |digits: &'static str| {
            let members = [(NUMBER, digits.to_owned())].into_iter();
            Strict::deserialize(MapDeserializer::<_, Error>::new(members)).map(|strict| strict.0)
        };
        assert_eq!(strict("1800000000"), Ok(json!(1_800_000_000)));
        assert_eq!(strict("-1.5"), Ok(json!(-1.5)));
        assert!(strict("soon").is_err());
    }

    #[test]
    fn an_object_that_is_written_like_such_a_number_is_an_object() {
        for text in [
            r#"{"$serde_json::private::Number":"1800000000"}"#,
            r#"{"$serde_json::private::Number":"18\u003000000000"}"#,
            r#"{"\u0024serde_json::private::Number":"1800000000"}"#,
            r#"{"$serde_json::private::Number":1800000000}"#,
            r#"[{"$serde_json::private::Number":"soon","a":1}]"#,
        ] {
            let value = read(text.as_bytes()).expect("JSON");
            assert!(!value.is_number(), "{text}");
            let object = value.get(0).unwrap_or(&value).as_object();
            assert!(object.is_some_and(|it| it.contains_key(NUMBER)), "{text}");
        }
    }

    #[test]
    fn members_that_stand_twice_are_refused_at_every_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        let sound = r#"{"a":[null,true,-1,18446744073709551615,0.5,"\n",{"a":{}}],"b":{"a":1}}"#;
        let value: Value = serde_json::from_str(sound).expect("JSON");
        assert_eq!(read(sound.as_bytes()), Some(value));
    }
}
