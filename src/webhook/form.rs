//! What Twilio signs of a form: its parameters, decoded, sorted, each once.

use std::collections::BTreeSet;

/// The most parameters: Twilio sends some dozens, and nobody has vouched for a form when it is taken apart.
const MOST: usize = 1000;

/// The sorted names, each followed by its sorted values, of a text of the media type
/// `application/x-www-form-urlencoded` (WHATWG URL section 5.1). A name comes again before each of its
/// values; a pair that is there twice counts once. None if there are more parameters than anyone sends.
pub(super) fn sorted(form: &[u8]) -> Option<Vec<u8>> {
    if form.iter().filter(|byte| **byte == b'&').count() >= MOST {
        return None;
    }
    let pairs: BTreeSet<(Vec<u8>, Vec<u8>)> = form
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = end.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            (decoded(name), decoded(value))
        })
        .collect();
    let texts = pairs.into_iter().flat_map(|(name, value)| [name, value]);
    Some(texts.flatten().collect())
}

/// The value of a parameter that a query ends with, if it is there once.
pub(super) fn last_parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut values = query.rsplit('&').map(|pair| {
        let (named, value) = pair.split_once('=')?;
        (named == name).then_some(value)
    });
    let last = values.next()??;
    values.all(|value| value.is_none()).then_some(last)
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::{last_parameter, sorted};

    #[test]
    fn parameters_are_decoded_sorted_and_counted_once() {
        let form = b"To=%2B1800&Body=a+b%26&To=%2B1800&To=%2b1700&Empty=&&Bare&Odd=%zz%4";
        let expected = b"BareBodya b&EmptyOdd%zz%4To+1700To+1800";
        assert_eq!(sorted(form).as_deref(), Some(&expected[..]));
        assert_eq!(sorted(b"").as_deref(), Some(&b""[..]));
        assert_eq!(sorted(&b"a=1&".repeat(1000)), None);
    }

    #[test]
    fn a_parameter_of_a_query_is_there_once_and_last() {
        assert_eq!(last_parameter("a=1&b=2", "b"), Some("2"));
        assert_eq!(last_parameter("b=2", "b"), Some("2"));
        for none in ["b=2&a=1", "b=2&", "b=2&b=3", "b=2&b", "a=1&bb=2", "b", ""] {
            assert_eq!(last_parameter(none, "b"), None, "{none}");
        }
    }
}
