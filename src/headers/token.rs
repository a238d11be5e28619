//! Header fields whose value is one of a few fixed words.

/// An enum of the words of one header field, with the field's name and its values.
macro_rules! token_header {
    (
        $(#[$docs:meta])*
        $name:ident = $header:literal {
            $($(#[$variant_docs:meta])* $variant:ident = $token:literal,)+
        }
    ) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_docs])* $variant,)+
        }

        impl $name {
            #[allow(dead_code, reason = "only `exact_tokens!` reads it")]
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name of the header field.
            pub const NAME: ::http::HeaderName = ::http::HeaderName::from_static($header);

            /// The value as it stands in the header field.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $token,)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for ::http::HeaderValue {
            fn from(value: $name) -> Self {
                Self::from_static(value.as_str())
            }
        }
    };
}

/// Lets the words of a [`token_header!`] be read from text; `$setting` names the field in errors.
macro_rules! exact_tokens {
    ($name:ident, $setting:literal) => {
        /// Reads a value exactly as it stands in the header field, in its own case.
        impl ::std::str::FromStr for $name {
            type Err = $crate::config::ConfigError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == text)
                    .ok_or_else(|| {
                        let words: Vec<&str> =
                            Self::ALL.iter().map(|value| value.as_str()).collect();
                        let expected = format!("must be one of {words:?}");
                        $crate::config::ConfigError::new($setting, text, expected)
                    })
            }
        }
    };
}
