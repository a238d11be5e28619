//! The check of one delivery: the hash runs while the body comes in.

use super::{
    adyen,
    encoding::{Decoded, SignatureEncoding, to_hex},
    error::WebhookErrorKind,
    form,
    key::Key,
    received::Received,
    replayed::{Replayed, Tags, digest},
    scheme::{Listing, Signed, WebhookScheme},
    template::{Part, Template},
    url::PublicUrl,
    verifier::Keys,
};
use crate::{
    crypto::{
        der_signature,
        mac::{Mac, Tag},
        sha256,
    },
    secret::Secret,
};

/// How many MACs are kept without the heap: a secret and the one that takes its place.
const IN_PLACE: usize = 2;

/// A check on its way: what is left of the body that came so far. It holds nothing of the header, so that
/// it can lie beside it.
#[derive(Default)]
pub(super) struct State {
    has_begun: bool,
    macs: Macs,
}

/// What a delivery was found to be.
pub(super) struct Found {
    /// The secret that it was signed with.
    pub(super) secret: usize,
    /// Stands for the delivery in a replay store.
    pub(super) replayed: Replayed,
}

/// One MAC for each key that has one.
#[derive(Default)]
struct Macs {
    in_place: [Option<Mac>; IN_PLACE],
    more: Vec<Option<Mac>>,
}

impl Macs {
    /// Begins where it stands: a MAC is more than a kilobyte, and moving one costs.
    #[inline]
    fn begin(&mut self, keys: &[Key]) {
        for (place, key) in self.in_place.iter_mut().zip(keys) {
            if let Key::Mac(key) = key {
                *place = Some(key.begin());
            }
        }
        self.more
            .extend(keys.iter().skip(IN_PLACE).map(|key| match key {
                Key::Mac(key) => Some(key.begin()),
                _ => None,
            }));
    }

    #[inline]
    fn update(&mut self, piece: &[u8]) {
        for mac in self.in_place.iter_mut().chain(&mut self.more).flatten() {
            mac.update(piece);
        }
    }

    /// The tags with the places of their keys.
    #[inline]
    fn finish(&mut self) -> impl Iterator<Item = (usize, Tag)> {
        self.in_place
            .iter_mut()
            .chain(&mut self.more)
            .enumerate()
            .filter_map(|(at, mac)| Some((at, mac.take()?.finish())))
    }
}

impl State {
    /// Takes the next piece of the body.
    #[inline]
    pub(super) fn update(&mut self, keys: &Keys, received: &Received<'_>, piece: &[u8]) {
        let Signed::Template(template) = &keys.scheme.signed else {
            return;
        };
        if !self.has_begun {
            self.has_begun = true;
            self.macs.begin(&keys.keys);
            each_piece(&template.before, &keys.scheme, received, |piece| {
                self.macs.update(piece);
            });
        }
        self.macs.update(piece);
    }

    /// Decides. `body` is the whole body, and only looked at where [`Keys::needs_whole_body`].
    #[inline]
    pub(super) fn finish(
        &mut self,
        keys: &Keys,
        received: &Received<'_>,
        body: &[u8],
    ) -> Result<Found, WebhookErrorKind> {
        let Signed::Template(template) = &keys.scheme.signed else {
            return at_once(keys, received, body);
        };
        if !self.has_begun {
            // Nothing came.
            return at_once(keys, received, body);
        }
        let macs = &mut self.macs;
        each_piece(&template.after, &keys.scheme, received, |piece| {
            macs.update(piece);
        });
        by_template(macs.finish(), template, keys, received, body)
    }
}

