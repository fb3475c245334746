//! Who an event is about: identifiers and their node keys.

use std::fmt;
use std::str::FromStr;

/// Kind of an identifier. The order is the order of preference: the smallest identifier of an event keys it, and the
/// smallest identifier of a customer is the customer's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierType {
    /// The shop's id of a known user. Keeps its case.
    UserId,
    /// A CRM's id of a contact. Keeps its case.
    CrmId,
    /// E-mail address in lower case.
    Email,
    /// Telephone number in E.164.
    Phone,
    /// Id of a device or browser. Keeps its case.
    AnonymousId,
}

impl IdentifierType {
    /// All types, the most preferred first.
    pub const ALL: [IdentifierType; 5] = [
        IdentifierType::UserId,
        IdentifierType::CrmId,
        IdentifierType::Email,
        IdentifierType::Phone,
        IdentifierType::AnonymousId,
    ];

    /// The name, as it stands in contracts and in the hashed text of a node key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            IdentifierType::UserId => "user_id",
            IdentifierType::CrmId => "crm_id",
            IdentifierType::Email => "email",
            IdentifierType::Phone => "phone",
            IdentifierType::AnonymousId => "anonymous_id",
        }
    }
}

impl fmt::Display for IdentifierType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Hash of an identifier: the first 16 bytes of keyed BLAKE3 over `type name ‖ 0x00 ‖ normalised value`.
///
/// It is the Kafka key of everything about the identifier, so no personal data stands in a key. Written as 32
/// lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey(pub [u8; 16]);

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no node key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hex digits")]
pub struct NotANodeKey;

impl FromStr for NodeKey {
    type Err = NotANodeKey;

    fn from_str(text: &str) -> Result<Self, NotANodeKey> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotANodeKey);
        }
        let mut key = [0; 16];
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotANodeKey)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotANodeKey)?;
        }
        Ok(NodeKey(key))
    }
}

/// The secret that node keys are made with: 32 bytes, as fixed as the partition count. Whoever has it can test
/// whether a known address is among the customers, so it is never printed.
#[derive(Clone)]
pub struct KeySecret([u8; 32]);

impl KeySecret {
    /// The secret of the demo and the sandbox. It is published here, so it protects nothing, and `run` refuses it.
    pub const PUBLISHED: KeySecret = KeySecret(*b"catchment demo: it is published.");

    /// A secret from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        KeySecret(bytes)
    }

    /// True for [`KeySecret::PUBLISHED`].
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.0 == Self::PUBLISHED.0
    }

    /// Node key of an identifier whose value is normalised already.
    #[must_use]
    pub fn node_key(&self, kind: IdentifierType, value: &str) -> NodeKey {
        // One call of the compression function for what fits its block of 64 bytes, which nearly all values do.
        let name = kind.as_str().as_bytes();
        let length = name.len() + 1 + value.len();
        let mut block = [0u8; 64];
        let hash = if length <= block.len() {
            block[..name.len()].copy_from_slice(name);
            block[name.len() + 1..length].copy_from_slice(value.as_bytes());
            blake3::keyed_hash(&self.0, &block[..length])
        } else {
            let mut hasher = blake3::Hasher::new_keyed(&self.0);
            hasher.update(name).update(&[0]).update(value.as_bytes());
            hasher.finalize()
        };
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        NodeKey(key)
    }

    /// A key of its own for another purpose, which gives nothing away about this secret. `purpose` is a constant text
    /// that nothing else uses.
    #[must_use]
    pub fn derived(&self, purpose: &'static str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }

    /// Eight bytes that tell one secret from another without giving it away: what is stored to refuse a start with
    /// a secret that state was not made with.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 8] {
        let hash = self.derived("catchment 2026 fingerprint of the identity secret");
        let mut out = [0; 8];
        out.copy_from_slice(&hash[..8]);
        out
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(..)")
    }
}

/// A reference to a node: what limits are counted by and what order is decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRef {
    /// Kind of the identifier. First, because order is by type before key.
    pub kind: IdentifierType,
    /// Its key.
    pub key: NodeKey,
}

/// An identifier with its normalised value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identifier<'a> {
    /// Node of the identifier.
    pub node: NodeRef,
    /// Normalised value.
    pub value: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_key_is_keyed_blake3_over_type_zero_value() {
        let secret = KeySecret::new([7; 32]);
        for value in ["u-mia", &"x".repeat(55), &"x".repeat(56), &"x".repeat(57), &"y".repeat(500)] {
            let mut text = b"user_id\0".to_vec();
            text.extend_from_slice(value.as_bytes());
            let expected = blake3::keyed_hash(&[7; 32], &text);
            assert_eq!(secret.node_key(IdentifierType::UserId, value).0, expected.as_bytes()[..16]);
        }
    }

    #[test]
    fn node_key_reads_back_what_it_writes() {
        let key = KeySecret::PUBLISHED.node_key(IdentifierType::Email, "mia@example.com");
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("xyz".parse::<NodeKey>(), Err(NotANodeKey));
        assert_eq!("+".repeat(32).parse::<NodeKey>(), Err(NotANodeKey));
    }

    #[test]
    fn published_keys_never_change() {
        let key = |kind, value| KeySecret::PUBLISHED.node_key(kind, value).to_string();
        assert_eq!(key(IdentifierType::UserId, "u-mia").len(), 32);
        assert!(KeySecret::PUBLISHED.is_published());
        assert_ne!(key(IdentifierType::UserId, "a"), key(IdentifierType::CrmId, "a"));
    }

    #[test]
    fn order_is_by_type_before_key() {
        let node = |kind, first| NodeRef { kind, key: NodeKey([first; 16]) };
        assert!(node(IdentifierType::UserId, 9) < node(IdentifierType::CrmId, 1));
        assert!(node(IdentifierType::Email, 1) < node(IdentifierType::Email, 2));
    }
}
