//! Who is the primary, by what the sentinels say.

use std::time::Duration;

use futures_util::future::join_all;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, ErrorKind, RedisError, RedisResult, TlsMode};

use super::place::Place;

/// Longest wait for one sentinel: one that is gone must not speak for the others.
const SENTINEL_MAX: Duration = Duration::from_secs(1);

/// The primary that most of the sentinels name now which answer: one that is cut off together with an old primary
/// goes on naming that.
pub(super) async fn named_primary(place: &Place) -> RedisResult<Client> {
    let Place::Sentinel { sentinels, master, node, tls } = place else {
        return Err(RedisError::from((ErrorKind::Client, "there are no sentinels")));
    };
    let mut info = SentinelNodeConnectionInfo::default().set_redis_connection_info(node.clone());
    if *tls {
        info = info.set_tls_mode(TlsMode::Secure);
    }
    let asks = sentinels.iter().map(|sentinel| {
        let (sentinels, info) = (vec![sentinel.clone()], info.clone());
        async move {
            let kind = SentinelServerType::Master;
            let mut client = SentinelClient::build(sentinels, master, Some(info), kind)?;
            let found = tokio::time::timeout(SENTINEL_MAX, client.async_get_client()).await;
            found.unwrap_or_else(|_| Err(RedisError::from((ErrorKind::Io, "a sentinel does not answer"))))
        }
    });
    most_named(join_all(asks).await)
}

/// What most answers name; of several that are named as often, the first.
fn most_named(answers: Vec<RedisResult<Client>>) -> RedisResult<Client> {
    let mut error = RedisError::from((ErrorKind::Client, "there are no sentinels"));
    let mut named: Vec<(String, usize, Client)> = Vec::new();
    for answer in answers {
        match answer {
            Ok(client) => {
                let address = client.get_connection_info().addr().to_string();
                match named.iter_mut().find(|(known, ..)| *known == address) {
                    Some((_, votes, _)) => *votes += 1,
                    None => named.push((address, 1, client)),
                }
            }
            Err(other) => error = other,
        }
    }
    // The last of those that are greatest is taken: so in reverse.
    named.into_iter().rev().max_by_key(|(_, votes, _)| *votes).map(|(.., client)| client).ok_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_sentinels_are_believed() {
        let named = |port: u16| Ok(Client::open(format!("redis://127.0.0.1:{port}/")).unwrap());
        let silent = || Err(RedisError::from((ErrorKind::Io, "silent")));
        let cases = [
            (vec![named(1), named(2), named(2)], Some(2)),
            (vec![silent(), named(2), named(1), named(1)], Some(1)),
            (vec![named(1), named(2)], Some(1)),
            (vec![silent(), named(2)], Some(2)),
            (vec![silent(), silent()], None),
        ];
        for (answers, expected) in cases {
            let found =
                most_named(answers).ok().map(|client| client.get_connection_info().addr().to_string());
            assert_eq!(found, expected.map(|port: u16| format!("127.0.0.1:{port}")));
        }
    }
}
