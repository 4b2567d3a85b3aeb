//! RSA public keys out of PEM or bare base64: public keys and certificates, with a small strict DER reader.
//!
//! A certificate is only a container of its key here: who signed it and its dates are not looked at, because the
//! account (or the adapter) names the keys it trusts.

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use crate::digest::from_base64;

/// Most keys and certificates in one text.
pub const KEYS_MAX: usize = 16;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
/// 1.2.840.113549.1.1.1, rsaEncryption (RFC 8017).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// An RSA public key as PKCS #1 `RSAPublicKey` in DER.
pub struct Key(Vec<u8>);

impl Key {
    /// The key's DER text.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is an RS256 signature (RSASSA-PKCS1-v1_5 with SHA-256) of the text; keys below 2048 bits never fit.
    #[must_use]
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.0).verify(text, signature).is_ok()
    }
}

/// All keys of PEM text, one block after the other.
///
/// # Errors
/// Says in words which block can't be read and why.
pub fn read_pem(pem: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    let mut rest = pem;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let number = keys.len().saturating_add(1);
        if number > KEYS_MAX {
            return Err(format!("has more than {KEYS_MAX} keys"));
        }
        let (label, after) =
            after.split_once("-----").ok_or_else(|| format!("block {number} has no label"))?;
        let end = format!("-----END {label}-----");
        let (text, after) =
            after.split_once(end.as_str()).ok_or_else(|| format!("block {number} has no end"))?;
        let der = from_base64(&text.split_ascii_whitespace().collect::<String>())
            .ok_or_else(|| format!("block {number} is not base64"))?;
        let key = match label {
            "PUBLIC KEY" => info(&der),
            "CERTIFICATE" => certificate(&der),
            "RSA PUBLIC KEY" => rsa(&der),
            other => {
                return Err(format!("block {number} is {other}; a PUBLIC KEY or a CERTIFICATE is needed"));
            }
        };
        keys.push(Key(key.ok_or_else(|| format!("block {number} holds no RSA public key"))?.to_vec()));
        rest = after;
    }
    if keys.is_empty() { Err("holds no PEM block".to_owned()) } else { Ok(keys) }
}

/// One key as dashboards show it without PEM armour: a `SubjectPublicKeyInfo` in base64, with or without line breaks.
/// PEM text with a single key is read, too.
///
/// # Errors
/// Says in words what is wrong with the text.
pub fn read_bare(text: &str) -> Result<Key, String> {
    if text.contains("-----BEGIN ") {
        let mut keys = read_pem(text)?;
        return match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            _ => Err("holds more than one key".to_owned()),
        };
    }
    let der = from_base64(&text.split_ascii_whitespace().collect::<String>())
        .ok_or_else(|| "is not base64".to_owned())?;
    let key = info(&der).ok_or_else(|| "holds no RSA public key (SubjectPublicKeyInfo)".to_owned())?;
    Ok(Key(key.to_vec()))
}

/// What stands in a DER text, element by element.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's tag and content. Only short tags and definite, shortest lengths, as DER says.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            if bytes.is_empty() || bytes.len() > 3 || bytes.first() == Some(&0) {
                return None;
            }
            let length = bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            if length < 0x80 {
                return None;
            }
            length
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The content of a text that is one element of this tag and nothing else.
    fn only(text: &'a [u8], tag: u8) -> Option<&'a [u8]> {
        let mut der = Der(text);
        let content = der.take(tag)?;
        der.0.is_empty().then_some(content)
    }
}

/// The key of an X.509 certificate (RFC 5280): the seventh member of `tbsCertificate`.
fn certificate(der: &[u8]) -> Option<&[u8]> {
    let mut whole = Der(Der::only(der, SEQUENCE)?);
    let mut certificate = Der(whole.take(SEQUENCE)?);
    if certificate.0.first() == Some(&VERSION) {
        certificate.take(VERSION)?;
    }
    certificate.take(INTEGER)?;
    for _signature_issuer_validity_subject in 0..4 {
        certificate.take(SEQUENCE)?;
    }
    info_content(certificate.take(SEQUENCE)?)
}

/// The key of a `SubjectPublicKeyInfo`.
fn info(der: &[u8]) -> Option<&[u8]> {
    info_content(Der::only(der, SEQUENCE)?)
}

fn info_content(content: &[u8]) -> Option<&[u8]> {
    let mut info = Der(content);
    let mut algorithm = Der(info.take(SEQUENCE)?);
    let is_rsa = algorithm.take(OID)? == RSA && algorithm.take(NULL)?.is_empty() && algorithm.0.is_empty();
    let (unused_bits, key) = info.take(BIT_STRING)?.split_first()?;
    if is_rsa && *unused_bits == 0 && info.0.is_empty() { rsa(key) } else { None }
}