/// Decides about a delivery whose body is there: nothing is kept from one piece to the next.
#[inline]
pub(super) fn at_once(
    keys: &Keys,
    received: &Received<'_>,
    body: &[u8],
) -> Result<Found, WebhookErrorKind> {
    match &keys.scheme.signed {
        Signed::Template(template) => {
            let tags = keys.keys.iter().enumerate().filter_map(|(at, key)| {
                let Key::Mac(key) = key else {
                    return None;
                };
                let mut mac = key.begin();
                each_piece(&template.before, &keys.scheme, received, |piece| {
                    mac.update(piece);
                });
                mac.update(body);
                each_piece(&template.after, &keys.scheme, received, |piece| {
                    mac.update(piece);
                });
                Some((at, mac.finish()))
            });
            by_template(tags, template, keys, received, body)
        }
        Signed::Twilio => twilio(&keys.scheme, &keys.keys, received, body),
        Signed::Adyen => adyen(&keys.scheme, &keys.keys, received, body),
    }
}

/// The pieces of a signed text on one side of the body.
fn each_piece(
    parts: &[Part],
    scheme: &WebhookScheme,
    received: &Received<'_>,
    mut see: impl FnMut(&[u8]),
) {
    for part in parts {
        match part {
            Part::Literal(text) => see(text.as_bytes()),
            Part::Timestamp => see(received.timestamp().as_bytes()),
            Part::Id => see(received.id.unwrap_or_default().as_bytes()),
            Part::Url => {
                let pieces = scheme.url.as_ref().map(|url| url.pieces(received.query));
                for piece in pieces.into_iter().flatten() {
                    see(piece.as_bytes());
                }
            }
        }
    }
}

/// Whether any signature in the field is the tag: every one of them is compared.
#[inline]
fn lists(scheme: &WebhookScheme, received: &Received<'_>, tag: &Tag) -> bool {
    let mut matched = false;
    received.each_signature(scheme, |is_public, text| {
        let signature = (!is_public).then(|| scheme.encoding.decode(text)).flatten();
        matched |= signature.is_some_and(|signature| tag.is(signature.bytes()));
    });
    matched
}

#[inline]
fn by_template(
    tags: impl Iterator<Item = (usize, Tag)>,
    template: &Template,
    keys: &Keys,
    received: &Received<'_>,
    body: &[u8],
) -> Result<Found, WebhookErrorKind> {
    let Keys { scheme, keys, .. } = keys;
    let mut secret = None;
    let mut replayed = Replayed::Tags(Tags::default());
    let lists_several = !matches!(scheme.listing, Listing::One { .. });
    for (at, tag) in tags {
        let matched = lists(scheme, received, &tag);
        secret = secret.or(matched.then_some(at));
        // Of every secret that is in use, where a delivery lists several signatures: whoever sends it again can
        // leave any of them out, and any secret may be gone by then.
        if let Replayed::Tags(tags) = &mut replayed
            && (lists_several || matched && tags.is_empty())
        {
            tags.push(&tag);
        }
    }
    let asymmetric = |key: &Key| !matches!(key, Key::Mac(_));
    if keys.iter().any(asymmetric) {
        let mut message = Vec::with_capacity(body.len() + 64);
        each_piece(&template.before, scheme, received, |piece| {
            message.extend(piece)
        });
        message.extend(body);
        each_piece(&template.after, scheme, received, |piece| {
            message.extend(piece)
        });
        replayed = Replayed::Digest(digest("message", &message));
        for (at, key) in keys.iter().enumerate().filter(|(_, key)| asymmetric(key)) {
            let mut matched = false;
            received.each_signature(scheme, |is_public, text| {
                matched |= match key {
                    Key::Bearer(secret) => *secret == Secret::from(text),
                    _ => is_public && is_signed(key, scheme.encoding, &message, text),
                };
            });
            secret = secret.or(matched.then_some(at));
        }
    }
    secret
        .map(|secret| Found { secret, replayed })
        .ok_or(WebhookErrorKind::SignatureInvalid)
}

fn is_signed(key: &Key, encoding: SignatureEncoding, message: &[u8], text: &str) -> bool {
    let Some(signature) = encoding.decode(text) else {
        return false;
    };
    match key {
        Key::Ed25519(key) => key.verify(message, signature.bytes()),
        Key::EcdsaP256(key) => der_signature::read_p256(signature.bytes())
            .is_some_and(|signature| key.verify(message, &signature)),
        Key::Mac(_) | Key::Bearer(_) => false,
    }
}

