//! A kernel that says of a NIC what a file says (`mocks/fixtures/nics`), and changes nothing.

use std::{collections::BTreeMap, io, path::Path};

use netlink::{
    KernelAccess, Protocol, Sysfs, SysfsError, Transport,
    fake::{Answer, FakeNetlink, FakeReply, FakeRequest, Refusal, wire},
};

const ENODEV: i32 = 19;
const EOPNOTSUPP: i32 = 95;
const PORT_GET: u8 = 5;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFINFO_LEN: usize = 16;
/// `IFLA_NUM_VF` and `IFLA_VFINFO_LIST`, told to those only who set bit 0 of `IFLA_EXT_MASK`.
const OF_VFS: [u16; 2] = [21, 22];
const EXT_MASK: u16 = 29;
/// Bus, device and port index: what an object of devlink is asked for by.
const HANDLE: [u16; 3] = [1, 2, 3];

/// A file that is not as the format wants it.
#[derive(Debug, thiserror::Error)]
#[error("{file}, line {line}: {what}")]
pub struct BadRecord {
    file: String,
    line: usize,
    what: String,
}

/// An object of devlink: which command asks for it, which one tells it.
#[derive(Debug, Clone)]
struct Object {
    request: u8,
    reply: u8,
    attrs: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Dev {
    ifindex: u32,
    flags: u32,
    attrs: Vec<u8>,
}

/// The kernel of one file. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Recorded {
    kernel: FakeNetlink,
    files: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
}

