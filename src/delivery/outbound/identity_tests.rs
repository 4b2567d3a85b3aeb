use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd};

use super::*;

fn made(key: &KeyPair, years: (i32, i32)) -> String {
    let mut params = CertificateParams::new(vec!["kassir.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 2, 3);
    params.not_after = date_time_ymd(years.1, 12, 31);
    params.self_signed(key).unwrap().pem()
}

fn error(certificate: &str, key: &str) -> Option<IdentityError> {
    ClientIdentity::parse(certificate, &Secret::new(key)).err()
}

#[test]
fn certificates_are_read_with_their_times() {
    crate::tls::install();
    // The years where the encoding of a time changes (1949/1950, 2049/2050).
    for (years, expected) in [
        ((2024, 2049), (1_706_918_400_000, 2_524_521_600_000)),
        ((2024, 2050), (1_706_918_400_000, 2_556_057_600_000)),
        ((1999, 2000), (917_913_600_000 + 86_400_000, 978_220_800_000)),
    ] {
        let key = KeyPair::generate().unwrap();
        let identity = ClientIdentity::parse(&made(&key, years), &Secret::new(key.serialize_pem())).unwrap();
        let Validity { not_before, not_after } = identity.validity();
        assert_eq!((not_before, not_after), expected, "{years:?}");
        assert_eq!(identity.fingerprint().len(), 64);
    }
}

#[test]
fn keys_of_every_usual_kind() {
    crate::tls::install();
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        assert_eq!(error(&made(&key, (2024, 2040)), &key.serialize_pem()), None);
    }
}

#[test]
fn what_does_not_fit() {
    crate::tls::install();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (certificate, text) = (made(&key, (2024, 2040)), key.serialize_pem());
    let broken = certificate.replace("MII", "AAA");
    let many = certificate.repeat(CHAIN_MAX + 1);
    for (certificate, key, expected) in [
        (certificate.as_str(), other.serialize_pem().as_str(), IdentityError::Mismatch),
        ("", text.as_str(), IdentityError::NoCertificate),
        (text.as_str(), text.as_str(), IdentityError::NoCertificate),
        (broken.as_str(), text.as_str(), IdentityError::Certificate),
        (many.as_str(), text.as_str(), IdentityError::Chain),
        (certificate.as_str(), "", IdentityError::NoKey),
        (certificate.as_str(), certificate.as_str(), IdentityError::NoKey),
        (
            certificate.as_str(),
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            IdentityError::Key,
        ),
    ] {
        assert_eq!(error(certificate, key), Some(expected));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, cut in 0_usize..600, at in 0_usize..600, with: u8) {
        let _ = super::super::validity::validity(&bytes);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let mut der = params.self_signed(&key).unwrap().der().to_vec();
        if let Some(byte) = der.get_mut(at) {
            *byte = with;
        }
        der.truncate(cut);
        let _ = super::super::validity::validity(&der);
    }
}
