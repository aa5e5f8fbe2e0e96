//! Work that is done to its end, whoever waits for it.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Runs where it is awaited; let go of before its end, it goes on in a task of its own. A panic in it is an error here, as it would be
/// of a task.
pub struct ToItsEnd<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

/// How it ended.
pub type Ended<T> = Result<T, Box<dyn Any + Send>>;

impl<T: Send + 'static> ToItsEnd<T> {
    pub fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }

    /// Goes on with it as far as that needs no waiting.
    pub async fn look(&mut self) -> Poll<Ended<T>> {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *self).poll(context))).await
    }
}

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = Ended<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        // What panicked is dropped and never looked at again.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        self.0 = None;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for ToItsEnd<T> {
    fn drop(&mut self) {
        // Without a runtime there is nothing left that could go on.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(work.await) });
        }
    }
}

impl<T: Send + 'static> fmt::Debug for ToItsEnd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToItsEnd")
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_let_go_of_goes_on() {
        let (begin, begun) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let mut work = ToItsEnd::new(async move {
            begun.await.expect("sent");
            end.send(7).expect("received");
        });
        let never_polled = {
            let (end, ended) = oneshot::channel();
            drop(ToItsEnd::new(async move { end.send(()).expect("received") }));
            ended
        };
        assert!(work.look().await.is_pending());
        drop(work);
        begin.send(()).expect("received");
        assert_eq!(ended.await, Ok(7));
        assert_eq!(never_polled.await, Ok(()), "also what was never begun");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_nothing_goes_on() {
        let began = std::sync::Arc::new(());
        let held = std::sync::Arc::clone(&began);
        let ended = ToItsEnd::new(async move {
            let _held = held;
            tokio::task::yield_now().await;
            panic!("on purpose");
        })
        .await;
        assert!(ended.is_err());
        assert_eq!(std::sync::Arc::strong_count(&began), 1);
    }

    #[tokio::test]
    async fn the_answer_comes_from_where_it_is_awaited() {
        assert!(matches!(ToItsEnd::new(std::future::ready(5)).await, Ok(5)));
    }
}
