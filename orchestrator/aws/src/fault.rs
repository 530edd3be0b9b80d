//! What went wrong with a call, read out of the SDK's error once: no answer, or which answer.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// The HTTP status, 0 without an answer.
    pub(crate) status: u16,
    /// The service's error code, empty without one.
    pub(crate) code: String,
    /// The region of the bucket, which S3 tells those who ask elsewhere.
    pub(crate) bucket_region: Option<String>,
    /// All of it, for people.
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There are no credentials, or they cannot be renewed; nothing was asked.
    Credentials,
    /// Timeout, broken connection, an answer that cannot be read.
    NoAnswer,
    /// The service refused.
    Refused,
}

/// Codes which say that the credentials have lapsed or are not known: they are renewed by somebody else, or soon.
const CREDENTIAL_CODES: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

impl Fault {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let response = error.raw_response();
        let status = response.map_or(0, |response| response.status().as_u16());
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
        let said = error.as_service_error().and_then(ProvideErrorMetadata::message);
        let (kind, text) = if is_credentials(error) {
            (Kind::Credentials, format!("no AWS credentials: {}", innermost(error)))
        } else if status == 0 || (status < 300 && code.is_empty()) {
            (Kind::NoAnswer, format!("no answer: {}", chain(error)))
        } else {
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            let code = if code.is_empty() { "an error without a code" } else { code };
            (Kind::Refused, format!("{code} ({status}){said}"))
        };
        let bucket_region = response.and_then(|response| response.headers().get("x-amz-bucket-region"));
        Self { kind, status, code: code.to_owned(), bucket_region: bucket_region.map(str::to_owned), text }
    }

    /// A request that could not be built.
    pub(crate) fn unsent(text: String) -> Self {
        Self { kind: Kind::Refused, status: 400, code: String::new(), bucket_region: None, text }
    }

    pub(crate) fn is_credentials(&self) -> bool {
        self.kind == Kind::Credentials || CREDENTIAL_CODES.contains(&self.code.as_str())
    }

    pub(crate) fn is_denied(&self) -> bool {
        !self.is_credentials()
            && (self.status == 403 || self.code.contains("AccessDenied") || self.code == "InvalidSecurity")
    }

    /// Whether the bucket is in another region than asked.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self.status, 301 | 307) || self.code == "AuthorizationHeaderMalformed"
    }
}

fn is_credentials<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    let found = |error: &(dyn Error + 'static)| error.is::<CredentialsError>();
    sources(error).any(found)
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Each layer once: some of the SDK's errors repeat their source.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut layers: Vec<String> = Vec::new();
    for layer in sources(error).map(ToString::to_string) {
        if !layers.iter().any(|known| known.contains(&layer)) {
            layers.push(layer);
        }
    }
    layers.join(": ")
}
