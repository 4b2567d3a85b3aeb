//! Where Redis is: the store's URL. One server, Sentinel, or Cluster, each with or without TLS.

use redis::{ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::store::{Result, StoreError};

/// Hosts of one URL at the most.
const HOSTS_MAX: usize = 64;

/// What a URL names.
#[derive(Clone)]
pub(super) enum Place {
    /// `redis://`, `rediss://`: one server.
    One(Box<ConnectionInfo>),
    /// `redis+sentinel://`: the master that sentinels name.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<ConnectionInfo>,
        /// Name of the master.
        master: String,
        /// Database and login of the master.
        node: RedisConnectionInfo,
        /// Whether the master is spoken to through TLS.
        tls: bool,
    },
    /// `redis+cluster://`: some of its nodes.
    Cluster(Vec<ConnectionInfo>),
}

/// A URL, taken apart.
#[derive(Clone)]
pub(super) struct Address {
    /// What it names.
    pub place: Place,
    /// It without login, for people.
    pub shown: String,
    /// Whether TLS is used.
    pub tls: bool,
}

fn wrong(why: &str) -> StoreError {
    StoreError::Unusable(format!("the store's Redis URL can't be used: {why}"))
}

/// Takes a URL apart.
///
/// # Errors
///
/// [`StoreError::Unusable`], without the URL: it may hold a password.
pub(super) fn parse(url: &str) -> Result<Address> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("there is no \"://\" in it"))?;
    let (login, at) = match rest.rsplit_once('@') {
        Some((login, at)) => (Some(login), at),
        None => (None, rest),
    };
    let (tls, kind) = match scheme {
        "redis" => (false, None),
        "rediss" => (true, None),
        "redis+sentinel" => (false, Some("sentinel")),
        "rediss+sentinel" => (true, Some("sentinel")),
        "redis+cluster" => (false, Some("cluster")),
        "rediss+cluster" => (true, Some("cluster")),
        other => return Err(wrong(&format!("{other:?} is not a known scheme"))),
    };
    let shown = format!("{scheme}://{}", at.split('?').next().unwrap_or(at));
    let (at, query) = at.split_once('?').map_or((at, ""), |(at, query)| (at, query));
    let (hosts, path) = at.split_once('/').map_or((at, ""), |(hosts, path)| (hosts, path));
    let place = match kind {
        None => Place::One(Box::new(node(tls, login, at, query)?)),
        Some("cluster") => {
            if !path.is_empty() {
                return Err(wrong("a cluster has no database number"));
            }
            Place::Cluster(each_host(hosts, |host| node(tls, login, host, query))?)
        }
        Some(_) => sentinel(tls, login, hosts, path, query)?,
    };
    Ok(Address { place, shown, tls })
}

/// `h1:p1,h2:p2/master-name[/db]`. The login is the master's; with `?sentinel_auth=same` the sentinels' too.
fn sentinel(tls: bool, login: Option<&str>, hosts: &str, path: &str, query: &str) -> Result<Place> {
    let (master, db) = path.split_once('/').map_or((path, "0"), |(master, db)| (master, db));
    if master.is_empty() {
        return Err(wrong("the master's name is missing: redis+sentinel://host:26379/NAME"));
    }
    let db: u32 = db.parse().map_err(|_| wrong("the database is not a number"))?;
    let own_login = match query {
        "" => None,
        "sentinel_auth=same" => login,
        _ => return Err(wrong("after the question mark only sentinel_auth=same is known")),
    };
    let sentinels = each_host(hosts, |host| {
        let host = if port_is_given(host) { host.to_owned() } else { format!("{host}:26379") };
        node(tls, own_login, &host, "")
    })?;
    let node = node(tls, login, &format!("localhost/{db}"), "")?.redis_settings().clone();
    Ok(Place::Sentinel { sentinels, master: master.to_owned(), node, tls })
}

fn port_is_given(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']') && port.parse::<u16>().is_ok())
}

fn each_host(hosts: &str, make: impl Fn(&str) -> Result<ConnectionInfo>) -> Result<Vec<ConnectionInfo>> {
    let made = hosts.split(',').take(HOSTS_MAX).map(|host| make(host.trim())).collect::<Result<Vec<_>>>()?;
    if hosts.split(',').count() > HOSTS_MAX {
        return Err(wrong("there are too many hosts in it"));
    }
    Ok(made)
}

fn node(tls: bool, login: Option<&str>, at: &str, query: &str) -> Result<ConnectionInfo> {
    if at.is_empty() || at.starts_with('/') || at.starts_with(':') {
        return Err(wrong("a host is missing"));
    }
    let scheme = if tls { "rediss" } else { "redis" };
    let login = login.map(|login| format!("{login}@")).unwrap_or_default();
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    // The crate's own words could quote the URL with its password.
    format!("{scheme}://{login}{at}{query}").into_connection_info().map_err(|_| {
        wrong("host, port, database or login are not written as redis://[user:password@]host:port/db")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinel_urls_name_hosts_master_and_database() {
        let address = parse("redis+sentinel://u:p%40ss@one:1,two,[::1]:3/mymaster/4").unwrap();
        assert_eq!(address.shown, "redis+sentinel://one:1,two,[::1]:3/mymaster/4");
        let Place::Sentinel { sentinels, master, node, tls } = address.place else { panic!() };
        let at: Vec<String> = sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        assert_eq!(at, ["one:1", "two:26379", "::1:3"]);
        assert_eq!((master.as_str(), node.db(), tls), ("mymaster", 4, false));
        assert_eq!((node.username(), node.password()), (Some("u"), Some("p@ss")));
        assert!(sentinels.iter().all(|sentinel| sentinel.redis_settings().password().is_none()));
        let Place::Sentinel { sentinels, .. } =
            parse("redis+sentinel://:pw@one/m?sentinel_auth=same").unwrap().place
        else {
            panic!()
        };
        assert_eq!(sentinels[0].redis_settings().password(), Some("pw"));
    }

    #[test]
    fn the_other_urls() {
        let one = parse("rediss://u:p@host:7/2").unwrap();
        assert!(one.tls && one.shown == "rediss://host:7/2");
        let Place::One(info) = one.place else { panic!() };
        assert_eq!((info.addr().to_string().as_str(), info.redis_settings().db()), ("host:7", 2));
        let Place::Cluster(nodes) = parse("redis+cluster://a,b:7000").unwrap().place else { panic!() };
        assert_eq!(nodes.len(), 2);
    }

    #[test]
    fn wrong_urls_are_refused_without_their_password() {
        for url in [
            "redis",
            "http://h",
            "redis://",
            "redis://:secret@/1",
            "redis://:secret@h:port",
            "redis+sentinel://:secret@h:1",
            "redis+sentinel://h:1/m/x",
            "redis+sentinel://h:1/m?x=y",
            "redis+cluster://:secret@",
            "redis+cluster://h/1",
        ] {
            let Err(StoreError::Unusable(words)) = parse(url).map(|_| ()) else { panic!("{url}") };
            assert!(!words.contains("secret"), "{words}");
        }
    }
}
