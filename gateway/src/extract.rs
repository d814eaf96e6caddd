//! Extractors that refuse with a problem.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::app::App;
use crate::error::Error;

/// The value in a route's only path segment that varies.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: FromStr<Err: Display>, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let path = path.map_err(|rejection| invalid(rejection.body_text()))?;
        path.parse().map(Self).map_err(invalid)
    }
}

/// The values in a route's two path segments that vary.
pub(crate) struct Paths<A, B>(pub(crate) A, pub(crate) B);

impl<A, B, S> FromRequestParts<S> for Paths<A, B>
where
    A: FromStr<Err: Display>,
    B: FromStr<Err: Display>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let segments = axum::extract::Path::<(String, String)>::from_request_parts(parts, state);
        let axum::extract::Path((a, b)) = segments.await.map_err(|r| invalid(r.body_text()))?;
        Ok(Self(a.parse().map_err(invalid)?, b.parse().map_err(invalid)?))
    }
}

fn invalid(detail: impl Display) -> Error {
    Error::InvalidParameter { detail: detail.to_string() }
}

/// A route's query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        let query = query.map_err(|rejection| invalid(rejection.body_text()))?;
        Ok(Self(query.0))
    }
}

/// The bytes of a body, within the limits of size and time.
pub(crate) async fn read_body(request: Request, app: &App) -> Result<Bytes, Error> {
    let limit = app.options.body_timeout;
    let read = tokio::time::timeout(limit, Bytes::from_request(request, app)).await;
    match read.map_err(|_| Error::RequestTimeout { limit })? {
        Ok(bytes) => Ok(bytes),
        Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_))) => {
            Err(Error::BodyTooLarge { limit: app.options.body_bytes })
        }
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Error::BodyTooLarge { limit: app.options.body_bytes })
        }
        Err(rejection) => Err(Error::MalformedJson { detail: rejection.body_text() }),
    }
}

/// Reads a body. None at all reads as `null`, for commands that need no more than their address.
pub(crate) fn parse_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Error> {
    if body.is_empty() {
        let empty = || Error::MalformedJson { detail: "it is empty".into() };
        return serde_json::from_str("null").map_err(|_| empty());
    }
    if !is_json(headers) {
        return Err(Error::UnsupportedMediaType);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        match error.classify() {
            Category::Data => Error::InvalidBody { pointer, detail: error.to_string() },
            Category::Io | Category::Syntax | Category::Eof => malformed(&error),
        }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::MalformedJson { detail: error.to_string() }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}
