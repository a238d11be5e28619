//! The text that is signed: literal pieces, and places for what a delivery brings.

use crate::config::ConfigError;

/// A part of a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Box<str>),
    Timestamp,
    Id,
    Url,
}

/// A signed text, such as `{timestamp}.{body}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) before: Vec<Part>,
    /// What comes after the body.
    pub(super) after: Vec<Part>,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = || {
            let expected =
                "must hold {body} once, besides {timestamp}, {id}, {url} and literal text";
            ConfigError::new("template", text, expected)
        };
        let (mut before, mut after) = (Vec::new(), None::<Vec<Part>>);
        let mut rest = text;
        while !rest.is_empty() {
            let parts = after.as_mut().unwrap_or(&mut before);
            let (literal, tail) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            if literal.contains('}') {
                return Err(wrong());
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            let Some(place) = tail.strip_prefix('{') else {
                break;
            };
            let (name, tail) = place.split_once('}').ok_or_else(wrong)?;
            match name {
                "timestamp" => parts.push(Part::Timestamp),
                "id" => parts.push(Part::Id),
                "url" => parts.push(Part::Url),
                "body" if after.is_none() => after = Some(Vec::new()),
                _ => return Err(wrong()),
            }
            rest = tail;
        }
        let after = after.ok_or_else(wrong)?;
        Ok(Self { before, after })
    }

    pub(super) fn has(&self, part: &Part) -> bool {
        self.before.contains(part) || self.after.contains(part)
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Template};

    #[test]
    fn a_template_holds_the_body_once() {
        let template = Template::parse("v0:{timestamp}:{body}").expect("a template");
        assert_eq!(
            template.before,
            [
                Part::Literal("v0:".into()),
                Part::Timestamp,
                Part::Literal(":".into())
            ]
        );
        assert!(template.after.is_empty());
        for wrong in [
            "",
            "{timestamp}",
            "{body}{body}",
            "{body",
            "body}",
            "{nonsense}{body}",
            "{}{body}",
            "{{body}}",
        ] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
