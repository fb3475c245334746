//! Forbids, on a broker that is open to all: a request of Kafka's protocol, as no client library here can send it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Forbids a user all use of a topic, through a listener of a broker that lets anybody in, as `host:port`. It is in
/// force moments after this returns. The broker must have an authorizer, as those that are started here have.
///
/// # Errors
/// No answer, or one that refuses.
pub fn deny(address: &str, topic: &str, user: &str) -> Result<()> {
    let wait = Some(Duration::from_secs(10));
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("cannot reach the broker at {address}"))?;
    stream.set_read_timeout(wait)?;
    stream.set_write_timeout(wait)?;
    stream.write_all(&request(topic, user)?)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length))?;
    ensure!(length < 1 << 16, "the broker at {address} answered {length} bytes");
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    accepted(&answer).with_context(|| format!("cannot forbid {topic} to {user} at {address}"))
}

/// `CreateAcls` version 1, with one binding: <https://kafka.apache.org/protocol#The_Messages_CreateAcls>.
fn request(topic: &str, user: &str) -> Result<Vec<u8>> {
    const TOPIC: u8 = 2;
    const LITERAL: u8 = 3;
    const ALL: u8 = 2;
    const DENY: u8 = 2;
    let mut body = vec![0, 30, 0, 1]; // CreateAcls, version 1
    body.extend(CORRELATION);
    body.extend([255, 255]); // no client id
    body.extend([0, 0, 0, 1]); // one binding
    body.push(TOPIC);
    string(&mut body, topic)?;
    body.push(LITERAL);
    string(&mut body, &format!("User:{user}"))?;
    string(&mut body, "*")?;
    body.extend([ALL, DENY]);
    let mut request = u32::try_from(body.len())?.to_be_bytes().to_vec();
    request.extend(body);
    Ok(request)
}

const CORRELATION: [u8; 4] = [0, 0, 0, 9];

fn string(into: &mut Vec<u8>, text: &str) -> Result<()> {
    into.extend(i16::try_from(text.len())?.to_be_bytes());
    into.extend(text.as_bytes());
    Ok(())
}

/// An error unless the answer says that its one binding was created: correlation id, throttle time, the number of
/// results, and of each its error code.
fn accepted(answer: &[u8]) -> Result<()> {
    ensure!(answer.starts_with(&CORRELATION), "not the answer to what was asked");
    let count = answer.get(8..12);
    ensure!(count == Some(&[0, 0, 0, 1]), "expected one result, got {count:?}");
    let code = answer.get(12..14);
    ensure!(code == Some(&[0, 0]), "refused with the error code {code:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_of_the_request_is_right() {
        let request = request("orders", "denied").unwrap();
        assert_eq!(u32::from_be_bytes(*request.first_chunk().unwrap()) as usize, request.len() - 4);
    }

    #[test]
    fn only_the_answer_that_accepts_is_one() {
        let answer = |code: u8| [&CORRELATION[..], &[0; 4], &[0, 0, 0, 1], &[0, code], &[255, 255]].concat();
        accepted(&answer(0)).unwrap();
        accepted(&answer(31)).unwrap_err();
        accepted(&answer(0)[..12]).unwrap_err();
        accepted(b"HTTP/1.1 400 Bad Request").unwrap_err();
    }
}
