//! The desired state in a redb file, written in groups.
//!
//! One thread writes. It takes all changes that wait, commits them as one durable transaction and then lets all
//! their tickets go: a thousand rules a second need a few dozen commits. A change is acknowledged only after
//! its commit, so none that was acknowledged is lost when the daemon or the machine dies.
//!
//! When the disk is full or broken, what could not be written waits and goes with the next transaction that succeeds, in
//! order; [`Store::ready`] keeps further changes out until then.

use super::{Desired, ObjectKey, Run, rule_text};
use api::{Bridge, NicWish, OffloadWish, PmdSet, Port};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

const BRIDGES: TableDefinition<&str, &str> = TableDefinition::new("bridges");
const PORTS: TableDefinition<&str, &str> = TableDefinition::new("ports");
const RULES: TableDefinition<(&str, &str), &str> = TableDefinition::new("rules");
const OBJECTS: TableDefinition<(&str, &str), &str> = TableDefinition::new("objects");
const SETTINGS: TableDefinition<&str, &str> = TableDefinition::new("settings");
const ESWITCHES: TableDefinition<&str, &str> = TableDefinition::new("eswitches");

/// Most changes of one transaction.
const GROUP: usize = 4096;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("state file {}: another shuntd has it open; stop it, or name another file with --state", path.display())]
    InUse { path: PathBuf },
    #[error("state file {}: {why}; check the folder's rights and space, or name another file with --state", path.display())]
    Open { path: PathBuf, why: String },
    #[error("state file {}: {what} cannot be understood: {why}; move the file away to start afresh", path.display())]
    Corrupt { path: PathBuf, what: String, why: String },
    #[error("state file {}: cannot be written: {why}; free space or mend the file system", path.display())]
    Write { path: PathBuf, why: String },
}

/// One change of the desired state.
#[derive(Clone, Debug)]
pub enum Change {
    PutBridge(Bridge),
    /// With its ports, rules and objects.
    DeleteBridge(String),
    PutPort {
        bridge: String,
        port: Port,
    },
    DeletePort(String),
    /// [`super::rule_key`] and [`super::rule_value`].
    PutRule {
        bridge: Arc<str>,
        key: String,
        value: String,
    },
    DeleteRule {
        bridge: Arc<str>,
        key: String,
    },
    PutObject {
        bridge: String,
        key: ObjectKey,
        value: String,
    },
    DeleteObject {
        bridge: String,
        key: ObjectKey,
    },
    /// All groups and meters of a bridge.
    DeleteObjects {
        bridge: String,
    },
    Offload(bool),
    /// All that is wanted of offload beside that.
    OffloadWish(OffloadWish),
    /// A daemon starts on this state.
    Run(Run),
    /// All that is set of PMDs.
    Pmds(PmdSet),
    /// All that is desired of a NIC.
    Nic(NicWish),
    /// Nothing is desired of it any more.
    ForgetNic(String),
}

type Answer = mpsc::SyncSender<Result<(), String>>;

/// The open state file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    queue: Option<mpsc::Sender<(Vec<Change>, Answer)>>,
    writer: Option<std::thread::JoinHandle<()>>,
    /// The last transaction failed, and its changes wait.
    failing: Arc<AtomicBool>,
}

/// A change that is on its way to disk.
#[derive(Debug)]
#[must_use = "a change is not acknowledged before it is on disk"]
pub struct Ticket {
    path: PathBuf,
    answer: mpsc::Receiver<Result<(), String>>,
}

impl Ticket {
    /// Wait until the change is on disk.
    pub fn wait(self) -> Result<(), StoreError> {
        let answer = self.answer.recv().unwrap_or_else(|_| Err("the writer ended".to_owned()));
        answer.map_err(|why| StoreError::Write { path: self.path, why })
    }
}

