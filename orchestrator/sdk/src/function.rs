//! How a plain function carries the type of its activity or workflow, so that its name is the handle.

use std::marker::PhantomData;

/// The future of an activity's or workflow's function, tagged with its marker type.
///
/// Awaiting it runs the function as it is, without any engine: that is how activities are unit-tested.
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct Tagged<A, Fut> {
    future: Fut,
    marker: PhantomData<fn() -> A>,
}

impl<A, Fut> Tagged<A, Fut> {
    /// Tags a future.
    pub fn new(future: Fut) -> Self {
        Self { future, marker: PhantomData }
    }
}

impl<A, Fut: Future> IntoFuture for Tagged<A, Fut> {
    type Output = Fut::Output;
    type IntoFuture = Fut;

    fn into_future(self) -> Fut {
        self.future
    }
}

/// What a function returned, whatever alias its author used.
#[diagnostic::on_unimplemented(
    message = "an activity or workflow returns a `Result`, not `{Self}`",
    label = "wrap it: `Result<{Self}, ActivityError>` or `Result<{Self}, WorkflowError>`"
)]
pub trait Returned {
    /// The value.
    type Ok;
    /// The error.
    type Err;
    /// As the result that it is.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
}

impl<T, E> Returned for Result<T, E> {
    type Ok = T;
    type Err = E;

    fn into_result(self) -> Self {
        self
    }
}

/// Implements a trait with an associated type for functions of up to nine parameters that return `Tagged<A, _>`.
macro_rules! for_functions {
    ($trait:ident, $assoc:ident, $bound:path) => {
        crate::function::for_functions!(@ $trait, $assoc, $bound; );
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2, P3);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2, P3, P4);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2, P3, P4, P5);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2, P3, P4, P5, P6);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2, P3, P4, P5, P6, P7);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2, P3, P4, P5, P6, P7, P8);
        crate::function::for_functions!(@ $trait, $assoc, $bound; P1, P2, P3, P4, P5, P6, P7, P8, P9);
    };
    (@ $trait:ident, $assoc:ident, $bound:path; $($p:ident),*) => {
        impl<F, A, Fut, $($p),*> $trait<($($p,)*)> for F
        where
            F: Fn($($p),*) -> crate::function::Tagged<A, Fut>,
            A: $bound,
        {
            type $assoc = A;
        }
    };
}
pub(crate) use for_functions;
