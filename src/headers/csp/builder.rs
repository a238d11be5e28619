//! Building a Content Security Policy, and what a policy must not be.

use std::borrow::Cow;

use super::{ContentSecurityPolicy, Source};
use crate::config::ConfigError;

pub(super) const SETTING: &str = "Content-Security-Policy";

const DEFAULT_SRC: &str = "default-src";

/// Builds a [`ContentSecurityPolicy`].
///
/// A setter replaces what its directive had; [`add_source`](Self::add_source) appends to it. Everything is
/// checked by [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use]
pub struct ContentSecurityPolicyBuilder {
    directives: Vec<(Cow<'static, str>, Vec<Source>)>,
    default_src_optional: bool,
    /// What was left out though no other directive speaks for it.
    left_out: Vec<String>,
}

/// Setters of the directives that list sources.
macro_rules! source_lists {
    ($($(#[$docs:meta])* $method:ident = $name:literal;)+) => {
        $(
            $(#[$docs])*
            pub fn $method<S: Into<Source>>(self, sources: impl IntoIterator<Item = S>) -> Self {
                self.directive($name, sources)
            }
        )+
    };
}

impl ContentSecurityPolicyBuilder {
    pub(super) const fn empty() -> Self {
        Self {
            directives: Vec::new(),
            default_src_optional: false,
            left_out: Vec::new(),
        }
    }

    /// What wrote `policy`.
    pub(super) fn of(policy: &str) -> Self {
        let mut builder = Self::empty();
        for directive in policy.split(';') {
            let mut words = directive.split(' ').map(str::to_owned);
            let name = words.next().unwrap_or_default();
            builder = builder.directive(name, words);
        }
        builder.default_src_optional = builder.source_list(DEFAULT_SRC).is_none();
        builder
    }

    source_lists! {
        /// `default-src`: for every kind of resource that has no directive of its own.
        default_src = "default-src";
        /// `script-src`: scripts.
        script_src = "script-src";
        /// `script-src-elem`: `<script>` elements.
        script_src_elem = "script-src-elem";
        /// `script-src-attr`: inline event handlers.
        script_src_attr = "script-src-attr";
        /// `style-src`: styles.
        style_src = "style-src";
        /// `style-src-elem`: `<style>` and style sheets.
        style_src_elem = "style-src-elem";
        /// `style-src-attr`: `style` attributes.
        style_src_attr = "style-src-attr";
        /// `img-src`: images.
        img_src = "img-src";
        /// `font-src`: fonts.
        font_src = "font-src";
        /// `connect-src`: fetch, WebSocket, EventSource, beacons.
        connect_src = "connect-src";
        /// `media-src`: audio and video.
        media_src = "media-src";
        /// `object-src`: plugins.
        object_src = "object-src";
        /// `frame-src`: what may be framed by the page.
        frame_src = "frame-src";
        /// `child-src`: frames and workers that have no directive of their own.
        child_src = "child-src";
        /// `worker-src`: workers.
        worker_src = "worker-src";
        /// `manifest-src`: the web app manifest.
        manifest_src = "manifest-src";
        /// `base-uri`: what `<base>` may say.
        base_uri = "base-uri";
        /// `form-action`: where forms may be sent.
        form_action = "form-action";
        /// `frame-ancestors`: who may frame the page.
        frame_ancestors = "frame-ancestors";
        /// `sandbox`: treats the page as a sandboxed frame that is allowed the flags given
        /// (`allow-scripts`, say); an empty list allows it nothing.
        sandbox = "sandbox";
        /// `trusted-types`: the policies that may be created.
        trusted_types = "trusted-types";
        /// `report-uri`: where reports go in browsers that do not know `report-to`.
        report_uri = "report-uri";
    }

    /// `report-to`: the name that a [`ReportingEndpoints`](crate::headers::ReportingEndpoints) field gives
    /// to the place where reports go.
    pub fn report_to(self, endpoint: &str) -> Self {
        self.directive("report-to", [endpoint])
    }

    /// `upgrade-insecure-requests`: what the page loads by `http:` is fetched by `https:`.
    pub fn upgrade_insecure_requests(self) -> Self {
        self.directive("upgrade-insecure-requests", [] as [Source; 0])
    }

    /// `require-trusted-types-for 'script'`: no plain text reaches the places where a script could start.
    pub fn require_trusted_types(self) -> Self {
        self.directive("require-trusted-types-for", ["'script'"])
    }

    /// A directive by its name. An empty list writes the name alone.
    pub fn directive<S: Into<Source>>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        sources: impl IntoIterator<Item = S>,
    ) -> Self {
        let name = name.into();
        let sources = sources.into_iter().map(Into::into).collect();
        match self.source_list(&name) {
            Some(known) => *known = sources,
            None => self.directives.push((name, sources)),
        }
        self
    }

    /// Appends a source to a directive, which begins with it if the policy has not got the directive yet.
    ///
    /// A `'none'` that stood there alone gives way.
    pub fn add_source(
        mut self,
        name: impl Into<Cow<'static, str>>,
        source: impl Into<Source>,
    ) -> Self {
        let name = name.into();
        match self.source_list(&name) {
            Some(sources) => {
                sources.retain(|known| *known != Source::NONE);
                sources.push(source.into());
            }
            None => self.directives.push((name, vec![source.into()])),
        }
        self
    }

    /// Appends the response's own nonce to a directive: `add_source(name, Source::NONCE)`.
    pub fn add_nonce(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.add_source(name, Source::NONCE)
    }

    /// Leaves out a directive that lists sources, so that `default-src` speaks for its kind of resource.
    ///
    /// Where `default-src` does not speak for it (`base-uri`, `form-action`, `frame-ancestors`), and for
    /// `default-src` itself, the policy is refused: see [`dangerous_without`](Self::dangerous_without).
    pub fn without(mut self, name: &str) -> Self {
        if !name.ends_with("-src") {
            self.left_out.push(name.to_owned());
        }
        self.directives.retain(|(known, _)| known != name);
        self
    }

    /// Leaves out any directive: what it limited has no limit any more.
    ///
    /// Without `default-src`, kinds of resources that the policy does not name may come from anywhere.
    pub fn dangerous_without(mut self, name: &str) -> Self {
        self.default_src_optional |= name == DEFAULT_SRC;
        self.directives.retain(|(known, _)| known != name);
        self
    }

    /// The policy, written out.
    ///
    /// # Errors
    ///
    /// If a directive's name is not lower-case words joined by `-`; if a source is empty, holds a space, a
    /// control character, `;`, `,` or anything outside ASCII, is a keyword or hash without its quotes, a hash
    /// of the wrong length, a nonce that would never change, or a `'none'` that does not stand alone; if
    /// there is no `default-src`, a directive was left out that `default-src` does not speak for, or no
    /// directive is there at all.
    pub fn build(self) -> Result<ContentSecurityPolicy, ConfigError> {
        let mut text = String::new();
        for (name, sources) in &self.directives {
            check_name(name)?;
            check_sources(name, sources)?;
            if !text.is_empty() {
                text.push(';');
            }
            text.push_str(name);
            for source in sources {
                text.push(' ');
                text.push_str(source.as_str());
            }
        }
        if text.is_empty() {
            let expected = "must have a directive; to have no policy, leave the header out";
            return Err(ConfigError::new(SETTING, "", expected));
        }
        let default_src = self.directives.iter().find(|(name, _)| name == DEFAULT_SRC);
        if default_src.is_none() && !self.default_src_optional {
            let expected =
                "must have default-src; to go without, say dangerous_without(\"default-src\")";
            return Err(ConfigError::new(SETTING, text, expected));
        }
        let missing = |name: &String| !self.directives.iter().any(|(known, _)| known == name);
        if let Some(name) = self.left_out.into_iter().find(missing) {
            let expected =
                "default-src does not speak for it; to go without, say dangerous_without()";
            return Err(ConfigError::new(SETTING, name, expected));
        }
        Ok(ContentSecurityPolicy::written(text))
    }

    fn source_list(&mut self, name: &str) -> Option<&mut Vec<Source>> {
        let mut directives = self.directives.iter_mut();
        directives
            .find(|(known, _)| known == name)
            .map(|(_, sources)| sources)
    }
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if name.split('-').all(word) {
        return Ok(());
    }
    let expected = "a directive's name is lower-case words joined by '-', such as script-src";
    Err(ConfigError::new(SETTING, name, expected))
}

fn check_sources(name: &str, sources: &[Source]) -> Result<(), ConfigError> {
    let fault = |source: &Source, what: &str| {
        ConfigError::new(SETTING, source.as_str(), format!("in {name}: {what}"))
    };
    for source in sources {
        if let Some(what) = source.fault() {
            return Err(fault(source, &what));
        }
        if sources.len() > 1 && source.as_str().eq_ignore_ascii_case(Source::NONE.as_str()) {
            return Err(fault(source, "'none' must stand alone"));
        }
    }
    Ok(())
}
