//! Addresses that no request may go to: everything that is not the public internet.
//!
//! Sources: the IANA special-purpose address registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>). Where an IPv6 address carries an IPv4 address that
//! a gateway or tunnel would connect to, that one is judged too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is wrong with an address, in words; `None` for one of the public internet.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let word = match address.octets() {
        [0, ..] => "an address of this host (0.0.0.0/8)",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address",
        [100, 64..=127, ..] => "a shared address of a provider's network (100.64.0.0/10)",
        [127, ..] => "a loopback address",
        [169, 254, ..] => "a link-local address",
        [192, 0, 0, _] => "an address for protocols (192.0.0.0/24)",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address for documentation",
        [192, 88, 99, _] => "a 6to4 relay address",
        [198, 18..=19, ..] => "an address for benchmarks (198.18.0.0/15)",
        [224..=239, ..] => "a multicast address",
        [255, 255, 255, 255] => "the broadcast address",
        [240..=255, ..] => "a reserved address (240.0.0.0/4)",
        _ => return None,
    };
    Some(word)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let tail = embedded(g, h);
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] => return forbidden_v4(tail),
        // DNS64 answers with these for every name in networks without IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0] => {
            return forbidden_v4(tail).map(|_| "a NAT64 address of a forbidden IPv4 address");
        }
        _ => {}
    }
    let word = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "the unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        [0xfc00..=0xfdff, ..] => "a private address (fc00::/7)",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xfec0..=0xfeff, ..] => "a site-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "an address for documentation",
        [0x2001, 0, ..] => "a Teredo address",
        [0x2001, 0..=0x1ff, ..] => "an address for protocols (2001::/23)",
        [0x2002, high, low, ..] => {
            return forbidden_v4(embedded(high, low)).map(|_| "a 6to4 address of a forbidden IPv4 address");
        }
        // ISATAP, RFC 5214: the interface identifier says 5efe and an IPv4 address.
        [0x2000..=0x3fff, _, _, _, 0 | 0x200, 0x5efe, ..] => {
            return forbidden_v4(tail).map(|_| "an ISATAP address of a forbidden IPv4 address");
        }
        [0x2000..=0x3fff, ..] => return None,
        _ => "a reserved address",
    };
    Some(word)
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internet_is_open_and_the_rest_is_not() {
        let open = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:81b::200e",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2a00::5efe:808:808",
        ];
        for text in open {
            assert_eq!(forbidden(text.parse().unwrap()), None, "{text}");
        }
        let closed = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2a00::5efe:7f00:1",
            "2a00::200:5efe:a00:1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ];
        for text in closed {
            assert!(forbidden(text.parse().unwrap()).is_some(), "{text}");
        }
    }

    proptest::proptest! {
        /// The standard library's own words are a second opinion.
        #[test]
        fn agrees_with_the_standard_library(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let theirs = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            proptest::prop_assert!(!theirs || forbidden(IpAddr::V4(v4)).is_some());
            proptest::prop_assert_eq!(
                forbidden(IpAddr::V4(v4)), forbidden(IpAddr::V6(v4.to_ipv6_mapped()))
            );
        }
    }
}
