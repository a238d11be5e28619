//! Private keys in PEM (RFC 7468) and DER: PrivateKeyInfo (RFC 5958), ECPrivateKey (RFC 5915) and
//! RSAPrivateKey (RFC 8017 appendix A.1.2).

use pem_rfc7468::Decoder;
use spki::{
    AlgorithmIdentifierRef, ObjectIdentifier,
    der::{
        self, Decode, ErrorKind, Reader, SliceReader, Tag, Tagged,
        asn1::{AnyRef, BitStringRef, UintRef},
    },
};
use zeroize::Zeroizing;

use super::{Numbers, unsound};
use crate::{
    config::ConfigError,
    crypto::{Curve, RsaNumbers},
};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The DER within the first PEM block of the text.
pub(super) fn unarmour(pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let broken = || unsound("malformed", "must be a PEM block (RFC 7468)");
    let mut decoder = Decoder::new_detect_wrap(pem).map_err(|_| broken())?;
    if !matches!(
        decoder.type_label(),
        "PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY"
    ) {
        let expected = "must be a PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY, not encrypted";
        return Err(unsound("another PEM block", expected));
    }
    let mut der = Zeroizing::new(vec![0; decoder.remaining_len()]);
    decoder.decode(&mut der).map_err(|_| broken())?;
    Ok(der)
}

/// Reads whichever of the three it is.
pub(super) fn read(der: &[u8]) -> Result<Numbers<'_>, ConfigError> {
    private_key_info(der)
        .or_else(|_| ec_private_key(der, None))
        .or_else(|_| rsa_private_key(der))
        .map_err(|_| {
            let expected = "must be an RSA, EC or Ed25519 private key in DER, not encrypted";
            unsound("malformed", expected)
        })
}

fn private_key_info(der: &[u8]) -> der::Result<Numbers<'_>> {
    let mut reader = SliceReader::new(der)?;
    let (algorithm, key) = reader.sequence(|inner| {
        let _version: u8 = inner.decode()?;
        let algorithm: AlgorithmIdentifierRef<'_> = inner.decode()?;
        let key = octets(inner.decode()?)?;
        skip_rest(inner)?;
        Ok::<_, der::Error>((algorithm, key))
    })?;
    reader.finish()?;
    match algorithm.oid {
        RSA_ENCRYPTION => rsa_private_key(key),
        EC_PUBLIC_KEY => {
            let curve = algorithm.parameters.ok_or(ErrorKind::Failed)?;
            ec_private_key(key, Some(curve.decode_as()?))
        }
        ED25519 => {
            let seed = octets(AnyRef::from_der(key)?)?;
            let seed = seed.try_into().map_err(|_| ErrorKind::Failed)?;
            Ok(Numbers::Ed25519 { seed, public: None })
        }
        _ => Err(ErrorKind::Failed.into()),
    }
}

/// `known`: the curve that the PrivateKeyInfo around it has named, so that it need not.
fn ec_private_key(der: &[u8], known: Option<ObjectIdentifier>) -> der::Result<Numbers<'_>> {
    let mut reader = SliceReader::new(der)?;
    let (scalar, own, point) = reader.sequence(|inner| {
        let _version: u8 = inner.decode()?;
        let scalar = octets(inner.decode()?)?;
        let (mut own, mut point) = (None, None);
        while !inner.is_finished() {
            let field: AnyRef<'_> = inner.decode()?;
            match field.tag().number().value() {
                0 => own = Some(ObjectIdentifier::from_der(field.value())?),
                1 => point = Some(BitStringRef::from_der(field.value())?),
                _ => {}
            }
        }
        Ok::<_, der::Error>((scalar, own, point))
    })?;
    reader.finish()?;
    let named = match (own, known) {
        (Some(own), Some(known)) if own != known => None,
        (own, known) => own.or(known),
    };
    let curve = match named.ok_or(ErrorKind::Failed)? {
        PRIME256V1 => Curve::P256,
        SECP384R1 => Curve::P384,
        SECP521R1 => Curve::P521,
        SECP256K1 => Curve::Secp256k1,
        _ => return Err(ErrorKind::Failed.into()),
    };
    // A compressed point is not worked out: the scalar says what it is.
    let public = point
        .map(|point| point.as_bytes().ok_or(ErrorKind::Failed))
        .transpose()?
        .filter(|point| point.first() == Some(&4))
        .map(<[u8]>::to_vec);
    Ok(Numbers::Ec {
        curve,
        scalar,
        public,
    })
}

fn rsa_private_key(der: &[u8]) -> der::Result<Numbers<'_>> {
    let mut reader = SliceReader::new(der)?;
    let numbers = reader.sequence(|inner| {
        let _version: u8 = inner.decode()?;
        let mut next = || Ok::<_, der::Error>(inner.decode::<UintRef<'_>>()?.as_bytes());
        Ok::<_, der::Error>(RsaNumbers {
            n: next()?,
            e: next()?,
            d: next()?,
            p: next()?,
            q: next()?,
            dp: next()?,
            dq: next()?,
            qi: next()?,
        })
    })?;
    reader.finish()?;
    Ok(Numbers::Rsa(numbers))
}

/// The modulus and the public exponent of an RSAPublicKey.
pub(super) fn rsa_public_key(der: &[u8]) -> Result<(&[u8], &[u8]), ConfigError> {
    fn read(der: &[u8]) -> der::Result<(UintRef<'_>, UintRef<'_>)> {
        let mut reader = SliceReader::new(der)?;
        reader.sequence(|inner| Ok::<_, der::Error>((inner.decode()?, inner.decode()?)))
    }
    match read(der) {
        Ok((n, e)) => Ok((n.as_bytes(), e.as_bytes())),
        Err(_) => Err(unsound("malformed", "must be an RSAPublicKey in DER")),
    }
}

fn octets(any: AnyRef<'_>) -> der::Result<&[u8]> {
    any.tag().assert_eq(Tag::OctetString)?;
    Ok(any.value())
}

fn skip_rest<'r>(reader: &mut impl Reader<'r>) -> der::Result<()> {
    while !reader.is_finished() {
        reader.decode::<AnyRef<'_>>()?;
    }
    Ok(())
}
