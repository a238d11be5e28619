//! `Clear-Site-Data`: what the browser forgets about the site, on signing out say.

use http::{HeaderName, HeaderValue};

use crate::config::ConfigError;

/// One kind of data that the browser is told to forget (W3C Clear Site Data, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SiteData {
    /// What it cached.
    Cache,
    /// Cookies and credentials of the whole registrable domain.
    Cookies,
    /// Local and session storage, IndexedDB, service workers.
    Storage,
    /// Open pages of the origin: they are loaded anew.
    ExecutionContexts,
    /// The client hints that the site asked for.
    ClientHints,
    /// Pages fetched by speculation rules.
    PrefetchCache,
    /// Pages rendered by speculation rules.
    PrerenderCache,
}

impl SiteData {
    /// The word in the header field, with its quotes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "\"cache\"",
            Self::Cookies => "\"cookies\"",
            Self::Storage => "\"storage\"",
            Self::ExecutionContexts => "\"executionContexts\"",
            Self::ClientHints => "\"clientHints\"",
            Self::PrefetchCache => "\"prefetchCache\"",
            Self::PrerenderCache => "\"prerenderCache\"",
        }
    }
}

/// The `Clear-Site-Data` header field, for the answer that signs somebody out.
///
/// A handler sets it, or the layer of one route; on every answer it would sign everybody out.
///
/// ```
/// use portcullis::headers::{ClearSiteData, SecurityHeadersLayer, SiteData};
///
/// let sign_out = ClearSiteData::new([SiteData::Cookies, SiteData::Storage])?;
/// assert_eq!(sign_out.to_string(), r#""cookies", "storage""#);
/// let for_the_route = SecurityHeadersLayer::empty().clear_site_data(sign_out);
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ClearSiteData {
    text: String,
}

impl ClearSiteData {
    /// The name of the header field.
    pub const NAME: HeaderName = HeaderName::from_static("clear-site-data");

    /// Some kinds of data.
    ///
    /// # Errors
    ///
    /// If the list is empty or names a kind twice.
    pub fn new(kinds: impl IntoIterator<Item = SiteData>) -> Result<Self, ConfigError> {
        let mut seen: Vec<&str> = Vec::new();
        for kind in kinds {
            if seen.contains(&kind.as_str()) {
                let once = "must name each kind of data once";
                return Err(ConfigError::new("Clear-Site-Data", kind.as_str(), once));
            }
            seen.push(kind.as_str());
        }
        if seen.is_empty() {
            let some = "must name at least one kind of data";
            return Err(ConfigError::new("Clear-Site-Data", "[]", some));
        }
        Ok(Self {
            text: seen.join(", "),
        })
    }

    /// Everything, including kinds that browsers will know later.
    pub fn all() -> Self {
        Self {
            text: "\"*\"".to_owned(),
        }
    }
}

impl std::fmt::Display for ClearSiteData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ClearSiteData> for HeaderValue {
    fn from(data: ClearSiteData) -> Self {
        // Fixed words and commas: it always is a header value, and the fallback is never seen.
        Self::try_from(data.text).unwrap_or(Self::from_static("\"*\""))
    }
}
