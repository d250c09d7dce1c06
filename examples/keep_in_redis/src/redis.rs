//! A small client for Redis, over a socket of the standard library.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The longest line of a reply, in bytes.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// A connection to a server.
pub(crate) struct Redis(BufReader<TcpStream>);

/// Why a command has no result.
#[derive(Debug)]
pub(crate) enum RedisError {
    /// The connection is broken: the command may succeed over another one.
    Connection(io::Error),
    /// The server cannot run the command now, with this text: it may succeed later.
    Unavailable(String),
    /// The server refuses the command, with this text.
    Refused(String),
}

/// The codes of errors that end without a change to the command: the server loads its data, only reads, has no memory left, has lost its
/// master or another node of its cluster, or moves the key.
const TEMPORARY: [&str; 6] = ["LOADING", "READONLY", "OOM", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"];

impl From<io::Error> for RedisError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl Redis {
    /// Connects to a server: `redis.example.com:6379`.
    pub(crate) fn connect(server: &str) -> io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(server)?)))
    }

    /// Sends a command, and reads the reply: a status, a number or an error, as the commands of this plugin have it.
    pub(crate) fn run(&mut self, words: &[&[u8]]) -> Result<String, RedisError> {
        self.0.get_mut().write_all(&command(words))?;
        let mut line = Vec::new();
        (&mut self.0).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(
            line.strip_suffix(b"\r\n").ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?,
        )
        .into_owned();
        match line.strip_prefix('-') {
            Some(reason) => Err(refused(reason)),
            None => Ok(line),
        }
    }
}

/// Returns the error of a reply, by its first word.
fn refused(reason: &str) -> RedisError {
    let is_temporary = reason.split(' ').next().is_some_and(|code| TEMPORARY.contains(&code));
    if is_temporary {
        RedisError::Unavailable(reason.to_owned())
    } else {
        RedisError::Refused(reason.to_owned())
    }
}

/// Encodes a command: the number of its words, then each with its length.
fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend_from_slice(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_ready_later() {
        for reason in ["LOADING Redis is loading the dataset in memory", "READONLY You can't write", "OOM"] {
            assert!(matches!(refused(reason), RedisError::Unavailable(text) if text == reason), "{reason}");
        }
        for reason in ["ERR unknown command 'OOM'", "WRONGTYPE Operation", "OOMS", ""] {
            assert!(matches!(refused(reason), RedisError::Refused(_)), "{reason}");
        }
    }

    #[test]
    fn a_command_has_the_length_of_each_word() {
        assert_eq!(command(&[b"SET", b"k", b"a\r\nb"]), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n");
    }
}
