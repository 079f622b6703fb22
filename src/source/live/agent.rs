//! A tunnel agent's own local interface: asked by GET alone, on this machine alone.
//!
//! ngrok's agent listens on 127.0.0.1:4040, further ones on the ports after it; its
//! interface is documented as "Agent API". Nothing else is ever connected to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{Actions, EvidencePath, Saved};

/// Ports that an agent takes, in the order in which it tries them.
const PORTS: std::ops::RangeInclusive<u16> = 4040..=4045;
/// What is asked for.
const RESOURCES: [&str; 4] =
    ["/api/status", "/api/tunnels", "/api/endpoints", "/api/requests/http"];
/// How long is waited for a connection, and for everything of an answer.
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 32 << 20;

/// How an answer was read.
pub const METHOD: &str = "agent-api";

/// The answers of every agent, as they were sent.
pub fn query(actions: &Actions) -> Vec<Saved> {
    let mut out = Vec::new();
    for port in PORTS {
        for (n, resource) in RESOURCES.iter().enumerate() {
            let url = format!("http://127.0.0.1:{port}{resource}");
            let answer = get(port, resource);
            let said = match &answer {
                Ok((status, body)) => format!("answered {status}, {} bytes", body.len()),
                Err(error) => error.clone(),
            };
            actions.note(format!("GET {url}: {said}"));
            match answer {
                Ok((200, body)) => {
                    let path = EvidencePath::new(url);
                    out.push(Saved { path, method: METHOD, bytes: Arc::new(body) });
                }
                Ok(_) => {}
                // Nobody listens there.
                Err(_) if n == 0 => break,
                Err(_) => {}
            }
        }
    }
    out
}

/// Status and body of an answer.
fn get(port: u16, resource: &str) -> Result<(u16, Vec<u8>), String> {
    let end = Instant::now() + ANSWER;
    let failed = |error: std::io::Error| error.to_string();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&at, CONNECT).map_err(failed)?;
    stream.set_write_timeout(Some(CONNECT)).map_err(failed)?;
    let request = format!(
        "GET {resource} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() > MAX_ANSWER {
            return Err("answers too slowly or too much".to_owned());
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        let n = stream.read(&mut buffer).map_err(failed)?;
        match buffer.get(..n).filter(|read| !read.is_empty()) {
            Some(read) => answer.extend_from_slice(read),
            None => break,
        }
        if is_whole(&answer) {
            break;
        }
    }
    body(&answer).ok_or_else(|| "does not speak HTTP".to_owned())
}

/// Whether an answer that says its length is there.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = split(answer) else { return false };
    let length = header(&head, "content-length").and_then(|value| value.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

fn body(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let (head, body) = split(answer)?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let chunked = header(&head, "transfer-encoding").is_some_and(|v| v.contains("chunked"));
    Some((status, if chunked { unchunked(body)? } else { body.to_vec() }))
}

fn split(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(answer.get(..end)?).into_owned();
    Some((head, answer.get(end.checked_add(4)?..)?))
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_ascii_lowercase())
    })
}

/// The body of RFC 9112, section 7.1: size in hexadecimal, line end, so many bytes, line end.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = memchr::memmem::find(rest, b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = rest.get(end.checked_add(2)?..)?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert!(is_whole(plain));
        assert_eq!(body(plain), Some((200, b"{}".to_vec())));
        let chunks =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n{\"\r\n3\r\na\":\r\n0\r\n\r\n";
        assert_eq!(body(chunks), Some((200, b"{\"a\":".to_vec())));
        assert_eq!(body(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), None);
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{";
        assert_eq!(body(cut), None);
    }
}
