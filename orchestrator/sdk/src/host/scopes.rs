//! Scopes: what a cancellation reaches.

use crate::Canceled;

/// A scope's number.
pub(crate) type ScopeId = usize;

/// The run's own scope: a request to cancel the run reaches it and all scopes within.
pub(crate) const ROOT: ScopeId = 0;
/// Out of reach of everybody.
pub(crate) const SHIELDED: ScopeId = 1;

/// All scopes of a run.
pub(super) struct Scopes(Vec<Scope>);

struct Scope {
    within: Option<ScopeId>,
    canceled: Option<Canceled>,
}

impl Default for Scopes {
    fn default() -> Self {
        let open = |within| Scope { within, canceled: None };
        Self(vec![open(None), open(None)])
    }
}

impl Scopes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A new scope within another.
    pub(super) fn open(&mut self, within: ScopeId) -> ScopeId {
        self.0.push(Scope { within: Some(within), canceled: None });
        self.0.len() - 1
    }

    /// The cancellation that reaches a scope, if one does: the nearest.
    pub(super) fn canceled(&self, scope: ScopeId) -> Option<&Canceled> {
        self.chain(scope).find_map(|scope| scope.canceled.as_ref())
    }

    /// Cancels a scope; the first time counts. Says whether it did.
    pub(super) fn cancel(&mut self, scope: ScopeId, canceled: Canceled) -> bool {
        match self.0.get_mut(scope) {
            Some(scope @ Scope { canceled: None, .. }) => {
                scope.canceled = Some(canceled);
                true
            }
            _ => false,
        }
    }

    /// Whether `outer` is `scope` itself or around it.
    pub(super) fn reaches(&self, outer: ScopeId, scope: ScopeId) -> bool {
        std::iter::successors(Some(scope), |scope| self.0.get(*scope)?.within).any(|scope| scope == outer)
    }

    fn chain(&self, scope: ScopeId) -> impl Iterator<Item = &Scope> {
        std::iter::successors(self.0.get(scope), |scope| self.0.get(scope.within?))
    }
}
