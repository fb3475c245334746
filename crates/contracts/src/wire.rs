//! The Confluent wire format: a zero byte, the schema id as four bytes in big-endian order, the Avro datum. Its newer
//! form has the datum alone in the value, and the schema in a header.

use crate::catalogue::{self, Contract};
use std::fmt;

/// Bytes that stand before the datum.
pub const HEADER_LEN: usize = 5;

const MAGIC: u8 = 0;

/// Id of a schema in the schema registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

/// What a record names its schema by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaKey {
    /// Id of the schema.
    Id(SchemaId),
    /// GUID of the schema, which registries of Confluent have from version 8 on.
    Guid([u8; 16]),
}

impl fmt::Display for SchemaKey {
    /// The number, or the GUID as registries write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{}", id.0),
            Self::Guid(bytes) => {
                for (place, byte) in bytes.iter().enumerate() {
                    let dash = if [4, 6, 8, 10].contains(&place) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// Why bytes do not start as the wire format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Fewer bytes than the header has.
    #[error("{length} bytes are too few for a schema id")]
    TooShort {
        /// Number of bytes.
        length: usize,
    },
    /// The first byte is not zero; JSON without a registry looks like this.
    #[error("the first byte is 0x{found:02x}, not 0x00")]
    BadMagic {
        /// The first byte.
        found: u8,
    },
    /// The header that names a schema is in no form that is known.
    #[error("the header with the schema is neither 0x00 and an id nor 0x01 and a GUID")]
    BadHeader,
    /// A record of our own under a schema that this program does not write: of another release, or not ours.
    #[error("schema id {found}, where this program knows {expected}")]
    OtherSchema {
        /// The id of the value.
        found: u32,
        /// The id that is known.
        expected: u32,
    },
}

/// Appends the header; the datum follows.
pub fn write_header(out: &mut Vec<u8>, id: SchemaId) {
    out.push(MAGIC);
    out.extend_from_slice(&id.0.to_be_bytes());
}

/// Parts a value into schema id and datum.
///
/// # Errors
///
/// If the bytes are shorter than the header or don't start with the zero byte.
pub fn split(bytes: &[u8]) -> Result<(SchemaId, &[u8]), WireError> {
    let Some((&[magic, a, b, c, d], datum)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(WireError::TooShort { length: bytes.len() });
    };
    if magic == MAGIC {
        Ok((SchemaId(u32::from_be_bytes([a, b, c, d])), datum))
    } else {
        Err(WireError::BadMagic { found: magic })
    }
}

/// Parts a value from outside into its schema and its datum. `header` is the header
/// [`VALUE_SCHEMA_ID`](crate::headers::VALUE_SCHEMA_ID): where it is there, the value is the datum alone.
///
/// # Errors
///
/// As [`split`], and [`WireError::BadHeader`].
pub fn split_with_header<'v>(
    value: &'v [u8],
    header: Option<&[u8]>,
) -> Result<(SchemaKey, &'v [u8]), WireError> {
    match header {
        None => split(value).map(|(id, datum)| (SchemaKey::Id(id), datum)),
        Some(&[0, a, b, c, d]) => Ok((SchemaKey::Id(SchemaId(u32::from_be_bytes([a, b, c, d]))), value)),
        Some([1, guid @ ..]) => match guid.try_into() {
            Ok(guid) => Ok((SchemaKey::Guid(guid), value)),
            Err(_) => Err(WireError::BadHeader),
        },
        Some(_) => Err(WireError::BadHeader),
    }
}

/// The datum of a value of our own, whose schema must have this id: our decoders read the schema they were generated
/// from and no other.
///
/// # Errors
///
/// As [`split`], and [`WireError::OtherSchema`].
pub fn datum(bytes: &[u8], id: SchemaId) -> Result<&[u8], WireError> {
    match split(bytes)? {
        (found, datum) if found == id => Ok(datum),
        (found, _) => Err(WireError::OtherSchema { found: found.0, expected: id.0 }),
    }
}

/// The ids under which our own records are written, found out once at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaIds {
    /// Of [`crate::CustomerEvent`].
    pub customer_event: SchemaId,
    /// Of [`crate::CatalogItem`].
    pub catalog_item: SchemaId,
    /// Of [`crate::CustomerProfile`].
    pub customer_profile: SchemaId,
    /// Of [`crate::CampaignTrigger`].
    pub campaign_trigger: SchemaId,
    /// Of [`crate::CampaignDecision`].
    pub campaign_decision: SchemaId,
    /// Of [`crate::CustomerMerge`].
    pub customer_merge: SchemaId,
}

