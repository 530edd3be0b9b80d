//! A wait with a time limit.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::FusedFuture;

use super::Sleep;

/// A wait that ends with `Ok(None)` when its time is up; the loser of the two is dropped.
#[must_use = "a durable call does nothing until it is awaited"]
#[derive(Debug)]
pub struct Within<F> {
    race: Option<(F, Sleep)>,
}

impl<F> Within<F> {
    pub(crate) fn new(future: F, limit: Sleep) -> Self {
        Self { race: Some((future, limit)) }
    }
}

impl<F, T, E> Future for Within<F>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    type Output = Result<Option<T>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((future, limit)) = &mut self.race else { return Poll::Pending };
        let result = match Pin::new(future).poll(cx) {
            Poll::Ready(result) => result.map(Some),
            // A cancel reaches both, and the future tells of it.
            Poll::Pending => match Pin::new(limit).poll(cx) {
                Poll::Ready(Ok(())) => Ok(None),
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            },
        };
        self.race = None;
        Poll::Ready(result)
    }
}

impl<F, T, E> FusedFuture for Within<F>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    fn is_terminated(&self) -> bool {
        self.race.is_none()
    }
}
