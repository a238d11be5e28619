//! [`Names`]: one name, or several that are as good.

/// One or several issuers or audiences, of which one must match exactly.
///
/// Made of a string, or of an array or `Vec` of strings. Of an empty list nothing matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Whether it is one of the names, byte for byte (RFC 7519 section 4.1, RFC 8725 section 3.8).
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|own| own == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl From<&str> for Names {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<String> for Names {
    fn from(name: String) -> Self {
        Self(vec![name])
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Names {
    fn from(names: [T; N]) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>> From<Vec<T>> for Names {
    fn from(names: Vec<T>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}
