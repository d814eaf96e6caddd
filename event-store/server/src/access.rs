//! Who calls, and what they may do.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tonic::{Code, Status};

use crate::errors;
use crate::http::{self, is_grpc};
use crate::users::{ADMINS, OPS, User, Users, UsersError};

/// What anybody may ask: how to reach the server, and whether it is there.
const OPEN: &[&str] = &[
    "/event_store.client.gossip.Gossip/",
    "/event_store.client.server_features.ServerFeatures/",
    "/gossip",
    "/health/",
    "/info",
    "/ping",
];
/// What is for operators alone.
const OPERATORS: &[&str] = &[
    "/event_store.client.monitoring.Monitoring/",
    "/event_store.client.operations.Operations/",
    "/stats",
];
/// Persistent subscriptions are for operators to manage, and for users to consume.
const SUBSCRIPTIONS: &str = "/event_store.client.persistent_subscriptions.PersistentSubscriptions/";

/// Who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody without a name.
    #[default]
    Anonymous,
    /// A user with the right password.
    User {
        /// The name.
        login: Arc<str>,
        /// Whether it is one of those who may do everything.
        admin: bool,
        /// Whether it may look after the server.
        operator: bool,
    },
    /// Anybody, where nobody is asked who they are.
    Trusted,
}

impl Caller {
    /// Who made a call.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// The user's name, for people.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::User { login, .. } => login,
            Self::Anonymous | Self::Trusted => "anonymous",
        }
    }

    /// May do everything.
    pub(crate) fn admin(&self) -> Result<(), Status> {
        match self {
            Self::Trusted | Self::User { admin: true, .. } => Ok(()),
            _ => Err(errors::access_denied("it is for members of $admins")),
        }
    }

    /// May do everything, or is this user.
    pub(crate) fn admin_or(&self, user: &str) -> Result<(), Status> {
        match self {
            Self::User { login, .. } if **login == *user => Ok(()),
            _ => self.admin(),
        }
    }

    fn operator(&self) -> Result<(), Status> {
        match self {
            Self::Trusted | Self::User { operator: true, .. } => Ok(()),
            _ => Err(errors::access_denied("it is for members of $ops and $admins")),
        }
    }

    fn user(&self) -> Result<(), Status> {
        match self {
            Self::Trusted | Self::User { .. } => Ok(()),
            Self::Anonymous => Err(errors::access_denied("it is for users")),
        }
    }

    /// May read, write and delete a stream, and say something of it: those that begin with a dollar
    /// sign, as `$all` does, are the server's own.
    pub(crate) fn stream(&self, name: &str) -> Result<(), Status> {
        // Metadata belongs to the stream that it is of.
        let name = name.strip_prefix("$$").unwrap_or(name);
        if name.starts_with('$') { self.admin() } else { self.user() }
    }

    /// May call something at all.
    fn call(&self, path: &str) -> Result<(), Status> {
        let one_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        match path.strip_prefix(SUBSCRIPTIONS) {
            Some("Read") => self.user(),
            Some(_) => self.operator(),
            None if one_of(OPEN) => Ok(()),
            None if one_of(OPERATORS) => self.operator(),
            None => self.user(),
        }
    }
}

impl From<User> for Caller {
    fn from(user: User) -> Self {
        let is = |group: &str| user.groups.iter().any(|of| of == group);
        let admin = is(ADMINS);
        Self::User { admin, operator: admin || is(OPS), login: user.login_name.into() }
    }
}

/// Notes for a call who makes it, and refuses one that they may not make. Without users, whoever
/// calls is trusted.
pub(crate) async fn check(users: Option<&Users>, request: &mut Request) -> Result<(), Response> {
    let caller = match users {
        Some(users) => {
            let header = request.headers().get(AUTHORIZATION);
            caller(users, header, http::method(request)).await
        }
        None => Ok(Caller::Trusted),
    };
    let allowed = caller.and_then(|caller| caller.call(request.uri().path()).map(|()| caller));
    match allowed {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(())
        }
        Err(status) if is_grpc(request) => Err(status.into_http()),
        Err(status) => Err(refusal(&status)),
    }
}

