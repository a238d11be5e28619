//! The text that is signed: literal pieces, and places for what a delivery brings.

use super::url::is_of_query;
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

    /// Why it cannot be told where a part of it ends, where that is so: whether a query is anybody's, and a
    /// timestamp longer or shorter.
    pub(super) fn fault(&self, any_query: bool, either_unit: bool) -> Option<&'static str> {
        if !self.parts_ids() {
            return Some(
                "a mark must part the id from what is beside it in the template, as in `{id}.{body}`",
            );
        }
        if any_query && !self.parts_urls() {
            return Some(
                "a mark that no query has (a line break, `|`) must part the URL from what is beside it in the \
                 template, or the URL must be configured with its query",
            );
        }
        (either_unit && !self.parts_timestamps()).then_some(
            "a mark must part a timestamp of either unit from what is beside it in the template, as in \
             `{timestamp}.{body}`",
        )
    }

    /// Whether a mark parts every id from what is beside it: a letter or a digit could be the id's.
    fn parts_ids(&self) -> bool {
        let is_mark = |byte: u8| !byte.is_ascii_alphanumeric();
        let parts = |one: &Part, two: &Part| {
            (*one != Part::Id || first(two).is_some_and(is_mark))
                && (*two != Part::Id || last(one).is_some_and(is_mark))
        };
        let touches_body =
            self.before.last() == Some(&Part::Id) || self.after.first() == Some(&Part::Id);
        let pairs = self.before.windows(2).chain(self.after.windows(2));
        !touches_body && { pairs }.all(|pair| parts(&pair[0], &pair[1]))
    }

    /// Whether an id ends where it is parted from what is beside it, and nowhere before: otherwise it could take
    /// a part of the body with it.
    pub(super) fn can_hold(&self, id: &str) -> bool {
        let has = |mark: Option<u8>| mark.is_some_and(|mark| id.as_bytes().contains(&mark));
        // What comes before the body is read from its beginning, and what comes after it from the end.
        let before = self.before.windows(2);
        let after = self.after.windows(2);
        { before }.all(|pair| pair[0] != Part::Id || !has(first(&pair[1]))) && { after }
            .all(|pair| pair[1] != Part::Id || !has(last(&pair[0])))
    }

    /// Whether it is known where a URL ends whose query anybody can write: nothing stands in no query but a mark
    /// of that kind, and the brackets and quotation marks of a JSON body.
    fn parts_urls(&self) -> bool {
        let is_mark = |byte: u8| !is_of_query(byte);
        // What comes before the body is read from its beginning, and what comes after it from the end.
        let before = { self.before.windows(2) }
            .all(|pair| pair[0] != Part::Url || first(&pair[1]).is_some_and(is_mark));
        let after = { self.after.windows(2) }
            .all(|pair| pair[1] != Part::Url || last(&pair[0]).is_some_and(is_mark));
        // From there a timestamp is read first, and its digits could be the query's.
        let digits = { self.after.windows(2) }
            .all(|pair| pair[1] != Part::Timestamp || last(&pair[0]).is_some_and(is_no_digit));
        before && after && (digits || !self.after.contains(&Part::Url))
    }

    /// Whether something that is no digit parts every timestamp from the body and whatever else anybody can write:
    /// one that may be longer or shorter could take digits with it, or leave some there, and still be fresh.
    fn parts_timestamps(&self) -> bool {
        // What comes before the body is read from its beginning, and what comes after it from the end.
        let parts =
            |one: &Part, edge: Option<u8>| *one != Part::Timestamp || edge.is_some_and(is_no_digit);
        let before = self.before.iter().enumerate();
        let after = self.after.iter().enumerate();
        { before }.all(|(at, part)| parts(part, self.before.get(at + 1).and_then(first))) && {
            after
        }
        .all(|(at, part)| {
            let one_before = at.checked_sub(1).and_then(|at| self.after.get(at));
            parts(part, one_before.and_then(last))
        })
    }

    pub(super) fn has(&self, part: &Part) -> bool {
        self.before.contains(part) || self.after.contains(part)
    }
}

fn is_no_digit(byte: u8) -> bool {
    !byte.is_ascii_digit()
}

/// The first byte of a literal text.
fn first(part: &Part) -> Option<u8> {
    match part {
        Part::Literal(text) => text.bytes().next(),
        _ => None,
    }
}

/// The last byte of a literal text.
fn last(part: &Part) -> Option<u8> {
    match part {
        Part::Literal(text) => text.bytes().next_back(),
        _ => None,
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