/// The first key whose tag of the text is accepted; all keys are tried.
fn first_key(keys: &[Key], text: &[u8], mut accept: impl FnMut(&Tag) -> bool) -> Option<usize> {
    let mut secret = None;
    for (at, key) in keys.iter().enumerate() {
        let Key::Mac(key) = key else {
            continue;
        };
        let mut mac = key.begin();
        mac.update(text);
        let matched = accept(&mac.finish());
        secret = secret.or(matched.then_some(at));
    }
    secret
}

/// The text that Twilio signs after the URL, if it covers the body.
pub(super) fn twilio_parameters(
    url: &str,
    is_form: bool,
    body: &[u8],
) -> Result<Vec<u8>, WebhookErrorKind> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    // Twilio puts it at the end. Elsewhere it could be what somebody wrote in a message: a part of a form that was
    // signed behind a query, and that is now taken for the end of the query itself.
    if let Some(expected) = form::last_parameter(query, "bodySHA256") {
        let actual = to_hex(&sha256(body));
        // Both are public: nothing is learnt from the time that this takes.
        return (expected == actual)
            .then(Vec::new)
            .ok_or(WebhookErrorKind::SignatureInvalid);
    }
    match (body, is_form) {
        ([], _) => Ok(Vec::new()),
        (form, true) => form::sorted(form).ok_or(WebhookErrorKind::BodyMalformed),
        // Nothing that is signed says anything about such a body.
        (_, false) => Err(WebhookErrorKind::BodyMalformed),
    }
}

fn twilio(
    scheme: &WebhookScheme,
    keys: &[Key],
    received: &Received<'_>,
    body: &[u8],
) -> Result<Found, WebhookErrorKind> {
    let media_type = received
        .content_type
        .and_then(|text| text.split(';').next());
    let is_form = media_type.is_some_and(|media_type| {
        media_type
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    let url = scheme
        .url
        .as_ref()
        .map(|url: &PublicUrl| url.with_and_without_port(received.query));
    let mut secret = None;
    let mut signed = Vec::new();
    for url in url.into_iter().flatten() {
        let parameters = twilio_parameters(&url, is_form, body)?;
        let text = [url.as_bytes(), &parameters].concat();
        let matched = first_key(keys, &text, |tag| lists(scheme, received, tag));
        secret = secret.or(matched);
        if signed.is_empty() {
            signed = text;
        }
    }
    let replayed = Replayed::Digest(digest("message", &signed));
    secret
        .map(|secret| Found { secret, replayed })
        .ok_or(WebhookErrorKind::SignatureInvalid)
}

fn adyen(
    scheme: &WebhookScheme,
    keys: &[Key],
    received: &Received<'_>,
    body: &[u8],
) -> Result<Found, WebhookErrorKind> {
    if received.has_signatures() {
        if adyen::is_of_item(body) {
            return Err(WebhookErrorKind::BodyMalformed);
        }
        let secret = first_key(keys, body, |tag| lists(scheme, received, tag));
        let replayed = Replayed::Digest(digest("message", body));
        return secret
            .map(|secret| Found { secret, replayed })
            .ok_or(WebhookErrorKind::SignatureInvalid);
    }
    let mut first = None;
    let mut signed = Vec::new();
    for item in adyen::items(body)? {
        let signature = scheme.encoding.decode(&item.signature);
        let secret = first_key(keys, item.signed.as_bytes(), |tag| {
            tag.is(signature.as_ref().map_or(&[][..], Decoded::bytes))
        });
        let secret = secret.ok_or(WebhookErrorKind::SignatureInvalid)?;
        first.get_or_insert(secret);
        signed.push(digest("item", item.signed.as_bytes()));
    }
    let is_one = signed.len() == 1;
    // In whichever order the items come, and however often.
    signed.sort_unstable();
    signed.dedup();
    let replayed = digest("items", signed.as_flattened());
    let replayed = match is_one {
        true => Replayed::Digest(replayed),
        false => Replayed::Several(replayed),
    };
    first
        .map(|secret| Found { secret, replayed })
        .ok_or(WebhookErrorKind::BodyMalformed)
}
