//! Signatures: of notifications, of payment requests, of operations.

use crate::digest::Hash;

/// Upper-case hex MD5 over the bare concatenation of parts, as notifications and answers are signed.
pub(super) fn plain(parts: &[&str]) -> String {
    upper(Hash::Md5, parts.concat().as_bytes())
}

/// Upper-case hex over the lower-case hex hashes of parts, joined by `&`.
pub(super) fn nested<'a>(hash: Hash, parts: impl IntoIterator<Item = &'a str>) -> String {
    joined(hash, parts, "&")
}

/// The same joined by anything: `iaconfirm` joins by nothing.
pub(super) fn joined<'a>(hash: Hash, parts: impl IntoIterator<Item = &'a str>, separator: &str) -> String {
    let hashes: Vec<String> = parts.into_iter().map(|part| hash.hex(part.as_bytes())).collect();
    upper(hash, hashes.join(separator).as_bytes())
}

/// `ReceiptSignature` of a notification: upper-case hex SHA-256 over the bare concatenation.
pub(super) fn receipt(parts: &[&str]) -> String {
    upper(Hash::Sha256, parts.concat().as_bytes())
}

fn upper(hash: Hash, base: &[u8]) -> String {
    let mut text = hash.hex(base);
    text.make_ascii_uppercase();
    text
}

/// Slots of a payment request's signature that are hashed even when they are not sent, after shop, order and sum.
pub(super) const SLOTS: [&str; 7] =
    ["MeanType", "EMoneyType", "Lifetime", "Customer_IDP", "Card_IDP", "IData", "PT_Code"];
/// Slots that are hashed only when they are sent, in the order of the PHP SDK.
pub(super) const SLOTS_IF_SENT: [&str; 4] =
    ["OrderLifetime", "PhoneVerified", "PaymentTypeLimits", "MerchantOrderId"];

