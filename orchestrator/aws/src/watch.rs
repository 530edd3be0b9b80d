//! What the SDK does not hand out with an answer: the `Date` header, and whether an earlier attempt may have worked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata as _};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

/// Watches one operation through all its attempts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    date: Mutex<Option<DateTime>>,
    transmitted: AtomicU32,
    certain: AtomicU32,
}

impl Watch {
    /// The server's clock when it answered last.
    pub(crate) fn date(&self) -> Option<DateTime> {
        *self.0.date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether some attempt went out and was not refused for certain: it may have been carried out.
    pub(crate) fn may_have_happened(&self) -> bool {
        self.0.transmitted.load(Ordering::Relaxed) != self.0.certain.load(Ordering::Relaxed)
    }
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.transmitted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let date = response.headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.0.date.lock().unwrap_or_else(PoisonError::into_inner) = date;
        let error = context.output_or_error().err().and_then(|error| error.as_operation_error());
        let code = error.and_then(|error| error.downcast_ref::<PutObjectError>()?.code());
        // S3 turns a request away with SlowDown before it does anything. Other 5xx say nothing about the write.
        if response.status().as_u16() < 500 || code == Some("SlowDown") {
            self.0.certain.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
