//! What the HTTP client asks the relay for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest head of a request for a tunnel, and of the proxy's answer, bytes.
pub(super) const HEAD_MAX: usize = 8 * 1024;

/// `CONNECT host:port` with its credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// Host without brackets.
    pub host: String,
    pub port: u16,
    /// The number of the request.
    pub number: u64,
    /// What proves that this process asks.
    pub token: String,
}

impl Ask {
    /// Reads a head; `None` when it is something else.
    pub fn parse(head: &str) -> Option<Ask> {
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (verb, target) = (words.next()?, words.next()?);
        if verb != "CONNECT" {
            return None;
        }
        let (host, port) = target.rsplit_once(':')?;
        let credentials = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("proxy-authorization") {
                value.trim().strip_prefix("Basic ")
            } else {
                None
            }
        })?;
        let pair = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (number, token) = pair.split_once(':')?;
        Some(Ask {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.parse().ok()?,
            number: number.parse().ok()?,
            token: token.to_owned(),
        })
    }
}

/// The status of an answer's head.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    rest.get(..3)?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let pair = STANDARD.encode("7:abc");
        let head =
            format!("CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic {pair}\r\n\r\n");
        let expected = Ask { host: "a.example".to_owned(), port: 443, number: 7, token: "abc".to_owned() };
        assert_eq!(Ask::parse(&head), Some(expected));
        let six = Ask::parse(&head.replace("a.example", "[::1]")).unwrap();
        assert_eq!(six.host, "::1");
        for wrong in [
            head.replace("CONNECT", "GET"),
            head.replace(":443", ""),
            head.replace("Basic", "Bearer"),
            head.replace(&pair, "!"),
            String::new(),
        ] {
            assert_eq!(Ask::parse(&wrong), None, "{wrong}");
        }
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\n", Some(407)),
            ("HTTP/2 200\r\n", None),
            ("HTTP/1.1 99\r\n", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>, text in ".{0,60}") {
            let _ = status(&bytes);
            let _ = Ask::parse(&text);
            let _ = Ask::parse(&format!("CONNECT {text}\r\nproxy-authorization: Basic {text}"));
        }
    }
}
