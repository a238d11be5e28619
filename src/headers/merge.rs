//! Joining the layer's header fields with those of a response.

use std::mem;

use http::{HeaderMap, HeaderName};

/// From so many fields of the response's own on, moving them costs more than looking ours up among them.
const MANY: usize = 24;

/// Puts `ours` into `theirs`, where a name that stands already stays as it is with all its values, and takes
/// the names of `removed` out of `theirs`.
///
/// A response has few fields of its own as a rule, so it is cheaper to copy the ready table of ours, whose
/// names are hashed already, and to move theirs into the copy, than to look each of ours up.
pub(super) fn merge(ours: &HeaderMap, removed: &[HeaderName], theirs: &mut HeaderMap) {
    if theirs.len() > MANY {
        return insert(ours, removed, theirs);
    }
    let inner = mem::replace(theirs, ours.clone());
    // A name comes with its first value only; what follows without one belongs to it.
    let mut dropped = false;
    theirs.extend(inner.into_iter().filter(|(name, _)| {
        if let Some(name) = name {
            dropped = removed.contains(name);
        }
        !dropped
    }));
}

fn insert(ours: &HeaderMap, removed: &[HeaderName], theirs: &mut HeaderMap) {
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
