//! The header `catchment.watermark`: a version byte, and the Avro datum of that version.
//!
//! A header has no schema id, so the version stands in front: in a rolling restart old and new workers read each other.

use crate::{DecodeError, Watermark};

/// The version that is written: 1 = Avro `Watermark` as of the first release.
pub const VERSION: u8 = 1;

/// Why a watermark can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatermarkError {
    /// The header is empty.
    #[error("no version")]
    Empty,
    /// A version that this program does not know.
    #[error("version {0}; this program reads version {VERSION}")]
    Version(u8),
    /// The datum.
    #[error(transparent)]
    Datum(#[from] DecodeError),
}

/// Appends the header's bytes.
pub fn write(mark: &Watermark<'_>, out: &mut Vec<u8>) {
    out.push(VERSION);
    mark.encode(out);
}

/// Reads the header's bytes.
///
/// # Errors
///
/// If there is no version, or another one, or the datum is not of its schema.
pub fn read(bytes: &[u8]) -> Result<Watermark<'_>, WatermarkError> {
    match bytes.split_first() {
        Some((&VERSION, datum)) => Ok(Watermark::decode(datum)?),
        Some((version, _)) => Err(WatermarkError::Version(*version)),
        None => Err(WatermarkError::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReadUpTo;

    #[test]
    fn a_header_is_read_back_and_another_version_is_refused() {
        let mark = Watermark { read: vec![ReadUpTo { source: "web", partition: 3, arrival: 77 }] };
        let mut bytes = Vec::new();
        write(&mark, &mut bytes);
        assert_eq!(read(&bytes), Ok(mark));
        assert_eq!(read(&[2, 0]), Err(WatermarkError::Version(2)));
        assert_eq!(read(&[]), Err(WatermarkError::Empty));
        assert!(matches!(read(&[1, 9]), Err(WatermarkError::Datum(_))));
    }
}
