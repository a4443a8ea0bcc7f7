//! A switch that takes everything: it answers ovs-ofctl as far as ovs-ofctl needs it, and keeps what it was sent.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const ECHO_REQUEST: u8 = 2;
const BARRIER_REQUEST: u8 = 20;

/// What a run may take.
const LONGEST: Duration = Duration::from_secs(10);

/// What ovs-ofctl, run with these arguments (`SWITCH` among them), sends of messages of `kind`, in ovs-ofctl's words;
/// `None` when it fails.
pub fn sent(args: &[&str], version: u8, kind: u8) -> Option<Vec<String>> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("shunt-switch-{}-{count}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let switch = format!("unix:{}", path.display());
    let mut run = Command::new("ovs-ofctl")
        // It would ask the switch for names.
        .arg("--no-names")
        .args(args.iter().map(|a| if *a == "SWITCH" { &switch } else { *a }))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut messages = Vec::new();
    let begun = Instant::now();
    let status = loop {
        match listener.accept() {
            Ok((stream, _)) => messages.extend(serve(stream, version, kind)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > LONGEST {
            let _ = run.kill();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    std::fs::remove_file(&path).unwrap();
    status.success().then(|| print(&messages, &path))
}

fn serve(mut stream: UnixStream, version: u8, kind: u8) -> Vec<Vec<u8>> {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    let mut kept = Vec::new();
    let _ = stream.write_all(&[version, 0, 0, 8, 0, 0, 0, 1]);
    let mut header = [0u8; 8];
    while stream.read_exact(&mut header).is_ok() {
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut message = header.to_vec();
        message.resize(len.max(8), 0);
        if stream.read_exact(&mut message[8..]).is_err() {
            break;
        }
        match header[1] {
            // The replies are the next numbers, and have the same content.
            ECHO_REQUEST | BARRIER_REQUEST => {
                message[1] += 1;
                let _ = stream.write_all(&message);
            }
            this if this == kind => kept.push(message),
            _ => {}
        }
    }
    kept
}

/// Messages in ovs-ofctl's words.
fn print(messages: &[Vec<u8>], file: &Path) -> Vec<String> {
    if messages.is_empty() {
        return Vec::new();
    }
    std::fs::write(file, messages.concat()).unwrap();
    let run = Command::new("ovs-ofctl").arg("ofp-parse").arg(file).output().unwrap();
    std::fs::remove_file(file).unwrap();
    // Each has a line of its own, with its type, before what is in it.
    let mut texts: Vec<String> = Vec::new();
    for line in String::from_utf8(run.stdout).unwrap().lines() {
        match texts.last_mut() {
            Some(text) if !line.starts_with("OFPT_") => {
                text.push('\n');
                text.push_str(line);
            }
            _ => texts.push(line.to_owned()),
        }
    }
    texts
}