/// Checks that this is an `RSAPublicKey`: a modulus and an exponent.
fn rsa(key: &[u8]) -> Option<&[u8]> {
    let mut numbers = Der(Der::only(key, SEQUENCE)?);
    numbers.take(INTEGER)?;
    numbers.take(INTEGER)?;
    numbers.0.is_empty().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    const CERTIFICATE: &str = include_str!("robokassa/jwtsign.pem");

    #[test]
    fn bare_keys() {
        let der =
            from_base64(&CERTIFICATE.lines().filter(|line| !line.starts_with("-----")).collect::<String>());
        let der = der.unwrap();
        let at = der.windows(RSA.len()).position(|bytes| bytes == RSA).unwrap();
        // SEQUENCE and length, SEQUENCE and length, OID and length stand before it; 294 bytes is a key of 2048 bits.
        let info = &der[at - 8..at - 8 + 294];
        let text = crate::digest::base64(info);
        let key = read_bare(&text).unwrap();
        assert_eq!(key.0, read_pem(CERTIFICATE).unwrap().pop().unwrap().0);
        let lines: Vec<_> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        assert_eq!(read_bare(&lines.join("\r\n")).unwrap().0, key.0);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        assert_eq!(read_bare(&pem).unwrap().0, key.0);
        assert!(read_bare(&pem.repeat(2)).err().unwrap().contains("more than one"));
        assert!(read_bare("").err().unwrap().contains("no RSA public key"));
        assert!(read_bare("!").err().unwrap().contains("not base64"));
        assert!(read_bare(&text[..text.len() - 4]).is_err());
    }

    #[test]
    fn any_cut_or_added_byte_is_refused() {
        let text = CERTIFICATE.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
        let der = from_base64(&text).unwrap();
        for end in 0..der.len() {
            assert!(certificate(&der[..end]).is_none(), "{end}");
        }
        let mut longer = der.clone();
        longer.push(0);
        assert!(certificate(&longer).is_none());
        assert!(info(&der).is_none());
    }

    #[test]
    fn only_rsa_keys_of_the_standard_algorithm_count() {
        let pem = CERTIFICATE.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
        let der = from_base64(&pem).unwrap();
        let at = der.windows(RSA.len()).position(|bytes| bytes == RSA).unwrap();
        let key_algorithm = der.windows(RSA.len()).rposition(|bytes| bytes == RSA).unwrap();
        assert_eq!(at, key_algorithm);
        let mut other = der.clone();
        other[at + RSA.len() - 1] = 10;
        assert!(certificate(&der).is_some());
        assert!(certificate(&other).is_none());
    }

    #[test]
    fn lengths_are_the_shortest_ones() {
        assert_eq!(Der(&[0x02, 0x01, 0x05]).next(), Some((2, &[5][..])));
        for text in
            [&[0x02, 0x81, 0x01, 0x05][..], &[0x02, 0x80, 0, 0], &[0x1f, 0x01, 0x05], &[0x02, 0x02, 0x05]]
        {
            assert_eq!(Der(text).next(), None, "{text:?}");
        }
        let long = [&[0x04, 0x82, 0x00, 0x80][..], &[0; 128]].concat();
        assert_eq!(Der(&long).next(), None);
    }

    #[test]
    fn says_which_block_is_wrong() {
        let message = |pem: &str| read_pem(pem).err().unwrap();
        assert!(message("").contains("no PEM block"));
        assert!(
            message("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").contains("PRIVATE KEY")
        );
        assert!(message("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").contains("no RSA"));
        assert!(message("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----").contains("base64"));
        assert!(message("-----BEGIN PUBLIC KEY-----\nAAAA").contains("no end"));
        assert_eq!(read_pem(&CERTIFICATE.repeat(2)).unwrap().len(), 2);
        assert!(message(&CERTIFICATE.repeat(KEYS_MAX + 1)).contains("more than"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = (certificate(&bytes), info(&bytes), rsa(&bytes));
        }

        #[test]
        fn a_damaged_certificate_is_read_or_refused(at: proptest::sample::Index, mask in 1_u8..) {
            let text = CERTIFICATE.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
            let mut der = from_base64(&text).unwrap();
            let at = at.index(der.len());
            der[at] ^= mask;
            let _ = certificate(&der);
        }
    }
}