impl Store {
    /// Open or make the file and read what it holds.
    pub fn open(path: &Path) -> Result<(Store, Desired), StoreError> {
        let open = |why: String| StoreError::Open { path: path.to_owned(), why };
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir).map_err(|e| open(e.to_string()))?;
        }
        let file = path.to_owned();
        Store::open_with(path, Box::new(move || open_or_make(&file)))
    }

    fn open_with(path: &Path, opener: Opener) -> Result<(Store, Desired), StoreError> {
        let open = |why: String| StoreError::Open { path: path.to_owned(), why };
        let database = opener().map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
            other => open(other.to_string()),
        })?;
        let desired = read(path, &database)?;
        let (queue, waiting) = mpsc::channel();
        let failing = Arc::new(AtomicBool::new(false));
        let mut writer = Writer { opener, database: Some(database), waits: Vec::new(), failing: failing.clone() };
        let writer = std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|e| open(e.to_string()))?;
        Ok((Store { path: path.to_owned(), queue: Some(queue), writer: Some(writer), failing }, desired))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether changes can be written. After a failure, what waits is tried again.
    pub fn ready(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::Acquire) { self.submit(Vec::new()).wait() } else { Ok(()) }
    }

    /// Hand changes to the writer, in order, all or none of them.
    pub fn submit(&self, changes: Vec<Change>) -> Ticket {
        let (answer, wait) = mpsc::sync_channel(1);
        if let Some(queue) = &self.queue {
            // A writer that ended drops its end, and the ticket says so.
            let _ = queue.send((changes, answer));
        }
        Ticket { path: self.path.clone(), answer: wait }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// The database in a file. A new one gets its name when it is whole: what a daemon leaves that is killed in between would be refused.
fn open_or_make(path: &Path) -> Result<Database, redb::DatabaseError> {
    if !path.exists() {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = PathBuf::from(name);
        drop(Database::create(&new)?);
        // Not over one that another daemon has made meanwhile. Where there are no links, it is made in its place below.
        let _ = std::fs::hard_link(&new, path);
        let _ = std::fs::remove_file(&new);
    }
    Database::create(path)
}

type Opener = Box<dyn Fn() -> Result<Database, redb::DatabaseError> + Send>;

/// The thread that writes.
struct Writer {
    opener: Opener,
    /// `None` after a failure: a database that failed once refuses all that follows, and has to be opened again.
    database: Option<Database>,
    /// Changes that are not on disk, in order.
    waits: Vec<Change>,
    failing: Arc<AtomicBool>,
}

impl Writer {
    fn run(&mut self, waiting: &mpsc::Receiver<(Vec<Change>, Answer)>) {
        while let Ok((changes, answer)) = waiting.recv() {
            self.waits.extend(changes);
            let mut answers = vec![answer];
            while self.waits.len() < GROUP {
                let Ok((more, answer)) = waiting.try_recv() else { break };
                self.waits.extend(more);
                answers.push(answer);
            }
            let result = self.write().map_err(|e| e.to_string());
            self.failing.store(result.is_err(), Ordering::Release);
            for answer in answers {
                // Who asked may have gone.
                let _ = answer.send(result.clone());
            }
        }
    }

    /// Write what waits. Changes that a failed transaction did write after all are written again: each says what is, not
    /// what is different.
    fn write(&mut self) -> Result<(), redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.opener)()?,
        };
        write(&database, &self.waits)?;
        self.waits.clear();
        self.database = Some(database);
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Result<String, redb::Error> {
    serde_json::to_string(value).map_err(|e| redb::Error::Io(e.into()))
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut bridges = transaction.open_table(BRIDGES)?;
        let mut ports = transaction.open_table(PORTS)?;
        let mut rules = transaction.open_table(RULES)?;
        let mut objects = transaction.open_table(OBJECTS)?;
        let mut settings = transaction.open_table(SETTINGS)?;
        let mut nics = transaction.open_table(ESWITCHES)?;
        for change in changes {
            match change {
                Change::PutBridge(bridge) => {
                    bridges.insert(bridge.name.as_str(), json(bridge)?.as_str())?;
                }
                Change::DeleteBridge(name) => {
                    bridges.remove(name.as_str())?;
                    ports.retain(|_, value| {
                        !serde_json::from_str::<(String, Port)>(value).is_ok_and(|(bridge, _)| bridge == *name)
                    })?;
                    rules.retain(|(bridge, _), _| bridge != name)?;
                    objects.retain(|(bridge, _), _| bridge != name)?;
                }
                Change::PutPort { bridge, port } => {
                    ports.insert(port.name.as_str(), json(&(bridge, port))?.as_str())?;
                }
                Change::DeletePort(name) => {
                    ports.remove(name.as_str())?;
                }
                Change::PutRule { bridge, key, value } => {
                    rules.insert((&**bridge, key.as_str()), value.as_str())?;
                }
                Change::DeleteRule { bridge, key } => {
                    rules.remove((&**bridge, key.as_str()))?;
                }
                Change::PutObject { bridge, key, value } => {
                    objects.insert((bridge.as_str(), key.to_string().as_str()), value.as_str())?;
                }
                Change::DeleteObject { bridge, key } => {
                    objects.remove((bridge.as_str(), key.to_string().as_str()))?;
                }
                Change::DeleteObjects { bridge } => {
                    objects.retain(|(owner, key), _| {
                        let meant = key.starts_with("group ") || key.starts_with("meter ");
                        owner != bridge || !meant
                    })?;
                }
                Change::Offload(on) => {
                    settings.insert("offload", if *on { "true" } else { "false" })?;
                }
                Change::OffloadWish(wish) => {
                    settings.insert("offload-wish", json(wish)?.as_str())?;
                }
                Change::Run(run) => {
                    settings.insert("run", json(run)?.as_str())?;
                }
                Change::Pmds(set) => {
                    settings.insert("pmds", json(set)?.as_str())?;
                }
                Change::Nic(wish) => {
                    nics.insert(wish.pf.as_str(), json(wish)?.as_str())?;
                }
                Change::ForgetNic(pf) => {
                    nics.remove(pf.as_str())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn read(path: &Path, database: &Database) -> Result<Desired, StoreError> {
    let corrupt = |what: &str, why: String| StoreError::Corrupt { path: path.to_owned(), what: what.to_owned(), why };
    let db = |e: redb::Error| corrupt("a table", e.to_string());
    // Makes the tables of a new file, so that reading finds them.
    write(database, &[]).map_err(|e| StoreError::Write { path: path.to_owned(), why: e.to_string() })?;
    let transaction = database.begin_read().map_err(|e| db(e.into()))?;
    let mut desired = Desired::default();
    let bridges = transaction.open_table(BRIDGES).map_err(|e| db(e.into()))?;
    for row in bridges.iter().map_err(|e| db(e.into()))? {
        let (name, value) = row.map_err(|e| db(e.into()))?;
        let bridge = parse(value.value()).map_err(|e| corrupt(&format!("bridge {}", name.value()), e))?;
        desired.bridges.insert(name.value().to_owned(), bridge);
    }
    let ports = transaction.open_table(PORTS).map_err(|e| db(e.into()))?;
    for row in ports.iter().map_err(|e| db(e.into()))? {
        let (name, value) = row.map_err(|e| db(e.into()))?;
        let port = parse(value.value()).map_err(|e| corrupt(&format!("port {}", name.value()), e))?;
        desired.ports.insert(name.value().to_owned(), port);
    }
    let rules = transaction.open_table(RULES).map_err(|e| db(e.into()))?;
    for row in rules.iter().map_err(|e| db(e.into()))? {
        let (key, value) = row.map_err(|e| db(e.into()))?;
        let (bridge, key) = key.value();
        let unknown = || corrupt(&format!("rule `{key}` of bridge {bridge}"), "its name is not ours".to_owned());
        let text = rule_text(key, value.value()).ok_or_else(unknown)?;
        desired.rules.insert((bridge.to_owned(), key.to_owned()), text);
    }
    let objects = transaction.open_table(OBJECTS).map_err(|e| db(e.into()))?;
    for row in objects.iter().map_err(|e| db(e.into()))? {
        let (key, value) = row.map_err(|e| db(e.into()))?;
        let (bridge, name) = key.value();
        let key = name.parse().map_err(|e| corrupt(&format!("object `{name}` of bridge {bridge}"), e))?;
        desired.objects.insert((bridge.to_owned(), key), value.value().to_owned());
    }
    let settings = transaction.open_table(SETTINGS).map_err(|e| db(e.into()))?;
    desired.offload = settings.get("offload").map_err(|e| db(e.into()))?.map(|v| v.value() == "true");
    if let Some(value) = settings.get("offload-wish").map_err(|e| db(e.into()))? {
        desired.offload_wish = parse(value.value()).map_err(|e| corrupt("the setting offload-wish", e))?;
    }
    if let Some(value) = settings.get("run").map_err(|e| db(e.into()))? {
        desired.run = parse(value.value()).map_err(|e| corrupt("the setting run", e))?;
    }
    if let Some(value) = settings.get("pmds").map_err(|e| db(e.into()))? {
        desired.pmds = parse(value.value()).map_err(|e| corrupt("the setting pmds", e))?;
    }
    let eswitches = transaction.open_table(ESWITCHES).map_err(|e| db(e.into()))?;
    for row in eswitches.iter().map_err(|e| db(e.into()))? {
        let (name, value) = row.map_err(|e| db(e.into()))?;
        let set = parse(value.value()).map_err(|e| corrupt(&format!("eswitch {}", name.value()), e))?;
        desired.nics.insert(name.value().to_owned(), set);
    }
    Ok(desired)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{FailMode, PortType};

    fn port(name: &str) -> Port {
        Port { devargs: Some("net_null0".into()), ..Port::new(name, PortType::Dpdk) }
    }

    fn bridge(name: &str) -> Bridge {
        Bridge::new(name, FailMode::Secure)
    }

    #[test]
    fn what_was_committed_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deeper/state.redb");
        {
            let (store, desired) = Store::open(&path).unwrap();
            assert_eq!(desired, Desired::default());
            let rule = |n: u32| Change::PutRule {
                bridge: "a".into(),
                key: format!("000 {n:05} ip"),
                value: "actions=drop".into(),
            };
            store.submit(vec![Change::PutBridge(bridge("a")), Change::PutBridge(bridge("b"))]).wait().unwrap();
            let port = |name: &str, bridge: &str| Change::PutPort { bridge: bridge.into(), port: port(name) };
            store.submit(vec![port("p0", "a"), port("p1", "b"), port("p2", "a")]).wait().unwrap();
            store.submit(vec![rule(1), rule(2), Change::Offload(false)]).wait().unwrap();
            store.submit(vec![Change::Run(Run { instance: u64::MAX, generation: 7 })]).wait().unwrap();
            store.submit(vec![Change::DeleteRule { bridge: "a".into(), key: "000 00001 ip".into() }]).wait().unwrap();
            store.submit(vec![Change::DeletePort("p2".into())]).wait().unwrap();
            let put = |bridge: &str, id| Change::PutObject {
                bridge: bridge.into(),
                key: ObjectKey::Group(id),
                value: format!("g{id}"),
            };
            store.submit(vec![put("a", 1), put("a", 2), put("b", 1)]).wait().unwrap();
            let delete = Change::DeleteObject { bridge: "a".into(), key: ObjectKey::Group(1) };
            store.submit(vec![delete]).wait().unwrap();
        }
        let (store, desired) = Store::open(&path).unwrap();
        assert_eq!(desired.bridges.len(), 2);
        assert_eq!(desired.ports.keys().collect::<Vec<_>>(), ["p0", "p1"]);
        assert_eq!(
            desired.rules.into_iter().collect::<Vec<_>>(),
            [(("a".into(), "000 00002 ip".into()), "table=0,priority=2,ip,actions=drop".into())]
        );
        assert_eq!(desired.offload, Some(false));
        assert_eq!(desired.run, Run { instance: u64::MAX, generation: 7 });
        let object = |bridge: &str, id, value: &str| ((bridge.to_owned(), ObjectKey::Group(id)), value.to_owned());
        assert_eq!(desired.objects.into_iter().collect::<Vec<_>>(), [object("a", 2, "g2"), object("b", 1, "g1")]);
        store.submit(vec![Change::DeleteBridge("a".into())]).wait().unwrap();
        drop(store);
        let (_, desired) = Store::open(&path).unwrap();
        assert_eq!((desired.bridges.len(), desired.ports.len(), desired.rules.len()), (1, 1, 0));
        assert_eq!(desired.objects.len(), 1);
    }

    /// A disk that can be full.
    #[derive(Clone, Debug, Default)]
    struct Disk {
        bytes: Arc<std::sync::Mutex<Vec<u8>>>,
        full: Arc<AtomicBool>,
    }

    impl Disk {
        fn check(&self) -> std::io::Result<()> {
            if self.full.load(Ordering::SeqCst) { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl redb::StorageBackend for Disk {
        fn len(&self) -> std::io::Result<u64> {
            Ok(self.bytes.lock().unwrap().len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
            let at = offset as usize;
            out.copy_from_slice(&self.bytes.lock().unwrap()[at..at + out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> std::io::Result<()> {
            self.check()?;
            self.bytes.lock().unwrap().resize(len as usize, 0);
            Ok(())
        }

        fn sync_data(&self) -> std::io::Result<()> {
            self.check()
        }

        fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.check()?;
            let at = offset as usize;
            self.bytes.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_written_when_there_is_room() {
        let disk = Disk::default();
        let open = |disk: &Disk| {
            let disk = disk.clone();
            let opener: Opener = Box::new(move || Database::builder().create_with_backend(disk.clone()));
            Store::open_with(Path::new("disk"), opener).unwrap()
        };
        let (store, _) = open(&disk);
        store.submit(vec![Change::PutBridge(bridge("a"))]).wait().unwrap();
        disk.full.store(true, Ordering::SeqCst);
        for name in ["b", "c"] {
            let error = store.submit(vec![Change::PutBridge(bridge(name))]).wait().unwrap_err();
            assert!(error.to_string().starts_with("state file disk: cannot be written: "), "{error}");
            assert!(matches!(store.ready(), Err(StoreError::Write { .. })));
        }
        disk.full.store(false, Ordering::SeqCst);
        store.ready().unwrap();
        store.submit(vec![Change::DeleteBridge("b".into())]).wait().unwrap();
        drop(store);
        assert_eq!(open(&disk).1.bridges.into_keys().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn a_file_that_is_open_or_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.redb");
        let (_store, _) = Store::open(&path).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
        let other = dir.path().join("text");
        std::fs::write(&other, "this is no database, but long enough to look at".repeat(100)).unwrap();
        assert!(matches!(Store::open(&other), Err(StoreError::Open { .. })));
    }
}
