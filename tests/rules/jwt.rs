//! Rules: jwt.
