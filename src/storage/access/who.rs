//! Owns what is known of whoever asks: what may be done, and by which token.
//! It must not decide: it is what a decision goes by.

use super::{Scope, TokenId};

/// Whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The token that was shown; None: there was none.
    pub token: Option<TokenId>,
    /// The same, but for a session the token that it began with: who is called to account.
    pub principal: Option<TokenId>,
    /// What may be done; None: what needs no token.
    pub scope: Option<Scope>,
    /// Whether the token came as a cookie, which browsers send along whoever made the page.
    pub by_cookie: bool,
}

impl Who {
    /// Somebody without a token, who may do this.
    pub fn without_token(scope: Option<Scope>) -> Who {
        Who { token: None, principal: None, scope, by_cookie: false }
    }

    /// Whether something may be done that needs this scope.
    pub fn may(&self, needed: Option<Scope>) -> bool {
        needed.is_none() || self.scope >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_contains_those_below_it() {
        for (scope, allowed) in [
            (None, [true, false, false, false]),
            (Some(Scope::Read), [true, true, false, false]),
            (Some(Scope::Write), [true, true, true, false]),
            (Some(Scope::Admin), [true; 4]),
        ] {
            let needed = [None, Some(Scope::Read), Some(Scope::Write), Some(Scope::Admin)];
            assert_eq!(needed.map(|needed| Who::without_token(scope).may(needed)), allowed, "{scope:?}");
        }
    }
}
