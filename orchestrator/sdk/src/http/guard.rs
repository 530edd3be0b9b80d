//! Who may ask: only holders of the token, and only under this server's own name.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::{Answer, ApiError};
use crate::client::ErrorKind;

/// What each request is checked against.
pub(super) struct Guard {
    pub(super) token: String,
    pub(super) port: u16,
}

pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

impl Guard {
    fn check(&self, headers: &HeaderMap) -> Answer<()> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let host = text(header::HOST);
        if ![format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)]
            .iter()
            .any(|own| own == host)
        {
            let message = format!("Host: `{host:.100}` is not this server; ask 127.0.0.1:{}", self.port);
            return Err(ApiError::new(ErrorKind::Forbidden, message));
        }
        let given = text(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default();
        if same(given.as_bytes(), self.token.as_bytes()) {
            return Ok(());
        }
        let message = "Authorization: a `Bearer` token is needed; it is in `api.json` in the data folder";
        Err(ApiError::new(ErrorKind::Unauthorized, message))
    }
}

/// Compares without telling by its duration where the first difference is. The length is no secret.
fn same(given: &[u8], token: &[u8]) -> bool {
    let difference = given.iter().zip(token).fold(0, |difference, (a, b)| difference | (a ^ b));
    given.len() == token.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_and_only_our_own_name_open() {
        let guard = Guard { token: "secret".into(), port: 7 };
        let status = |host: &str, authorization: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
            guard.check(&headers).map_err(|refused| refused.kind()).err()
        };
        assert_eq!(status("127.0.0.1:7", "Bearer secret"), None);
        assert_eq!(status("localhost:7", "Bearer secret"), None);
        for host in ["evil.example:7", "127.0.0.1", "127.0.0.1:8", "localhost", ""] {
            assert_eq!(status(host, "Bearer secret"), Some(ErrorKind::Forbidden), "{host}");
        }
        for token in
            ["Bearer secre", "Bearer secret ", "secret", "Bearer ", "Bearer Secret", "Bearer secretsecret"]
        {
            assert_eq!(status("127.0.0.1:7", token), Some(ErrorKind::Unauthorized), "{token}");
        }
    }
}
