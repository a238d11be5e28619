//! Reading the fields of a question.

#![allow(
    dead_code,
    reason = "not every combination of features asks every kind of field"
)]

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// An answer, or why there is none.
pub(crate) type Answer = Result<Value, Trouble>;

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The crate has not got what is asked for.
    Unsupported(String),
    /// The question breaks the protocol.
    Malformed(String),
}

/// What a missing or mistyped field is.
pub(crate) fn malformed(name: &str, wanted: &str) -> Trouble {
    Trouble::Malformed(format!("field {name:?} must be {wanted}"))
}

/// A field that is there and not null.
pub(crate) fn field<'q>(question: &'q Value, name: &str) -> Option<&'q Value> {
    question.get(name).filter(|value| !value.is_null())
}

/// A text field that must be there.
pub(crate) fn text<'q>(question: &'q Value, name: &str) -> Result<&'q str, Trouble> {
    question
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| malformed(name, "a string"))
}

/// A text field that may be missing.
pub(crate) fn optional_text<'q>(
    question: &'q Value,
    name: &str,
) -> Result<Option<&'q str>, Trouble> {
    field(question, name)
        .map(|_| text(question, name))
        .transpose()
}

/// A number field that may be missing; fractions are allowed.
pub(crate) fn optional_number(question: &Value, name: &str) -> Result<Option<f64>, Trouble> {
    field(question, name)
        .map(|value| value.as_f64().ok_or_else(|| malformed(name, "a number")))
        .transpose()
}

/// A field in standard base64 that may be missing.
pub(crate) fn optional_bytes(question: &Value, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    optional_text(question, name)?
        .map(|text| {
            STANDARD
                .decode(text)
                .map_err(|_| malformed(name, "standard base64"))
        })
        .transpose()
}

/// A field that is a string or a list of strings, as a list; missing is empty.
pub(crate) fn texts(question: &Value, name: &str) -> Result<Vec<String>, Trouble> {
    let wrong = || malformed(name, "a string or a list of strings");
    match field(question, name) {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(many)) => many
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// A list of `[name, value]` pairs; missing is empty.
pub(crate) fn pairs(question: &Value, name: &str) -> Result<Vec<(String, String)>, Trouble> {
    let wrong = || malformed(name, "a list of [name, value] pairs");
    let Some(list) = field(question, name) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or_else(wrong)?;
    list.iter()
        .map(|pair| match pair.as_array().map(Vec::as_slice) {
            Some([Value::String(name), Value::String(value)]) => Ok((name.clone(), value.clone())),
            _ => Err(wrong()),
        })
        .collect()
}
