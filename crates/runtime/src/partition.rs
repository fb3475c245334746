//! Which partition a key belongs to: the partitioner of the Java client, so that keys written by Java, by librdkafka
//! with `partitioner=murmur2_random` and by Catchment land on the same partition.

use crate::record::Partition;

/// The 32-bit murmur2 of `org.apache.kafka.common.utils.Utils.murmur2`: seed `0x9747b28c`, arithmetic modulo 2³².
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    // Java's length is an int; longer keys can't exist there, nor in a record of a log with a size limit.
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)).cast_signed()
}

/// Partition of a key: `toPositive(murmur2(key)) % partitions` (`BuiltInPartitioner.partitionForKey`).
///
/// A topic has at least one partition; 0 counts as 1.
#[must_use]
pub fn for_key(key: &[u8], partitions: Partition) -> Partition {
    (murmur2(key) & 0x7fff_ffff).cast_unsigned() % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_equals_the_java_clients() {
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key), expected, "{key:?}");
        }
    }

    #[test]
    fn negative_hashes_give_a_partition_in_range() {
        // toPositive clears the sign bit; it does not negate.
        assert_eq!(for_key(b"21", 10), (-973_932_308_i32 & i32::MAX).cast_unsigned() % 10);
        for key in 0..200_u32 {
            assert!(for_key(&key.to_be_bytes(), 7) < 7);
        }
    }

    #[test]
    fn a_topic_without_partitions_does_not_divide_by_zero() {
        assert_eq!(for_key(b"x", 0), 0);
    }
}
