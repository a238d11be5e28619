//! Stub.
use crate::question::{Answer, Trouble};
use serde_json::Value;
pub(crate) fn answer(_question: &Value) -> Answer {
    Err(Trouble::Unsupported("rate_limit".to_owned()))
}
