//! The headers that this API gives a meaning to.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use daybook_event_schemas::Actor;
use daybook_event_store::{Position, Revision};

use crate::error::Error;

/// How far a write got, and how far a read must have got.
pub(crate) const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// The text of a header that may be sent once.
pub(crate) fn text<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, Error> {
    let invalid = |detail: &str| Error::InvalidHeader { header: name, detail: detail.into() };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("it may be sent once only"));
    }
    value.to_str().map(Some).map_err(|_| invalid("it must be ASCII text"))
}

/// On whose behalf a request is made.
///
/// This is where identity is established, and nowhere else. For now it believes what the caller
/// says in `X-Daybook-Actor`, which serves development only.
#[derive(Debug, Clone)]
pub(crate) struct Identity(pub(crate) Actor);

impl Identity {
    const HEADER: &'static str = "x-daybook-actor";
    const DEVELOPER: &'static str = "user:dev";

    fn parse(text: &str) -> Result<Self, Error> {
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte);
        let holds = text.split_once(':').is_some_and(|(kind, who)| {
            (1..=32).contains(&kind.len())
                && kind.bytes().all(lower)
                && (1..=128).contains(&who.len())
                && who.bytes().all(name)
        });
        if holds {
            return Ok(Self(Actor(text.into())));
        }
        let detail = "it must be kind:name, such as user:alice".into();
        Err(Error::InvalidHeader { header: Self::HEADER, detail })
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let identity = Self::parse(text(&parts.headers, Self::HEADER)?.unwrap_or(Self::DEVELOPER))?;
        tracing::Span::current().record("actor", &*identity.0.0);
        Ok(identity)
    }
}

/// Which revision a command may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// The client did not say.
    Missing,
    /// Whatever is there.
    Any,
    /// This one.
    Exactly(Revision),
}

impl IfMatch {
    /// Reads the header.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let detail = "it must be one ETag as the server sent it, such as \"3\", or *";
        match text(headers, "if-match")? {
            None => Ok(Self::Missing),
            Some("*") => Ok(Self::Any),
            Some(tag) => parse_etag(tag)
                .map(Self::Exactly)
                .ok_or_else(|| Error::InvalidHeader { header: "if-match", detail: detail.into() }),
        }
    }

    /// The revision, where the client named one.
    pub(crate) fn revision(self) -> Option<Revision> {
        match self {
            Self::Exactly(revision) => Some(revision),
            Self::Missing | Self::Any => None,
        }
    }
}

fn parse_etag(tag: &str) -> Option<Revision> {
    let number = tag.strip_prefix('"')?.strip_suffix('"')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok().map(Revision))?
}

/// The entity tag of a revision.
pub(crate) fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

/// A position as clients hand it back. What it looks like is nobody's business but the server's.
pub(crate) fn consistency_token(position: Position) -> String {
    format!("p{:x}", position.0)
}

/// The position in a read's `Consistency-Token`.
pub(crate) fn consistency_position(headers: &HeaderMap) -> Result<Option<Position>, Error> {
    let Some(token) = text(headers, "consistency-token")? else { return Ok(None) };
    let position = token.strip_prefix('p').and_then(|hex| u64::from_str_radix(hex, 16).ok());
    position.map(|position| Some(Position(position))).ok_or(Error::InvalidHeader {
        header: "consistency-token",
        detail: "it must be as the server sent it with a write".into(),
    })
}

/// The W3C Trace Context of a request. A malformed one is as good as none: its trace begins here.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<Arc<str>> {
    let value = headers.get("traceparent").map(HeaderValue::to_str)?.ok()?;
    let fields: Vec<_> = value.split('-').collect();
    let hex = |field: &str, len| {
        field.len() == len
            && field.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let known = |field: &str| field.bytes().any(|byte| byte != b'0');
    match fields[..] {
        ["00", trace, parent, flags]
            if hex(trace, 32)
                && hex(parent, 16)
                && hex(flags, 2)
                && known(trace)
                && known(parent) =>
        {
            Some(value.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a header"),
        )])
    }

    #[test]
    fn actors_are_a_kind_and_a_name() {
        for actor in ["user:alice", "service:import-1", "user:alice@example.com"] {
            assert_eq!(&*Identity::parse(actor).expect(actor).0.0, actor);
        }
        for actor in ["", "alice", "user:", ":alice", "User:alice", "user:a b", "user:a:b"] {
            assert!(Identity::parse(actor).is_err(), "{actor:?} is no actor");
        }
    }

    #[test]
    fn if_match_takes_one_strong_tag_or_any() {
        let of = |value: &str| IfMatch::of(&headers("if-match", value));
        assert_eq!(of("\"7\"").expect("a tag"), IfMatch::Exactly(Revision(7)));
        assert_eq!(of("*").expect("any"), IfMatch::Any);
        for tag in ["7", "\"x\"", "W/\"7\"", "\"\"", "\"+7\"", "\"1\", \"2\""] {
            assert!(of(tag).is_err(), "{tag} is refused");
        }
    }

    #[test]
    fn a_consistency_token_comes_back_as_its_position() {
        let token = consistency_token(Position(48_879));
        let position = consistency_position(&headers("consistency-token", &token));
        assert_eq!(position.expect("a token"), Some(Position(48_879)));
        assert!(consistency_position(&headers("consistency-token", "48879")).is_err());
    }

    #[test]
    fn a_malformed_traceparent_counts_as_none() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(&headers("traceparent", valid)).as_deref(), Some(valid));
        for wrong in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f35-00f067aa0ba902b7-01",
            "nonsense",
        ] {
            assert_eq!(traceparent(&headers("traceparent", wrong)), None, "{wrong}");
        }
    }
}
