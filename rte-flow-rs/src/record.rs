//! A rule's lists kept in one flat piece of memory: what a device remembers of a rule, at the cost of one copy.

use crate::api::ActionHandle;
use crate::lower::{LoweredActions, LoweredPattern};

/// The bytes of a pattern and of a list of actions, as they were lowered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(Box<[u8]>);

/// One item, as [`crate::ItemRef`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemBytes {
    /// `RTE_FLOW_ITEM_TYPE_*`.
    pub ty: u32,
    /// Values.
    pub spec: Option<Vec<u8>>,
    /// Upper bounds of ranges.
    pub last: Option<Vec<u8>>,
    /// Bits that count.
    pub mask: Option<Vec<u8>>,
    /// What a pointer in `spec` points to.
    pub spec_data: Option<Vec<u8>>,
    /// What a pointer in `mask` points to.
    pub mask_data: Option<Vec<u8>>,
}

/// One action, as [`crate::ActionRef`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionBytes {
    /// `RTE_FLOW_ACTION_TYPE_*`.
    pub ty: u32,
    /// The configuration.
    pub conf: Option<Vec<u8>>,
    /// What a pointer in it points to: bytes.
    pub data: Option<Vec<u8>>,
    /// A pattern.
    pub items: Vec<ItemBytes>,
    /// A list of actions.
    pub actions: Vec<ActionBytes>,
    /// INDIRECT: the shared action.
    pub handle: Option<ActionHandle>,
}

const NONE: u32 = u32::MAX;

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.extend(NONE.to_ne_bytes()),
        Some(bytes) => {
            out.extend((bytes.len() as u32).to_ne_bytes());
            out.extend(bytes);
        }
    }
}

fn put_items(out: &mut Vec<u8>, pattern: &LoweredPattern) {
    out.extend((pattern.iter().len() as u32).to_ne_bytes());
    for item in pattern.iter() {
        out.extend(item.ty.to_ne_bytes());
        for bytes in [item.spec, item.last, item.mask, item.spec_data, item.mask_data] {
            put_bytes(out, bytes);
        }
    }
}

fn put_actions(out: &mut Vec<u8>, actions: &LoweredActions) {
    out.extend((actions.iter().len() as u32).to_ne_bytes());
    for action in actions.iter() {
        out.extend(action.ty.to_ne_bytes());
        put_bytes(out, action.conf);
        put_bytes(out, action.data);
        match action.items {
            Some(items) => put_items(out, items),
            None => out.extend(0u32.to_ne_bytes()),
        }
        match action.actions {
            Some(actions) => put_actions(out, actions),
            None => out.extend(0u32.to_ne_bytes()),
        }
        out.extend(action.handle.map_or(u64::MAX, |handle| handle.0).to_ne_bytes());
    }
}

/// Reads what was written above; a record that is cut off reads as if nothing followed.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.0 = rest;
                *bytes
            }
            None => [0; N],
        }
    }

    fn word(&mut self) -> u32 {
        u32::from_ne_bytes(self.take())
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = self.word();
        if len == NONE {
            return None;
        }
        let (bytes, rest) = self.0.split_at_checked(len as usize)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    fn item(&mut self) -> ItemBytes {
        ItemBytes {
            ty: self.word(),
            spec: self.bytes(),
            last: self.bytes(),
            mask: self.bytes(),
            spec_data: self.bytes(),
            mask_data: self.bytes(),
        }
    }

    fn items(&mut self) -> Vec<ItemBytes> {
        (0..self.word()).map(|_| self.item()).collect()
    }

    fn action(&mut self) -> ActionBytes {
        ActionBytes {
            ty: self.word(),
            conf: self.bytes(),
            data: self.bytes(),
            items: self.items(),
            actions: self.actions(),
            handle: Some(u64::from_ne_bytes(self.take())).filter(|n| *n != u64::MAX).map(ActionHandle),
        }
    }

    fn actions(&mut self) -> Vec<ActionBytes> {
        (0..self.word()).map(|_| self.action()).collect()
    }
}

impl Record {
    /// Copies both lists.
    pub fn of(pattern: &LoweredPattern, actions: &LoweredActions) -> Record {
        let mut out = Vec::with_capacity(512);
        put_items(&mut out, pattern);
        put_actions(&mut out, actions);
        Record(out.into_boxed_slice())
    }

    /// The lists again.
    pub fn read(&self) -> (Vec<ItemBytes>, Vec<ActionBytes>) {
        let mut reader = Reader(&self.0);
        (reader.items(), reader.actions())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Item, Match, Udp};

    #[test]
    fn lists_come_back_as_they_were() {
        let pattern = LoweredPattern::new(&[
            Item::Eth(Match::Any),
            Item::Udp(Match::Masked { spec: Udp { src: 1, dst: 2 }, mask: Udp { src: 0, dst: 0xffff } }),
        ]);
        let list = [
            Action::Indirect(ActionHandle(7)),
            Action::RawEncap(vec![1, 2, 3]),
            Action::VxlanEncap(vec![Item::Eth(Match::Any)]),
            Action::Sample { ratio: 1, actions: vec![Action::Mark(3)] },
            Action::Drop,
        ];
        let (items, actions) = Record::of(&pattern, &LoweredActions::new(&list)).read();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].spec, None);
        assert_eq!(items[1].spec.as_deref(), Some(&[0, 1, 0, 2, 0, 0, 0, 0][..]));
        let types: Vec<u32> = actions.iter().map(|a| a.ty).collect();
        assert_eq!(types, list.iter().map(Action::type_id).collect::<Vec<_>>());
        assert_eq!((actions[0].handle, actions[4].handle), (Some(ActionHandle(7)), None));
        assert_eq!(actions[1].data.as_deref(), Some(&[1, 2, 3][..]));
        assert_eq!((actions[2].items.len(), actions[3].actions[0].conf.as_deref()), (1, Some(&3u32.to_ne_bytes()[..])));
        assert_eq!(Record::default().read(), (Vec::new(), Vec::new()));
    }
}
