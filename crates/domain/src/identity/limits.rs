//! How large a customer may become.

use crate::id::{IdentifierType, NodeRef};

/// The most identifiers that a customer may have. A real person has one account and a few addresses; what joins hundreds
/// is a shared device or a value that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of each type, in the order of [`IdentifierType::ALL`].
    pub of_type: [usize; IdentifierType::ALL.len()],
    /// Of all types together.
    pub members: usize,
}

impl Default for Limits {
    /// One user and one contact of the CRM, five of every other type, 100 together.
    fn default() -> Self {
        Limits { of_type: [1, 1, 5, 5, 5], members: 100 }
    }
}

/// What keeps two customers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Together they would have too many identifiers of this type.
    Type(IdentifierType),
    /// Together they would have too many identifiers.
    Members,
    /// No limit: too much waited for an answer already, or what is behind the question was forgotten meanwhile. It is tried again
    /// when the time for that has come.
    Busy,
}

impl Limit {
    /// The word in records and metrics: the type of which there would be too many, `members` or `busy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Type(kind) => kind.as_str(),
            Limit::Members => "members",
            Limit::Busy => "busy",
        }
    }
}

impl Limits {
    /// The limit that these identifiers together break, if they do; the same identifier counts once, so `joining` must name
    /// none of `members`.
    pub(super) fn broken_by(
        &self,
        members: impl Iterator<Item = NodeRef>,
        joining: impl Iterator<Item = NodeRef>,
    ) -> Option<Limit> {
        let mut counts = [0_usize; IdentifierType::ALL.len()];
        for node in members.chain(joining) {
            counts[place(node.kind)] += 1;
        }
        if counts.iter().sum::<usize>() > self.members {
            return Some(Limit::Members);
        }
        let broken =
            IdentifierType::ALL.into_iter().find(|kind| counts[place(*kind)] > self.of_type[place(*kind)]);
        broken.map(Limit::Type)
    }
}

fn place(kind: IdentifierType) -> usize {
    match kind {
        IdentifierType::UserId => 0,
        IdentifierType::CrmId => 1,
        IdentifierType::Email => 2,
        IdentifierType::Phone => 3,
        IdentifierType::AnonymousId => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeKey;

    #[test]
    fn a_customer_has_one_user_and_five_addresses() {
        let nodes = |kind, count: u8| (0..count).map(move |n| NodeRef { kind, key: NodeKey([n; 16]) });
        let broken = |users, emails, all: usize| {
            let limits = Limits { members: all, ..Limits::default() };
            limits.broken_by(nodes(IdentifierType::UserId, users), nodes(IdentifierType::Email, emails))
        };
        assert_eq!(broken(1, 5, 100), None);
        assert_eq!(broken(2, 0, 100), Some(Limit::Type(IdentifierType::UserId)));
        assert_eq!(broken(1, 6, 100), Some(Limit::Type(IdentifierType::Email)));
        assert_eq!(broken(1, 5, 5), Some(Limit::Members));
    }
}
