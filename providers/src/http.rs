//! Inbound requests, outbound calls and their replies, as plain data: no web framework in sight.

use std::net::IpAddr;

use crate::form::Form;

/// HTTP methods that occur in providers' protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Method {
    /// `GET`, `POST`, …
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// A provider's request to `/webhooks/{provider}/{token}[/{kind}]`, as it stood on the wire.
#[derive(Clone)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// The last segment of the path, where the provider's body does not say what it is.
    pub kind: Option<String>,
    /// The query string without its `?`, undecoded.
    pub query: String,
    /// Header names (lower case) and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body's bytes, untouched.
    pub body: Vec<u8>,
    /// The sender's address after the trusted proxies; `None` when it is not known.
    pub peer: Option<IpAddr>,
    /// When it arrived, Unix milliseconds.
    pub received_at: i64,
}

impl Request {
    /// A POST with a content type and a body: what most providers send.
    #[must_use]
    pub fn post(content_type: &str, body: impl Into<Vec<u8>>) -> Request {
        Request {
            method: Method::Post,
            kind: None,
            query: String::new(),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
            peer: None,
            received_at: 0,
        }
    }

    /// The first header of that lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How many headers of that lower-case name there are.
    #[must_use]
    pub fn header_count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(key, _)| key == name).count()
    }

    /// The media type without parameters, lower case; empty when there is none.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or("");
        value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    }

    /// The body as text, if it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// The form that the request carries: the query of a GET, else the body. The two are never merged.
    ///
    /// # Errors
    /// [`crate::form::FormError`] when it is not strictly encoded UTF-8.
    pub fn form(&self) -> Result<Form, crate::form::FormError> {
        match self.method {
            Method::Get => Form::parse(self.query.as_bytes()),
            _ => Form::parse(&self.body),
        }
    }
}

/// A request for us to make to a provider's API. It may carry secrets: it has no `Debug`.
#[derive(Clone)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: String,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Call {
    /// A GET.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Call {
        Call { method: Method::Get, url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A POST with a content type and a body.
    #[must_use]
    pub fn post(url: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Call {
        Call { method: Method::Post, url: url.into(), headers: Vec::new(), body: body.into() }
            .header("content-type", content_type)
    }

    /// With a further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With HTTP Basic authentication (RFC 7617, UTF-8).
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Call {
        let credentials = crate::digest::base64(format!("{user}:{password}").as_bytes());
        self.header("authorization", format!("Basic {credentials}"))
    }
}

/// A provider's reply to a [`Call`].
#[derive(Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// Body, cut off at the service's limit.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of that lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
