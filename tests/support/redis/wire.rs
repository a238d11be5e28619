//! Enough of RESP2 to look after a server: another implementation than the one under test.

use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    net::TcpStream,
    time::Duration,
};

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Nil,
    Number(i64),
    Text(String),
    Error(String),
    List(Vec<Answer>),
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    pub(crate) fn list(&self) -> &[Answer] {
        match self {
            Self::List(list) => list,
            other => panic!("not a list: {other:?}"),
        }
    }

    /// The value of a `name:value` line, or of a name and value in a flat list.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        match self {
            Self::Text(text) => text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::to_owned),
            Self::List(list) => list
                .chunks(2)
                .find(|pair| pair[0] == Self::Text(name.to_owned()))
                .map(|pair| pair[1].text().to_owned()),
            _ => None,
        }
    }
}

/// One command over a connection of its own.
pub(crate) fn ask(port: u16, password: Option<&str>, command: &[&str]) -> Result<Answer> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut stream = BufReader::new(stream);
    if let Some(password) = password {
        send(&mut stream, &["AUTH", password])?;
    }
    send(&mut stream, command)
}

fn send(stream: &mut BufReader<TcpStream>, command: &[&str]) -> Result<Answer> {
    let mut request = format!("*{}\r\n", command.len());
    for argument in command {
        request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
    }
    stream.get_mut().write_all(request.as_bytes())?;
    read(stream)
}

fn read(stream: &mut BufReader<TcpStream>) -> Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let malformed = || {
        Error::new(
            ErrorKind::InvalidData,
            format!("malformed answer: {line:?}"),
        )
    };
    let (kind, rest) = line.split_at_checked(1).ok_or_else(malformed)?;
    let number = || rest.parse::<i64>().map_err(|_| malformed());
    Ok(match kind {
        "+" => Answer::Text(rest.to_owned()),
        "-" => Answer::Error(rest.to_owned()),
        ":" => Answer::Number(number()?),
        "$" => match usize::try_from(number()?) {
            Err(_) => Answer::Nil,
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                stream.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Answer::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
        },
        "*" => match usize::try_from(number()?) {
            Err(_) => Answer::Nil,
            Ok(length) => Answer::List((0..length).map(|_| read(stream)).collect::<Result<_>>()?),
        },
        _ => return Err(malformed()),
    })
}
