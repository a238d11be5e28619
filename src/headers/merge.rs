//! Joining the layer's header fields with those of a response.

use std::mem;

use http::{HeaderMap, HeaderName};

/// Puts `ours` into `theirs`, where a name that stands already stays as it is with all its values, and takes
/// the names of `removed` out of `theirs`.
///
/// A response has few fields of its own as a rule. Then it is cheaper to copy the ready table of ours, whose
/// names are hashed already, and to move theirs into the copy, than to look each of ours up among theirs.
pub(super) fn merge(ours: &HeaderMap, removed: &[HeaderName], theirs: &mut HeaderMap) {
    if ours.len() + theirs.len() > ours.capacity() {
        return add(ours, removed, theirs);
    }
    let inner = mem::replace(theirs, ours.clone());
    let one_value_each = inner.keys_len() == inner.len();
    if one_value_each {
        for (name, value) in inner {
            if let Some(name) = name.filter(|name| !removed.contains(name)) {
                theirs.insert(name, value);
            }
        }
    } else {
        // A name comes with its first value only; what follows without one belongs to it.
        let mut dropped = false;
        theirs.extend(inner.into_iter().filter(|(name, _)| {
            if let Some(name) = name {
                dropped = removed.contains(name);
            }
            !dropped
        }));
    }
}

/// The other way round, for responses with many fields.
fn add(ours: &HeaderMap, removed: &[HeaderName], theirs: &mut HeaderMap) {
    for name in removed {
        theirs.remove(name);
    }
    for name in ours.keys() {
        if !theirs.contains_key(name) {
            for value in ours.get_all(name) {
                // It fails at 24,576 fields only, more than any connection carries.
                let _ = theirs.try_append(name, value.clone());
            }
        }
    }
}
