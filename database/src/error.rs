use sqlx::error::ErrorKind;

use crate::Error;

/// Whether the database objects to the values that it was given, rather than failing: given once
/// more, it would object once more.
pub fn is_refusal(error: &Error) -> bool {
    let refused = |error: &dyn sqlx::error::DatabaseError| {
        let is_constraint = matches!(
            error.kind(),
            ErrorKind::UniqueViolation
                | ErrorKind::ForeignKeyViolation
                | ErrorKind::NotNullViolation
                | ErrorKind::CheckViolation
        );
        is_constraint || is_refused_value(error)
    };
    matches!(error, Error::Encode(_)) || error.as_database_error().is_some_and(refused)
}

/// Data exceptions (a number that is out of range, text with a NUL) and exceeded limits of the
/// program (a key that is too long for an index), as `PostgreSQL` classes them.
fn is_refused_value(error: &dyn sqlx::error::DatabaseError) -> bool {
    let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() else {
        return false;
    };
    error.code().starts_with("22") || error.code().starts_with("54")
}

/// Whether another process has a file to itself (`SQLITE_BUSY`).
pub(crate) fn is_busy(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().is_some_and(|code| code == "5"))
}

/// Whether a connection has planned a statement for columns that are others now.
pub(crate) fn is_stale_plan(error: &Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| {
        error.code().is_some_and(|code| code == "0A000") && error.message().contains("cached plan")
    })
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
