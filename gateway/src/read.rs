//! The one way from a question to its answer.

use std::fmt::Display;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, LINK};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use daybook_event_store::{Position, Revision};
use daybook_query_side::catalog::SearchError;
use daybook_query_side::time_travel::TimeTravelError;
use daybook_query_side::{Page, Queries, QueryError};
use serde::Serialize;

use crate::app::App;
use crate::error::Error;
use crate::headers::{Identity, consistency_position, etag};

/// A question, and the means to answer it.
pub(crate) struct Read {
    pub(crate) app: App,
    uri: Uri,
    position: Option<Position>,
}

impl FromRequestParts<App> for Read {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        Identity::from_request_parts(parts, app).await?;
        let position = consistency_position(&parts.headers)?;
        Ok(Self { app: app.clone(), uri: parts.uri.clone(), position })
    }
}

impl Read {
    /// The read models, once this one has come as far as the client has seen.
    pub(crate) async fn of(&self, projection: &'static str) -> Result<&Queries, Error> {
        let queries = &self.app.gateway.queries;
        if let Some(position) = self.position {
            let timeout = self.app.options.consistency_timeout;
            if !queries.wait_for(projection, position, timeout).await? {
                return Err(Error::NotCaughtUp { projection });
            }
        }
        Ok(queries)
    }

    /// The catalog, once it has come as far as the client has seen.
    pub(crate) async fn catalog(&self) -> Result<&daybook_query_side::catalog::Catalog, Error> {
        let catalog = &self.app.gateway.catalog;
        if let Some(position) = self.position {
            let timeout = self.app.options.consistency_timeout;
            if !catalog.wait_for(position, timeout).await? {
                return Err(Error::NotCaughtUp { projection: "catalog" });
            }
        }
        Ok(catalog)
    }

    /// One page of a list, with the address of the next.
    pub(crate) fn page<T: Serialize>(&self, page: &Page<T>) -> Response {
        self.linked(page.next.as_ref(), page)
    }

    /// Some page, with the address of the one at its cursor.
    pub(crate) fn linked(&self, next: Option<&impl Display>, page: &impl Serialize) -> Response {
        let link = next.map(|cursor| (LINK, next_link(&self.uri, cursor)));
        with_headers(link, page)
    }
}

fn next_link(uri: &Uri, cursor: &impl Display) -> String {
    let query = uri.query().unwrap_or_default().split('&');
    let kept = query.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: Vec<_> = kept.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

/// One thing with its revision, or that there is none.
pub(crate) fn resource<T: Serialize>(
    what: &str,
    found: Option<T>,
    revision: impl Fn(&T) -> u64,
) -> Result<Response, Error> {
    let found =
        found.ok_or_else(|| Error::NotFound { detail: format!("there is no such {what}") })?;
    let tag = etag(Revision(revision(&found)));
    Ok(with_headers([(ETAG, tag)], &found))
}

fn with_headers(
    headers: impl IntoIterator<Item = (HeaderName, String)>,
    body: &impl Serialize,
) -> Response {
    let mut response = Json(body).into_response();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Cursor(_) | QueryError::Range { .. } => {
                Self::InvalidParameter { detail: error.to_string() }
            }
            QueryError::Unavailable(_)
            | QueryError::Address { .. }
            | QueryError::UnknownProjection { .. } => Self::unavailable("the read model", &error),
        }
    }
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Invalid(invalid) => Self::InvalidParameter { detail: invalid.to_string() },
            SearchError::NotReady
            | SearchError::Folder(_)
            | SearchError::Index(_)
            | SearchError::Cluster(_) => Self::unavailable("the catalog", &error),
            SearchError::Panicked(_) => Self::internal(&error),
        }
    }
}

impl From<TimeTravelError> for Error {
    fn from(error: TimeTravelError) -> Self {
        match error {
            TimeTravelError::InvalidStream(_) | TimeTravelError::UnknownCategory { .. } => {
                Self::InvalidParameter { detail: error.to_string() }
            }
            TimeTravelError::NoSuchStream { .. }
            | TimeTravelError::BeyondEnd { .. }
            | TimeTravelError::NotYet { .. } => Self::NotFound { detail: error.to_string() },
            TimeTravelError::Read { .. } => Self::unavailable("the event store", &error),
            TimeTravelError::Decode { .. } => Self::internal(&error),
        }
    }
}
