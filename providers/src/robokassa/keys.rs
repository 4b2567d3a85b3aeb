//! The keys that Robokassa signs with.

use crate::rsa::{self, Key};

/// The certificate that Robokassa publishes at <https://docs.robokassa.ru/media/files/jwtsign.cer>, valid 2026-06-16
/// to 2027-06-16, SHA-256 d071d43890a5f2ed7be150a9c26fc43b941314dface48f72fbd29a1857c1d089. It is replaced once a year.
const PUBLISHED: &str = include_str!("jwtsign.pem");

/// The published certificate's key.
pub(super) fn published() -> Option<Key> {
    rsa::read_pem(PUBLISHED).ok()?.pop()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Hash, from_base64};

    #[test]
    fn the_published_certificate_is_the_one_it_says() {
        let text = PUBLISHED.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
        let der = from_base64(&text).unwrap();
        assert_eq!(
            Hash::Sha256.hex(&der),
            "d071d43890a5f2ed7be150a9c26fc43b941314dface48f72fbd29a1857c1d089"
        );
        // Its modulus as `openssl x509 -noout -modulus` shows it begins and ends so.
        let text = hex::encode(published().unwrap().der());
        assert!(
            text.starts_with("3082010a02820101009ae073d566f18c696168574e6a6ed5c83b9c54d5274a2fa0"),
            "{text}"
        );
        assert!(text.ends_with("d99d9d851710203010001"), "{text}");
    }
}
