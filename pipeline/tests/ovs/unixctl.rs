//! Commands to a running daemon over its control socket: JSON-RPC 1.0, one object after the other, which saves a process a command
//! (ovs-appctl(8); lib/unixctl of Open vSwitch answers up to ten at once).

use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How many requests are under way at most: neither socket buffer may fill up while the other end writes.
const WINDOW: usize = 16;

pub struct Unixctl {
    write: UnixStream,
    read: serde_json::StreamDeserializer<'static, serde_json::de::IoRead<BufReader<UnixStream>>, Value>,
    next: u64,
}

impl Unixctl {
    pub fn connect(path: &Path) -> std::io::Result<Unixctl> {
        let write = UnixStream::connect(path)?;
        write.set_read_timeout(Some(Duration::from_secs(60)))?;
        let read = serde_json::Deserializer::from_reader(BufReader::new(write.try_clone()?)).into_iter();
        Ok(Unixctl { write, read, next: 0 })
    }

    /// Run one command; an error is the daemon's answer.
    pub fn call(&mut self, method: &str, params: &[&str]) -> Result<String, String> {
        self.send(method, params);
        self.receive()
    }

    /// Run many commands of one sort, in order.
    pub fn call_all(&mut self, method: &str, all: &[Vec<String>]) -> Vec<Result<String, String>> {
        let mut answers = Vec::with_capacity(all.len());
        for (i, params) in all.iter().enumerate() {
            self.send(method, &params.iter().map(String::as_str).collect::<Vec<_>>());
            if i + 1 >= WINDOW {
                answers.push(self.receive());
            }
        }
        while answers.len() < all.len() {
            answers.push(self.receive());
        }
        answers
    }

    fn send(&mut self, method: &str, params: &[&str]) {
        let request = json!({ "id": self.next, "method": method, "params": params });
        self.next += 1;
        self.write.write_all(request.to_string().as_bytes()).expect("ovs-vswitchd takes requests");
    }

    fn receive(&mut self) -> Result<String, String> {
        let answer = self.read.next().expect("ovs-vswitchd is alive").expect("an answer in JSON");
        match (&answer["result"], &answer["error"]) {
            (_, Value::String(error)) => Err(error.trim_end().to_owned()),
            (Value::String(result), _) => Ok(result.clone()),
            _ => panic!("an answer without a result: {answer}"),
        }
    }
}