/// Who sends a header with a call of `method`.
async fn caller(
    users: &Users,
    header: Option<&HeaderValue>,
    method: &str,
) -> Result<Caller, Status> {
    let Some(header) = header else { return Ok(Caller::Anonymous) };
    let (login, password) = credentials(header).ok_or_else(not_authenticated)?;
    match users.verify(&login, &password).await {
        Ok(user) => Ok(user.into()),
        Err(UsersError::Unavailable(why)) => Err(Status::unavailable(why)),
        Err(error) => {
            tracing::warn!(%error, method, "a call was refused");
            Err(not_authenticated())
        }
    }
}

/// A name and a password, as HTTP's basic authentication has them.
fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    let basic = scheme.eq_ignore_ascii_case("basic");
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok().filter(|_| basic)?;
    let (login, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((login.into(), password.into()))
}

fn not_authenticated() -> Status {
    let message = "Not Authenticated".to_owned();
    errors::exception(Code::Unauthenticated, message, "not-authenticated", &[])
}

/// A refusal over plain HTTP.
fn refusal(status: &Status) -> Response {
    let code = match status.code() {
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNAUTHORIZED,
    };
    let ask = [(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"event store\""))];
    (code, ask, status.message().to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(groups: &[&str]) -> Caller {
        let is = |group| groups.contains(&group);
        Caller::User { login: "ann".into(), admin: is(ADMINS), operator: is(ADMINS) || is(OPS) }
    }

    #[test]
    fn callers_may_do_what_their_groups_may() {
        let callers =
            [Caller::Anonymous, user(&[]), user(&[OPS]), user(&[ADMINS]), Caller::Trusted];
        let may = |what: &dyn Fn(&Caller) -> bool| callers.each_ref().map(what);
        let stream = |name| may(&|caller| caller.stream(name).is_ok());
        let call = |path| may(&|caller| caller.call(path).is_ok());

        assert_eq!(stream("order-1"), [false, true, true, true, true]);
        assert_eq!(stream("$$order-1"), [false, true, true, true, true]);
        for of_the_server in ["$all", "$user-ann", "$$$user-ann", "$ce-order"] {
            assert_eq!(stream(of_the_server), [false, false, false, true, true]);
        }
        for open in ["/gossip", "/health/live", "/event_store.client.gossip.Gossip/Read"] {
            assert_eq!(call(open), [true; 5], "{open}");
        }
        let shutdown = "/event_store.client.operations.Operations/Shutdown";
        let (create, consume) = (format!("{SUBSCRIPTIONS}Create"), format!("{SUBSCRIPTIONS}Read"));
        for operators in ["/stats", shutdown, &create] {
            assert_eq!(call(operators), [false, false, true, true, true], "{operators}");
        }
        for users in ["/event_store.client.streams.Streams/Read", &consume] {
            assert_eq!(call(users), [false, true, true, true, true], "{users}");
        }
    }

    #[test]
    fn users_look_after_themselves() {
        assert!(user(&[]).admin_or("ann").is_ok());
        assert!(user(&[OPS]).admin_or("bob").is_err());
        assert!(user(&[ADMINS]).admin_or("bob").is_ok());
        assert!(Caller::Anonymous.admin_or("ann").is_err());
    }

    #[test]
    fn credentials_are_read_as_clients_send_them() {
        let read = |header| credentials(&HeaderValue::from_static(header));
        let ann = Some(("ann".to_owned(), "a:b".to_owned()));
        assert_eq!(read("Basic YW5uOmE6Yg=="), ann);
        assert_eq!(read("basic YW5uOmE6Yg=="), ann);
        for none in ["", "Basic", "Basic !", "Bearer YW5uOmE6Yg==", "Basic YW5u", "Basic /w=="] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
