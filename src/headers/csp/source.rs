//! What a directive of a Content Security Policy lists.

use std::{borrow::Cow, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};

/// The text that stands for a nonce until a response gets its own.
pub(super) const NONCE_MARK: &str = "'nonce'";

/// Words that mean something only between single quotes; without them they would name a host.
const KEYWORDS: [&str; 16] = [
    "none",
    "nonce",
    "self",
    "strict-dynamic",
    "report-sample",
    "inline-speculation-rules",
    "unsafe-inline",
    "unsafe-eval",
    "unsafe-hashes",
    "unsafe-allow-redirects",
    "wasm-unsafe-eval",
    "trusted-types-eval",
    "report-sha256",
    "report-sha384",
    "report-sha512",
    "allow-duplicates",
];

/// Prefixes of what is put between single quotes too, and of a hash the characters of its base64 without
/// padding.
const QUOTED_PREFIXES: [(&str, Option<usize>); 4] = [
    ("nonce-", None),
    ("sha256-", Some(43)),
    ("sha384-", Some(64)),
    ("sha512-", Some(86)),
];

/// One entry of a directive: a keyword, a scheme, a host, a hash, or the response's own nonce.
///
/// Text becomes a source as it is (`"cdn.example"`, `"'self'"`, `"https:"`), and is checked when the policy
/// is built.
///
/// ```
/// use portcullis::headers::{ContentSecurityPolicy, Source};
///
/// let policy = ContentSecurityPolicy::builder()
///     .default_src([Source::SELF])
///     .script_src([Source::NONCE, Source::STRICT_DYNAMIC])
///     .img_src(["'self'", "https://images.example"])
///     .build()?;
/// assert!(policy.needs_nonce());
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source(Cow<'static, str>);

impl Source {
    /// `'none'`: nothing at all. It stands alone.
    pub const NONE: Self = Self::fixed("'none'");
    /// `'self'`: the origin of the page.
    pub const SELF: Self = Self::fixed("'self'");
    /// `'strict-dynamic'`: what a trusted script loads is trusted; hosts and schemes are not.
    pub const STRICT_DYNAMIC: Self = Self::fixed("'strict-dynamic'");
    /// `'unsafe-inline'`: inline scripts or styles, which undoes most of what a policy is for.
    pub const UNSAFE_INLINE: Self = Self::fixed("'unsafe-inline'");
    /// `'unsafe-eval'`: code made from text.
    pub const UNSAFE_EVAL: Self = Self::fixed("'unsafe-eval'");
    /// `'unsafe-hashes'`: hashes may allow event handlers and style attributes.
    pub const UNSAFE_HASHES: Self = Self::fixed("'unsafe-hashes'");
    /// `'wasm-unsafe-eval'`: WebAssembly may be compiled.
    pub const WASM_UNSAFE_EVAL: Self = Self::fixed("'wasm-unsafe-eval'");
    /// `'report-sample'`: reports show the beginning of what was blocked.
    pub const REPORT_SAMPLE: Self = Self::fixed("'report-sample'");
    /// `'inline-speculation-rules'`: inline speculation rules.
    pub const INLINE_SPECULATION_RULES: Self = Self::fixed("'inline-speculation-rules'");
    /// `https:`: anything that comes by HTTPS.
    pub const HTTPS: Self = Self::fixed("https:");
    /// `data:`: anything written out in a `data:` URL.
    pub const DATA: Self = Self::fixed("data:");
    /// `blob:`: anything that a script made.
    pub const BLOB: Self = Self::fixed("blob:");
    /// A nonce that is fresh in every response; the handler reads it from
    /// [`CspNonce`](crate::headers::CspNonce). As text: `'nonce'`.
    pub const NONCE: Self = Self::fixed(NONCE_MARK);

    const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// A script or style whose SHA-256 digest is this.
    #[must_use]
    pub fn sha256(digest: [u8; 32]) -> Self {
        Self::hash("sha256", &digest)
    }

    /// A script or style whose SHA-384 digest is this.
    #[must_use]
    pub fn sha384(digest: [u8; 48]) -> Self {
        Self::hash("sha384", &digest)
    }

    /// A script or style whose SHA-512 digest is this.
    #[must_use]
    pub fn sha512(digest: [u8; 64]) -> Self {
        Self::hash("sha512", &digest)
    }

    pub(super) fn hash(algorithm: &str, digest: &[u8]) -> Self {
        Self(Cow::Owned(format!(
            "'{algorithm}-{}'",
            STANDARD.encode(digest)
        )))
    }

    /// The source as it stands in the policy; of a nonce, the text that stands for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is wrong with the source, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        let text = self.as_str();
        if text.is_empty() {
            return Some("a source must not be empty".to_owned());
        }
        if !text
            .bytes()
            .all(|byte| (0x21..=0x7e).contains(&byte) && byte != b';' && byte != b',')
        {
            return Some(
                "a source must be printable ASCII without spaces, ';' and ',' (an IRI in its \
                 percent-encoded or punycode form, each source on its own)"
                    .to_owned(),
            );
        }
        let quoted = text
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''));
        match quoted {
            Some(inner) => quoted_fault(inner),
            None => unquoted_fault(text),
        }
    }
}

fn quoted_fault(inner: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/');
    let body = inner.trim_end_matches('=');
    if body.is_empty() || inner.len() - body.len() > 2 || !body.bytes().all(word) {
        return Some("between quotes stands a keyword, a nonce or a hash".to_owned());
    }
    let lower = inner.to_ascii_lowercase();
    for (prefix, length) in QUOTED_PREFIXES {
        if !lower.starts_with(prefix) {
            continue;
        }
        return match length {
            None => Some(
                "a nonce in the configuration is the same in every response: use Source::NONCE"
                    .to_owned(),
            ),
            Some(length) if body.len() - prefix.len() != length => Some(format!(
                "a {} hash is {length} characters of base64",
                &prefix[..prefix.len() - 1]
            )),
            Some(_) => None,
        };
    }
    None
}

fn unquoted_fault(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let prefixed = QUOTED_PREFIXES
        .iter()
        .any(|(prefix, _)| lower.starts_with(prefix));
    if KEYWORDS.contains(&lower.as_str()) || prefixed {
        return Some(format!("{text} should be quoted: \"'{text}'\""));
    }
    text.contains('\'').then(|| {
        "a single quote stands only at both ends of a keyword, a nonce or a hash".to_owned()
    })
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