/// Signature of the pay form, given a look-up of what is sent.
pub(super) fn of_form<'a>(
    shop: &'a str,
    order: &'a str,
    sum: &'a str,
    sent: impl Fn(&str) -> Option<&'a str>,
    password: &'a str,
) -> String {
    let always = SLOTS.iter().map(|name| sent(name).unwrap_or(""));
    let if_sent = SLOTS_IF_SENT.iter().filter_map(|name| sent(name));
    nested(Hash::Md5, [shop, order, sum].into_iter().chain(always).chain(if_sent).chain([password]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "Qm7xT2pLw9ZrK4vN8sBd3HfJ6yGc5aEuQm7xT2pLw9ZrK4vN8sBd3HfJ6yGc5aEuQm7xT2pLw9ZrK4vN";
    const SHOP: &str = "00012345";

    type Sent = &'static [(&'static str, &'static str)];

    fn form(shop: &str, order: &str, sum: &str, sent: &[(&str, &str)], password: &str) -> String {
        let find = |name: &str| sent.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        of_form(shop, order, sum, find, password)
    }

    #[test]
    fn pay_form() {
        let cases: [(&str, &str, Sent, &str); 6] = [
            ("order-1001", "10.50", &[], "7F7ABEEA2AE0341485F07D422ECECC2F"),
            ("order-1001", "10.5", &[], "6C314DBBE73A494A3E6FC604A68B2ED7"),
            (
                "Заказ №77",
                "1000000",
                &[("Lifetime", "300"), ("Customer_IDP", "user-42")],
                "40393A3F38F3FD28B69EE9BA4F0424E9",
            ),
            (
                "order-1003",
                "10.00",
                &[
                    ("Lifetime", "3600"),
                    ("Customer_IDP", "user-42"),
                    ("Card_IDP", "CARD-001"),
                    ("OrderLifetime", "86400"),
                ],
                "1108E275EA5A9A3930D0A8CA09D8DBB7",
            ),
            (
                "order-1004",
                "12.34",
                &[("PhoneVerified", "+79001234567"), ("OrderLifetime", "86400")],
                "DF7E0413FD430D3426D083B2543DE60D",
            ),
            (
                "order-1005",
                "12.34",
                &[("MerchantOrderId", "ext-2026-0001")],
                "65B21F2D9B930F3A960125FF974239C4",
            ),
        ];
        for (order, sum, sent, expected) in cases {
            assert_eq!(form(SHOP, order, sum, sent, PASSWORD), expected, "{order} {sum}");
        }
    }

    #[test]
    fn pay_form_of_the_published_sdks() {
        let sent: &[(&str, &str)] = &[("Lifetime", "300"), ("Customer_IDP", "short_shop_string")];
        assert_eq!(form("ACME", "FOO", "100", sent, "LONG-PWD"), "3D1D6F830384886A81AD672F66392B03");
        assert_eq!(form("00030576", "999", "50", &[], "password"), "473A2DAB9F207DC6B1CFF561677BDC8A");
        let sent: &[(&str, &str)] = &[
            ("MeanType", "1"),
            ("EMoneyType", "1"),
            ("Lifetime", "100"),
            ("Customer_IDP", "12"),
            ("Card_IDP", "4000000000002487"),
        ];
        assert_eq!(form("0099999", "25", "1000", sent, "qwert12345"), "D88A16459439A2F1B6989570F152AF68");
        let sent: &[(&str, &str)] = &[
            ("MeanType", "1"),
            ("EMoneyType", "0"),
            ("Lifetime", "100"),
            ("MerchantOrderId", "59c93853-4ba5-4552-b225-cc3ee0fe40ad"),
        ];
        let password = "dpdmIXkHQ2GCGb46imY4AruqMg";
        assert_eq!(form("10030576", "999", "50", sent, password), "CE449F987E8F613634A92D693CC511DB");
    }

    #[test]
    fn notifications_of_the_published_sdks() {
        assert_eq!(plain(&["FOO", "paid", "LONG-PWD"]), "3F728AA479E50F5B10EE6C20258BFF88");
        assert_eq!(
            plain(&["FOO", "paid", "fOO", "BaR", "baz", "LONG-PWD"]),
            "1F4E3B63AE408D0BE1E33965E6697236"
        );
    }

    #[test]
    fn charges() {
        let sign = |parts: &[&str]| nested(Hash::Md5, parts.iter().copied().chain([PASSWORD]));
        assert_eq!(sign(&[SHOP, "order-1001-r1", "10.50", "order-1001"]), "BF1463E2EDB80440A617001E1F16C810");
        assert_eq!(
            sign(&[SHOP, "00054321", "order-1001-r2", "1000000", "order-1001"]),
            "F3483A49C7E9D323EB9C0BA6D4027B05"
        );
        assert_eq!(
            sign(&[SHOP, "order-1001-r3", "10.00", "user-42", "CARD-001"]),
            "405DFB28C1D623A3376B34A9676B91EB"
        );
        assert_eq!(
            nested(Hash::Md5, ["ACME", "FOO", "100", "BAR", "LONG-PWD"]),
            "A5FE1C95A2819EBACFC2145EE83742F6"
        );
        assert_eq!(plain(&["order-1001-r1", "10.50", PASSWORD]), "435A67631DB1AC4171179C970C473D2B");
    }

    #[test]
    fn refunds_and_links() {
        let sign = |parts: &[&str]| nested(Hash::Sha256, parts.iter().copied().chain([PASSWORD]));
        assert_eq!(
            sign(&["order-1001", SHOP, "5.25", "3", "RUB", "1", "ru", "Status;Total;BillNumber"]),
            "28B78DD5B3B5ECC56CD1F8A9EEB54BE85C9A965803E851ED69A587C810852F9D"
        );
        assert_eq!(
            sign(&["", SHOP, "", "2026-03-05 14:07:31", "1000000", "300"]),
            "BF99C0BD5D238437DFF339A522708BACE049D4170FBF3AAA93246C1A85D8CF66"
        );
        assert_eq!(
            sign(&["order-1001", SHOP, "10.50"]),
            "34F6590CEAF61205A63AC2A2A31B74EF3101645568EC7699F4DAA1ABA330226F"
        );
        assert_eq!(
            joined(Hash::Md5, [SHOP, "order-1001", "10.50", PASSWORD], ""),
            "9DC6DE0BF03AD1924CB04978FF6FAD65"
        );
    }
}
