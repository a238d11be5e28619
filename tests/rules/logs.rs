//! Rules: logs.
