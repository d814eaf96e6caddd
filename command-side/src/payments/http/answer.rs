use reqwest::StatusCode;

use crate::payments::port::{ProviderError, Receipt};
use crate::payments::wire::{Problem, ReceiptBody};

/// The most of a reason that is kept, in characters.
const MAX_REASON: usize = 300;

/// What a response says. Only what is recognisably the provider's own word is taken for an answer;
/// everything else (a proxy's error page, half a body) leaves the outcome unknown.
pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<Receipt, ProviderError> {
    let unrecognised = || ProviderError::Unavailable {
        reason: format!("the provider's response, status {status}, cannot be made sense of"),
    };
    if status.is_success() {
        let receipt: ReceiptBody = serde_json::from_slice(body).map_err(|_| unrecognised())?;
        return Ok(Receipt { reference: receipt.reference });
    }
    let problem: Problem = serde_json::from_slice(body).map_err(|_| unrecognised())?;
    if problem.status != status.as_u16() {
        return Err(unrecognised());
    }
    Err(error(status, &problem))
}

fn error(status: StatusCode, problem: &Problem) -> ProviderError {
    let text = if problem.detail.is_empty() { problem.title.as_ref() } else { &problem.detail };
    let reason = text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
    match status {
        StatusCode::PAYMENT_REQUIRED => ProviderError::Declined { reason },
        StatusCode::UNPROCESSABLE_ENTITY if problem.kind == Problem::KEY_REUSED => {
            ProviderError::KeyReused
        }
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::CONFLICT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => ProviderError::Unavailable { reason },
        status if status.is_client_error() => ProviderError::Invalid { reason },
        _ => ProviderError::Unavailable { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, kind: &str) -> Vec<u8> {
        format!(r#"{{"type":"{kind}","title":"No","status":{status},"detail":"why"}}"#).into()
    }

    #[track_caller]
    fn read_as(status: u16, body: &[u8]) -> ProviderError {
        read(StatusCode::from_u16(status).unwrap(), body).unwrap_err()
    }

    #[test]
    fn a_problem_is_told_by_its_status() {
        let reason = || "why".to_owned();
        for (status, expected) in [
            (402, ProviderError::Declined { reason: reason() }),
            (400, ProviderError::Invalid { reason: reason() }),
            (404, ProviderError::Invalid { reason: reason() }),
            (409, ProviderError::Unavailable { reason: reason() }),
            (429, ProviderError::Unavailable { reason: reason() }),
            (503, ProviderError::Unavailable { reason: reason() }),
        ] {
            assert_eq!(read_as(status, &problem(status, "about:blank")), expected);
        }
        assert_eq!(read_as(422, &problem(422, Problem::KEY_REUSED)), ProviderError::KeyReused);
    }

    #[test]
    fn what_the_provider_cannot_have_said_leaves_the_outcome_unknown() {
        for (status, body) in [
            (201, b"<html>".to_vec()),
            (201, b"{}".to_vec()),
            (201, b"{\"reference\":".to_vec()),
            (302, Vec::new()),
            (402, b"<html>".to_vec()),
            (404, b"not here".to_vec()),
            (402, problem(404, "about:blank")),
        ] {
            assert!(matches!(read_as(status, &body), ProviderError::Unavailable { .. }));
        }
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let detail = format!("a\\n{}", "x".repeat(1_000));
        let body = format!(r#"{{"type":"t","title":"t","status":402,"detail":"{detail}"}}"#);
        let ProviderError::Declined { reason } = read_as(402, body.as_bytes()) else { panic!() };
        assert!(reason.starts_with("ax"));
        assert_eq!(reason.len(), MAX_REASON);
    }
}
