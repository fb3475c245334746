use super::*;
use crate::{NodeState, Watermark};

fn long_of(bytes: &[u8]) -> Result<i64, DecodeErrorKind> {
    decode(bytes, Reader::long).map_err(|error| error.kind)
}

fn longs_of(bytes: &[u8]) -> Result<Vec<i64>, DecodeErrorKind> {
    decode(bytes, |input| input.array(1, Reader::long)).map_err(|error| error.kind)
}

#[test]
fn integers_are_zig_zag_in_groups_of_seven_bits() {
    for (value, bytes) in [
        (0, &[0][..]),
        (-1, &[1]),
        (1, &[2]),
        (-64, &[0x7f]),
        (64, &[0x80, 0x01]),
        (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
    ] {
        let mut out = Vec::new();
        write_long(&mut out, value);
        assert_eq!(out, bytes, "{value}");
        assert_eq!(long_of(bytes), Ok(value));
    }
}

#[test]
fn integers_that_do_not_fit_are_refused() {
    assert_eq!(long_of(&[0xff; 9]), Err(DecodeErrorKind::UnexpectedEnd));
    assert_eq!(long_of(&[0xff; 10]), Err(DecodeErrorKind::BadVarint));
    assert_eq!(long_of(&[]), Err(DecodeErrorKind::UnexpectedEnd));
    let mut out = Vec::new();
    write_long(&mut out, i64::from(i32::MAX) + 1);
    assert_eq!(decode(&out, Reader::int).unwrap_err().kind, DecodeErrorKind::IntOutOfRange);
}

#[test]
fn arrays_may_come_in_several_blocks_with_or_without_sizes() {
    assert_eq!(longs_of(&[0]), Ok(vec![]));
    assert_eq!(longs_of(&[4, 2, 4, 0]), Ok(vec![1, 2]));
    // One block of two, one of one that says its size (-1, 1 byte).
    assert_eq!(longs_of(&[4, 2, 4, 1, 2, 6, 0]), Ok(vec![1, 2, 3]));
    assert_eq!(longs_of(&[1, 4, 6, 0, 0]), Err(DecodeErrorKind::BadBlockSize));
    assert_eq!(longs_of(&[1, 1, 6, 0]), Err(DecodeErrorKind::BadLength));
}

#[test]
fn counts_and_lengths_beyond_the_input_are_refused_before_anything_is_allocated() {
    for count in [5, i64::MAX, i64::MIN, -9] {
        let mut out = Vec::new();
        write_long(&mut out, count);
        if count < 0 {
            out.push(4);
        }
        out.extend_from_slice(&[0, 0]);
        assert_eq!(longs_of(&out), Err(DecodeErrorKind::BadLength), "{count}");
    }
    let mut out = Vec::new();
    write_long(&mut out, i64::MAX);
    assert_eq!(decode(&out, Reader::string).unwrap_err().kind, DecodeErrorKind::BadLength);
}

#[test]
fn an_item_counts_with_its_smallest_size() {
    // Five timers need at least 30 bytes.
    let datum = [[0, 10].as_slice(), &[0; 29]].concat();
    assert_eq!(
        NodeState::decode(&datum).unwrap_err(),
        DecodeError { kind: DecodeErrorKind::BadLength, at: 2 }
    );
}

#[test]
fn single_bytes_outside_their_range_are_refused() {
    assert_eq!(decode(&[2], Reader::boolean).unwrap_err().kind, DecodeErrorKind::BadBoolean);
    assert_eq!(decode(&[2, 0xff], Reader::string).unwrap_err().kind, DecodeErrorKind::BadUtf8);
    let option = |bytes| decode(bytes, |input| input.option(Reader::long)).map_err(|error| error.kind);
    assert_eq!(option(&[0]), Ok(None));
    assert_eq!(option(&[2, 4]), Ok(Some(2)));
    assert_eq!(option(&[4, 4]), Err(DecodeErrorKind::BadUnion));
    assert_eq!(option(&[1, 4]), Err(DecodeErrorKind::BadUnion));
}

#[test]
fn an_error_says_where() {
    let error = Watermark::decode(&[0, 7]).unwrap_err();
    assert_eq!(error, DecodeError { kind: DecodeErrorKind::TrailingBytes, at: 1 });
    assert_eq!(error.to_string(), "bytes are left after the datum at byte 1");
}