impl Recorded {
    /// The names of all NICs in `mocks/fixtures/nics`.
    ///
    /// # Errors
    /// As the system says.
    pub fn names() -> io::Result<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(folder())?
            .filter_map(|file| Some(file.ok()?.file_name().to_str()?.strip_suffix(".nic")?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The NIC called `name`.
    ///
    /// # Errors
    /// As the system says; [`BadRecord`] in an [`io::ErrorKind::InvalidData`].
    pub fn open_nic(name: &str) -> io::Result<Self> {
        let file = format!("{name}.nic");
        let text = std::fs::read_to_string(folder().join(&file))?;
        Self::parse(&file, &text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`BadRecord`].
    pub fn parse(file: &str, text: &str) -> Result<Self, BadRecord> {
        let mut reader = Reader { file, lines: lines(text), at: 0 };
        let (mut objects, mut devs) = (Vec::new(), Vec::new());
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        while let Some(line) = reader.next(0) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["devlink", request, reply] => {
                    let (request, reply) = (reader.number(request)?, reader.number(reply)?);
                    objects.push(Object { request, reply, attrs: reader.attrs(1)? });
                }
                ["link", ifindex, flags] => {
                    let (ifindex, flags) = (reader.number(ifindex)?, reader.number(flags)?);
                    devs.push(Dev { ifindex, flags, attrs: reader.attrs(1)? });
                }
                ["sysfs", path, "=", ..] => {
                    let value = line.split_once(" = ").map_or("", |(_, value)| value);
                    files.insert((*path).to_owned(), value.to_owned());
                }
                ["sysfs", path, "->", target] => _ = links.insert((*path).to_owned(), (*target).to_owned()),
                _ => return Err(reader.bad("no object begins so")),
            }
        }
        let kernel = FakeNetlink::new();
        kernel.add_family("devlink", 1, &["config"], move |request: &FakeRequest<'_>| devlink(&objects, request));
        kernel.set_route(move |request: &FakeRequest<'_>| route(&devs, request));
        Ok(Recorded { kernel, files, links })
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nics")
}

/// Number, indentation and text of the lines that say something.
fn lines(text: &str) -> Vec<(usize, usize, &str)> {
    let without_comment = |line: &'_ str| line.split("  # ").next().map_or(0, |l| l.trim_end().len());
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'))
        .map(|(n, line)| (n + 1, &line[..without_comment(line)]))
        .filter(|(_, line)| !line.is_empty())
        .map(|(n, line)| (n, (line.len() - line.trim_start().len()) / 2, line.trim_start()))
        .collect()
}

struct Reader<'a> {
    file: &'a str,
    lines: Vec<(usize, usize, &'a str)>,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next line, when it is indented so.
    fn next(&mut self, indent: usize) -> Option<&'a str> {
        let (_, _, line) = self.lines.get(self.at).filter(|(_, i, _)| *i == indent)?;
        self.at += 1;
        Some(line)
    }

    fn bad(&self, what: &str) -> BadRecord {
        let line = self.lines.get(self.at.saturating_sub(1)).map_or(0, |(n, _, _)| *n);
        BadRecord { file: self.file.to_owned(), line, what: what.to_owned() }
    }

    fn number<T: TryFrom<u64>>(&self, text: &str) -> Result<T, BadRecord> {
        let number = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        number
            .ok()
            .and_then(|n| n.try_into().ok())
            .ok_or_else(|| self.bad(&format!("'{text}' is no number of that size")))
    }

    fn words(&self, text: &str) -> Result<Vec<u8>, BadRecord> {
        let word = |w: &str| if w == "-1" { Ok(u32::MAX) } else { self.number(w) };
        let words = text.split_whitespace().map(word).collect::<Result<Vec<u32>, _>>()?;
        Ok(words.iter().flat_map(|w| w.to_ne_bytes()).collect())
    }

    fn bytes(&self, hex: &str) -> Result<Vec<u8>, BadRecord> {
        let digits = hex.replace(':', "");
        let byte = |at: usize| digits.get(at..at + 2).and_then(|b| u8::from_str_radix(b, 16).ok());
        let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>();
        bytes.ok_or_else(|| self.bad(&format!("'{hex}' is not bytes in hexadecimal")))
    }

    /// The attributes that are indented so.
    fn attrs(&mut self, indent: usize) -> Result<Vec<u8>, BadRecord> {
        let mut attrs = Vec::new();
        while let Some(line) = self.next(indent) {
            let mut words = line.splitn(4, ' ');
            let (Some(kind), Some(_), Some(form)) = (words.next(), words.next(), words.next()) else {
                return Err(self.bad("an attribute has a number, a name, a type and a value"));
            };
            let (kind, value) = (self.number(kind)?, words.next().unwrap_or_default());
            match form {
                "nest" => {
                    let inner = self.attrs(indent + 1)?;
                    wire::put_nested(&mut attrs, kind, &inner);
                }
                "str" => wire::put_str(&mut attrs, kind, value),
                _ => {
                    let value = self.value(form, value)?;
                    wire::put(&mut attrs, kind, &value);
                }
            }
        }
        Ok(attrs)
    }

    fn value(&self, form: &str, value: &str) -> Result<Vec<u8>, BadRecord> {
        Ok(match form {
            "u8" => vec![self.number(value)?],
            "u16" => self.number::<u16>(value)?.to_ne_bytes().to_vec(),
            "u32" => self.number::<u32>(value)?.to_ne_bytes().to_vec(),
            "u64" => self.number::<u64>(value)?.to_ne_bytes().to_vec(),
            "words" => self.words(value)?,
            "hex" | "mac" => self.bytes(value)?,
            "vf-mac" => {
                let (vf, mac) = value.split_once(' ').ok_or_else(|| self.bad("a VF and its address"))?;
                let mut bytes = [self.words(vf)?, self.bytes(mac)?].concat();
                bytes.resize(36, 0);
                bytes
            }
            "vf-vlan" => {
                let (words, proto) =
                    value.rsplit_once(' ').ok_or_else(|| self.bad("a VF, VLAN, priority, protocol"))?;
                let proto: u16 = self.number(proto)?;
                [self.words(words)?, proto.to_be_bytes().to_vec(), vec![0, 0]].concat()
            }
            _ => return Err(self.bad(&format!("no type '{form}'"))),
        })
    }
}

fn devlink(objects: &[Object], request: &FakeRequest<'_>) -> Answer {
    let cmd = request.genl_cmd();
    let reply =
        |o: &Object| FakeReply { kind: request.kind, payload: [&[o.reply, 1, 0, 0], o.attrs.as_slice()].concat() };
    let known = || objects.iter().filter(|o| Some(o.request) == cmd);
    if request.is_dump() {
        // Devices and ports can be asked for since devlink exists; all else came later.
        let unknown = known().next().is_none() && cmd.is_none_or(|cmd| cmd > PORT_GET);
        return if unknown { Err(Refusal::new(EOPNOTSUPP)) } else { Ok(known().map(reply).collect()) };
    }
    let asked = request.genl_attrs()?;
    let device = |attrs: &[(u16, &[u8])]| HANDLE[..2].iter().all(|h| wire::find(attrs, *h) == wire::find(&asked, *h));
    let mut found = Vec::new();
    let mut is_device = false;
    for object in objects {
        let attrs = wire::attrs(&object.attrs)?;
        is_device |= device(&attrs);
        if Some(object.request) == cmd && HANDLE.iter().all(|h| wire::find(&attrs, *h) == wire::find(&asked, *h)) {
            found.push(reply(object));
        }
    }
    match found.is_empty() {
        false => Ok(found),
        true if is_device => Err(Refusal::new(EOPNOTSUPP)),
        true => Err(Refusal::new(ENODEV)),
    }
}

fn route(devs: &[Dev], request: &FakeRequest<'_>) -> Answer {
    if request.kind != RTM_GETLINK {
        return if request.is_dump() { Ok(Vec::new()) } else { Err(Refusal::new(EOPNOTSUPP)) };
    }
    let ifindex = request.payload.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let asked = wire::attrs(request.payload.get(IFINFO_LEN..).unwrap_or_default())?;
    let mask = wire::find(&asked, EXT_MASK).and_then(|m| m.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let mut replies = Vec::new();
    for dev in devs.iter().filter(|d| request.is_dump() || d.ifindex == ifindex) {
        let mut payload = vec![0, 0, 1, 0];
        for word in [dev.ifindex, dev.flags, 0] {
            payload.extend(word.to_ne_bytes());
        }
        for (kind, value) in wire::attrs(&dev.attrs)? {
            if mask & 1 == 1 || !OF_VFS.contains(&kind) {
                wire::put(&mut payload, kind, value);
            }
        }
        replies.push(FakeReply { kind: RTM_NEWLINK, payload });
    }
    if replies.is_empty() { Err(Refusal::new(ENODEV)) } else { Ok(replies) }
}

impl KernelAccess for Recorded {
    fn open(&self, protocol: Protocol) -> io::Result<Box<dyn Transport>> {
        Ok(self.kernel.open(protocol))
    }

    fn sysfs(&self) -> Box<dyn Sysfs> {
        Box::new(self.clone())
    }
}

fn missing(op: &str, path: &str) -> SysfsError {
    SysfsError::new(op, path, io::ErrorKind::NotFound.into())
}

impl Sysfs for Recorded {
    fn read(&self, path: &str) -> Result<String, SysfsError> {
        self.files.get(path).cloned().ok_or_else(|| missing("read", path))
    }

    fn write(&self, path: &str, value: &str) -> Result<(), SysfsError> {
        let source = io::ErrorKind::PermissionDenied.into();
        Err(SysfsError::new(format!("write '{value}' to"), path, source))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, SysfsError> {
        let below = |p: &String| p.strip_prefix(path)?.strip_prefix('/')?.split('/').next().map(str::to_owned);
        let names: std::collections::BTreeSet<String> =
            self.files.keys().chain(self.links.keys()).filter_map(below).collect();
        if names.is_empty() { Err(missing("list", path)) } else { Ok(names.into_iter().collect()) }
    }

    fn readlink(&self, path: &str) -> Result<String, SysfsError> {
        self.links.get(path).cloned().ok_or_else(|| missing("read link", path))
    }
}
