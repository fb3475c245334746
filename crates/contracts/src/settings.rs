//! Records of `<app>.settings`: what an application's topics were made with, and what must stay as it was.
//!
//! The key is the name of the setting, the value a JSON object. Members that are not known are passed over, so that an
//! older release reads what a newer one wrote.

use serde::{Deserialize, Serialize};

/// Key of [`IdentitySetting`].
pub const IDENTITY: &str = "identity";

/// What decides which node key an identifier has, and on which partition it lives. With another secret or another
/// number of partitions every customer would be a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentitySetting {
    /// Fingerprint of the key secret, 16 lower-case hex digits. It gives nothing away about the secret.
    pub fingerprint: String,
    /// Partitions of every topic that is keyed by node key.
    pub partitions: u32,
}

impl IdentitySetting {
    /// The setting of a secret with this fingerprint.
    #[must_use]
    pub fn new(fingerprint: [u8; 8], partitions: u32) -> Self {
        Self { fingerprint: format!("{:016x}", u64::from_be_bytes(fingerprint)), partitions }
    }

    /// The value of its record.
    ///
    /// # Errors
    /// None that this type can cause.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads the value of its record.
    ///
    /// # Errors
    /// If it is not what [`encode`](Self::encode) writes.
    pub fn decode(value: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_stays() {
        let setting = IdentitySetting::new([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff], 8);
        let bytes = setting.encode().unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"fingerprint":"00010203fcfdfeff","partitions":8}"#
        );
        assert_eq!(IdentitySetting::decode(&bytes).unwrap(), setting);
    }

    #[test]
    fn what_a_newer_release_adds_is_passed_over_and_what_is_missing_is_refused() {
        let newer = br#"{"fingerprint":"0","partitions":1,"since":"2027"}"#;
        assert_eq!(IdentitySetting::decode(newer).unwrap().partitions, 1);
        IdentitySetting::decode(br#"{"fingerprint":"0"}"#).unwrap_err();
        IdentitySetting::decode(b"").unwrap_err();
    }
}