impl SchemaIds {
    /// The ids where no registry runs (embedded log, tests): place in the catalogue, from 1.
    #[must_use]
    pub const fn builtin() -> Self {
        Self {
            customer_event: catalogue::CUSTOMER_EVENT.builtin_id(),
            catalog_item: catalogue::CATALOG_ITEM.builtin_id(),
            customer_profile: catalogue::CUSTOMER_PROFILE.builtin_id(),
            campaign_trigger: catalogue::CAMPAIGN_TRIGGER.builtin_id(),
            campaign_decision: catalogue::CAMPAIGN_DECISION.builtin_id(),
            customer_merge: catalogue::CUSTOMER_MERGE.builtin_id(),
        }
    }

    /// The ids that `lookup` (a registry) has for our contracts.
    ///
    /// # Errors
    ///
    /// The first error of `lookup`.
    pub fn resolve<E>(mut lookup: impl FnMut(&'static Contract) -> Result<SchemaId, E>) -> Result<Self, E> {
        Ok(Self {
            customer_event: lookup(&catalogue::CUSTOMER_EVENT)?,
            catalog_item: lookup(&catalogue::CATALOG_ITEM)?,
            customer_profile: lookup(&catalogue::CUSTOMER_PROFILE)?,
            campaign_trigger: lookup(&catalogue::CAMPAIGN_TRIGGER)?,
            campaign_decision: lookup(&catalogue::CAMPAIGN_DECISION)?,
            customer_merge: lookup(&catalogue::CUSTOMER_MERGE)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_five_bytes_and_is_read_back() {
        let mut out = Vec::new();
        write_header(&mut out, SchemaId(0x0102_0304));
        assert_eq!(out, [0, 1, 2, 3, 4]);
        out.push(9);
        assert_eq!(split(&out), Ok((SchemaId(0x0102_0304), &[9][..])));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert_eq!(split(&[0, 0, 0, 1]), Err(WireError::TooShort { length: 4 }));
        assert_eq!(split(b"{\"type\":1}"), Err(WireError::BadMagic { found: b'{' }));
    }

    #[test]
    fn a_schema_may_be_named_by_a_header() {
        let id = |id| SchemaKey::Id(SchemaId(id));
        assert_eq!(split_with_header(&[0, 0, 0, 0, 7, 9], None), Ok((id(7), &[9][..])));
        assert_eq!(split_with_header(&[9], Some(&[0, 0, 0, 1, 0])), Ok((id(256), &[9][..])));
        let header: Vec<u8> = (0..=16).map(|place| if place == 0 { 1 } else { 0xa0 + place }).collect();
        let (key, datum) = split_with_header(&[9], Some(&header)).unwrap();
        assert_eq!((key.to_string().as_str(), datum), ("a1a2a3a4-a5a6-a7a8-a9aa-abacadaeafb0", &[9][..]));
        for bad in [&[][..], &[0], &[0, 0, 0, 0, 7, 7], &[1, 2], &header[..16], &[2, 0, 0, 0, 7]] {
            assert_eq!(split_with_header(&[0, 0, 0, 0, 7], Some(bad)), Err(WireError::BadHeader), "{bad:?}");
        }
    }

    #[test]
    fn builtin_ids_lead_back_to_their_contracts() {
        let ids = SchemaIds::builtin();
        let of = |id| catalogue::by_builtin_id(id).unwrap().name;
        assert_eq!(of(ids.customer_event), "customer_event");
        assert_eq!(of(ids.catalog_item), "catalog_item");
        assert_eq!(of(ids.customer_profile), "customer_profile");
        assert_eq!(of(ids.campaign_trigger), "campaign_trigger");
        assert_eq!(of(ids.campaign_decision), "campaign_decision");
        assert_eq!(of(ids.customer_merge), "customer_merge");
        assert!(catalogue::by_builtin_id(SchemaId(0)).is_none());
    }
}
