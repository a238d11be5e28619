//! [`Scope`], [`Role`], [`Permission`]: names that are checked once, where they are written down.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::config::ConfigError;

/// The longest name of a role or a permission, in bytes.
const LONGEST: usize = 256;

macro_rules! names {
    ($($(#[$doc:meta])+ $name:ident: $setting:literal, $is_sound:ident, $expected:literal;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, checked.
            ///
            /// # Errors
            ///
            #[doc = concat!("If it is not sound: it ", $expected, ".")]
            pub fn new(name: impl AsRef<str>) -> Result<Self, ConfigError> {
                let name = name.as_ref();
                match $is_sound(name) {
                    true => Ok(Self(name.into())),
                    false => Err(ConfigError::new($setting, name, $expected)),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Compared, ordered and hashed as its text is.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ConfigError;

            fn from_str(name: &str) -> Result<Self, ConfigError> {
                Self::new(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

names! {
    /// What a token may be used for: a `scope-token` of RFC 6749 section 3.3.
    ///
    /// Scopes are compared byte by byte and imply nothing: `orders` is not `orders:read`.
    Scope: "scope", is_scope, "must be printable ASCII without spaces, quotes and backslashes";
    /// What somebody is within a tenant or an application. Which role includes which is said by a
    /// [`RoleHierarchy`](super::RoleHierarchy).
    Role: "role", is_name, "must have 1 to 256 bytes and no control characters";
    /// What somebody may do. Permissions are compared byte by byte; there are no wildcards.
    Permission: "permission", is_name, "must have 1 to 256 bytes and no control characters";
}

/// RFC 6749 section 3.3: `%x21 / %x23-5B / %x5D-7E`, once or more.
pub(super) fn is_scope(name: &str) -> bool {
    let sound = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !name.is_empty() && name.bytes().all(sound)
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && !name.contains(char::is_control)
}
