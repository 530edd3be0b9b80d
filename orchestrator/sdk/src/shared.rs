//! Dependencies of activities: connections, clients, folders, whatever the process opens once.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use millrace_core::{ApplicationFailure, Fault};

use crate::{ActivityContext, ActivityError};

/// A dependency that the [`App`](crate::App) hands to activities: `async fn deploy(db: Shared<Db>, ..)`.
///
/// ```
/// let shared = millrace::Shared::new(String::from("for a unit test"));
/// assert_eq!(shared.len(), 15);
/// ```
#[derive(Debug)]
pub struct Shared<T: ?Sized>(Arc<T>);

impl<T> Shared<T> {
    /// Wraps a value, to call an activity in a unit test.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The dependencies that an app shares, by type.
#[derive(Clone, Default)]
pub(crate) struct Shares(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Shares {
    pub(crate) fn add<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    fn get<T: Send + Sync + 'static>(&self) -> Option<Shared<T>> {
        self.0.get(&TypeId::of::<T>())?.clone().downcast().ok().map(Shared)
    }

    /// The names of the needs that are not met.
    pub(crate) fn missing(&self, needs: &Needs) -> Vec<&'static str> {
        needs.0.iter().filter(|(id, _)| !self.0.contains_key(id)).map(|(_, name)| *name).collect()
    }
}

/// The dependencies that an activity takes.
#[derive(Clone, Debug, Default)]
pub struct Needs(Vec<(TypeId, &'static str)>);

impl Needs {
    /// Adds one.
    pub fn add<I: Injected>(&mut self) {
        self.0.push((TypeId::of::<I::Target>(), type_name::<I::Target>()));
    }
}

/// A parameter that is provided, not sent.
pub trait Injected: Sized {
    /// What is shared.
    type Target: Send + Sync + 'static;
    /// Takes it from what the app shares.
    fn from_context(context: &ActivityContext) -> Result<Self, ActivityError>;
}

impl<T: Send + Sync + 'static> Injected for Shared<T> {
    type Target = T;

    fn from_context(context: &ActivityContext) -> Result<Self, ActivityError> {
        context.shares().get().ok_or_else(|| {
            let message = format!("nobody shared a `{}`: add `.share(..)` to the App", type_name::<T>());
            ActivityError::Failed(Fault::Application(ApplicationFailure::new("MissingDependency", message)))
        })
    }
}
