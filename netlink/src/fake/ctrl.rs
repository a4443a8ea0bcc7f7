//! The controller family (`nlctrl`): which families there are.

use super::{Answer, FakeReply, FakeRequest, Refusal, Service, wire};

pub(super) const CTRL_ID: u16 = 0x10;
const GETFAMILY: u8 = 3;
const NEWFAMILY: u8 = 1;
const EINVAL: i32 = 22;
const ENOENT: i32 = 2;
const EOPNOTSUPP: i32 = 95;

pub(super) struct FamilyEntry {
    pub(super) name: String,
    pub(super) id: u16,
    pub(super) version: u8,
    pub(super) groups: Vec<(String, u32)>,
    pub(super) service: Box<dyn Service>,
}

pub(super) fn handle(families: &[FamilyEntry], request: &FakeRequest<'_>) -> Answer {
    if request.genl_cmd() != Some(GETFAMILY) {
        return Err(Refusal::new(EOPNOTSUPP));
    }
    if request.is_dump() {
        let ctrl = describe("nlctrl", CTRL_ID, 2, &[("notify".to_owned(), CTRL_ID.into())]);
        return Ok(std::iter::once(ctrl).chain(families.iter().map(entry)).collect());
    }
    let attrs = request.genl_attrs()?;
    let name = wire::find(&attrs, 2).and_then(wire::text).ok_or_else(|| Refusal::new(EINVAL))?;
    families.iter().find(|f| f.name == name).map(|f| vec![entry(f)]).ok_or_else(|| Refusal::new(ENOENT))
}

fn entry(family: &FamilyEntry) -> FakeReply {
    describe(&family.name, family.id, family.version, &family.groups)
}

fn describe(name: &str, id: u16, version: u8, groups: &[(String, u32)]) -> FakeReply {
    let mut list = Vec::new();
    for ((name, id), index) in groups.iter().zip(1..) {
        let mut group = Vec::new();
        wire::put(&mut group, 2, &id.to_ne_bytes());
        wire::put_str(&mut group, 1, name);
        wire::put_nested(&mut list, index, &group);
    }
    let mut payload = vec![NEWFAMILY, 2, 0, 0];
    wire::put_str(&mut payload, 2, name);
    wire::put(&mut payload, 1, &id.to_ne_bytes());
    wire::put(&mut payload, 3, &u32::from(version).to_ne_bytes());
    wire::put(&mut payload, 4, &0u32.to_ne_bytes());
    wire::put(&mut payload, 5, &0u32.to_ne_bytes());
    wire::put_nested(&mut payload, 7, &list);
    FakeReply { kind: CTRL_ID, payload }
}
