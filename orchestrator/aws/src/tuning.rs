//! How long to wait and how often to try again, and the one HTTP client for all of it.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

const MIB: usize = 1 << 20;
/// Within a region a connection takes a millisecond or two; one that takes longer is better asked for again.
const CONNECT: Duration = Duration::from_secs(2);
/// One attempt, from the request to the head of the answer. S3's slowest answers take about 10 s, and asking again is
/// what AWS advises for them; 99 in 100 come within 0.2 s.
const ATTEMPT: Duration = Duration::from_secs(6);
/// The longest that SQS holds a receive open.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// TLS by ring. The SDK's own choice, AWS-LC, gathers entropy at every cold start, which takes a few milliseconds to a
/// second, and makes the function's package larger.
pub(crate) fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Three attempts, the second soon: a turn that fails gives its messages back, and their redelivery is the patient
/// retry. Longer here would be time of a function that is paid for and waits. A PUT that is sent twice meets its own
/// first write as a 412, which the engine knows by its nonce (G5).
pub(crate) fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(200))
        .with_max_backoff(Duration::from_secs(2))
}

/// No limit for the operation as a whole: three attempts have one each, and a long poll has its own.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build()
}

/// A long poll is answered after its wait when nothing comes; the attempt's time begins after that.
pub(crate) fn poll_timeouts(wait: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(wait.min(LONGEST_WAIT) + ATTEMPT).build()
}

/// A large object has a second more for each MiB; a small one has what everything has.
pub(crate) fn object_timeouts(size_bytes: usize) -> Option<TimeoutConfig> {
    let more = u64::try_from(size_bytes / MIB).ok().filter(|mib| *mib > 0)?;
    Some(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT + Duration::from_secs(more)).build())
}
