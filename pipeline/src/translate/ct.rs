//! Connection tracking: what to ask of the datapath, and where tracked packets go on.

use super::Walk;
use flow::action::{Ct, CtZone};
use flow::dp::{CtSpec, DpAction};
use flow::{Action, FieldId, Value};

/// The bit of `ct_state` that says that tracking has told about the packet.
const TRACKED: u32 = 0x20;

impl<'a> Walk<'a> {
    pub(super) fn ct(&mut self, ct: &'a Ct) {
        let zone = match &ct.zone {
            CtZone::Fixed(zone) => *zone,
            CtZone::Field(part) => self.packet.read(part).0 as u16,
        };
        self.packet.commit(&mut self.actions);
        let (mut mark, mut label) = (None, None);
        for action in &ct.exec {
            let Some((field, value, mask)) = self.exec_set(action) else { continue };
            let place = if field == FieldId::CtMark { &mut mark } else { &mut label };
            let (had, bits) = place.unwrap_or((0, 0));
            *place = Some((had & !mask.0 | value.0 & mask.0, bits | mask.0));
        }
        self.push(DpAction::Ct(Box::new(CtSpec {
            zone,
            commit: ct.commit,
            force: ct.force,
            mark: mark.map(|(value, mask)| (value as u32, mask as u32)),
            label,
            alg: ct.alg,
            nat: ct.nat,
        })));
        if let Some(table) = ct.table {
            self.recirculate(table, Vec::new(), Some(true), None);
            self.detail(|_| {
                format!(
                    "A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table {table}."
                )
            });
        }
        // What tracking tells is for the copy that comes back only.
        self.packet.clear_tracking();
        self.tracked = Some(false);
        self.detail(|_| "Sets the packet to an untracked state, and clears all the conntrack fields.".to_owned());
    }

    /// What an action inside `exec` sets.
    fn exec_set(&mut self, action: &Action) -> Option<(FieldId, Value, Value)> {
        match action {
            Action::Move { from, to } => {
                let value = self.packet.read(from);
                Some((to.field, Value(value.0 << to.first & to.mask().0), to.mask()))
            }
            other => other.as_set(),
        }
    }

    pub(super) fn ct_clear(&mut self) {
        if self.is_tracked() {
            self.packet.clear_tracking();
            self.tracked = Some(false);
            self.push(DpAction::CtClear);
        }
    }

    /// Whether tracking has told about the packet.
    pub(super) fn is_tracked(&mut self) -> bool {
        match self.tracked {
            Some(tracked) => tracked,
            None => {
                self.packet.look_bits(FieldId::CtState, Value::from(TRACKED));
                let tracked = self.packet.came().ct_state.get() & TRACKED != 0;
                self.tracked = Some(tracked);
                tracked
            }
        }
    }
}
