//! Rules: headers.
