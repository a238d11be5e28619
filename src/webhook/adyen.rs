//! What Adyen signs of a payment notification: some members of each of its items.
//!
//! Nobody has vouched for the body when it is read, so nothing of it is kept but what is signed.

use std::{collections::HashSet, fmt};

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::WebhookErrorKind;

/// The most items of a notification: Adyen sends one in JSON, and has sent six elsewhere.
const MOST_ITEMS: usize = 64;

/// The signed text of an item, and the signature that stands in it.
pub(super) struct Item {
    pub(super) signed: String,
    pub(super) signature: String,
}

/// The items of a notification, at least one.
pub(super) fn items(body: &[u8]) -> Result<Vec<Item>, WebhookErrorKind> {
    let malformed = WebhookErrorKind::BodyMalformed;
    let body = read(body).ok_or(malformed)?;
    let items = body["notificationItems"].as_array().ok_or(malformed)?;
    if items.is_empty() {
        return Err(malformed);
    }
    items
        .iter()
        .map(|item| {
            let item = &item["NotificationRequestItem"];
            let signature = item["additionalData"]["hmacSignature"]
                .as_str()
                .ok_or(WebhookErrorKind::SignatureMissing)?;
            Ok(Item {
                signed: signed(item)
                    .filter(|text| is_of_item(text.as_bytes()))
                    .ok_or(malformed)?,
                signature: signature.to_owned(),
            })
        })
        .collect()
}

/// Whether a text is what is signed of an item, and not a JSON text: a body that is signed as a whole must be
/// none, or the signature of one would do for the other.
pub(super) fn is_of_item(text: &[u8]) -> bool {
    let is_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    let colons = text.iter().filter(|byte| **byte == b':');
    !is_json && colons.count() >= 7
}

fn signed(item: &Value) -> Option<String> {
    if !item.is_object() {
        return None;
    }
    let members = [
        &item["pspReference"],
        &item["originalReference"],
        &item["merchantAccountCode"],
        &item["merchantReference"],
        &item["amount"]["value"],
        &item["amount"]["currency"],
        &item["eventCode"],
        &item["success"],
    ];
    let texts: Option<Vec<String>> = members
        .into_iter()
        .map(|member| match member {
            Value::Null => Some(String::new()),
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(member.to_string()),
            Value::Array(_) | Value::Object(_) => None,
        })
        .collect();
    Some(texts?.join(":"))
}

/// Reads what is signed of a JSON text; none if it is no JSON, or if any object of it has a member twice:
/// whoever reads the body next may take the other one.
fn read(body: &[u8]) -> Option<Value> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = reader.deserialize_any(Place::Notification).ok()?;
    reader.end().ok()?;
    Some(value)
}

/// Where in a notification a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Notification,
    Items,
    Wrapper,
    Item,
    Amount,
    Data,
    /// A text, a number or the like that is signed, or the signature.
    Leaf,
    /// Signed by nobody.
    Elsewhere,
}

impl Place {
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Notification, "notificationItems") => Self::Items,
            (Self::Wrapper, "NotificationRequestItem") => Self::Item,
            (Self::Item, "amount") => Self::Amount,
            (Self::Item, "additionalData") => Self::Data,
            (
                Self::Item,
                "pspReference"
                | "originalReference"
                | "merchantAccountCode"
                | "merchantReference"
                | "eventCode"
                | "success",
            )
            | (Self::Amount, "value" | "currency")
            | (Self::Data, "hmacSignature") => Self::Leaf,
            _ => Self::Elsewhere,
        }
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Place {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
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

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(match self {
            Self::Leaf => value.into(),
            _ => Value::Null,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        let place = match self {
            Self::Items => Self::Wrapper,
            _ => Self::Elsewhere,
        };
        while let Some(item) = items.next_element_seed(place)? {
            if place == Self::Elsewhere {
                continue;
            }
            if array.len() == MOST_ITEMS {
                return Err(serde::de::Error::custom("more items than anyone sends"));
            }
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (mut object, mut names) = (Map::new(), HashSet::new());
        while let Some(name) = members.next_key::<String>()? {
            let place = self.member(&name);
            let value = members.next_value_seed(place)?;
            if place != Self::Elsewhere {
                object.insert(name.clone(), value);
            }
            if !names.insert(name) {
                return Err(serde::de::Error::custom("a member is there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}
