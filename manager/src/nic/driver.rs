//! What is known of a port's driver, and what its packets carry: which marks can be counted on, and what another start would give.

use dpdk::{Port, RxMetadata};
use flow::dp::Mark;
use offload::caps::{Asked, Denied};
use offload::{Capabilities, DeviceError, DeviceErrorKind};
use rte_flow_rs::{DriverFacts, Requirement, RteFlowApi};

/// Marks, as they come to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// Whether the driver said that it delivers them (`rte_eth_rx_metadata_negotiate`), or was not asked.
    pub granted: bool,
    pub bits: u32,
    /// The devarg without which transfer rules have none.
    pub transfer_needs: Option<&'static str>,
}

impl Marks {
    /// Of a port with a driver like that.
    pub fn of(facts: &DriverFacts, granted: Option<RxMetadata>) -> Marks {
        Marks {
            granted: granted.is_none_or(|granted| granted.contains(RxMetadata::MARK)),
            bits: facts.mark_bits,
            transfer_needs: facts.transfer_mark_devarg.filter(|_| !facts.mark_in_transfer),
        }
    }

    /// Without claims that these marks cannot keep; what went, and why.
    pub fn limit(self, mut claims: Capabilities) -> (Capabilities, Vec<Denied>) {
        let mut denied = Vec::new();
        let mut deny = |asked, why: &str| {
            let error = DeviceError { kind: DeviceErrorKind::NotSupported, message: why.to_owned() };
            denied.push(Denied { asked, error });
        };
        let useless = match self.granted {
            false => Some("rte_eth_rx_metadata_negotiate: the driver does not deliver marks with packets".to_owned()),
            true if self.bits < Mark::BITS => {
                Some(format!("marks of this driver have {} bits, and {} are needed", self.bits, Mark::BITS))
            }
            true => None,
        };
        if let Some(why) = &useless
            && claims.partial.take().is_some()
        {
            deny(Asked::Partial, why);
        }
        let needs = self.transfer_needs.map(|devarg| format!("the driver needs {devarg} for them"));
        if let Some(transfer) = claims.transfer.as_mut().filter(|transfer| transfer.mark)
            && let Some(why) = useless.or(needs)
        {
            transfer.mark = false;
            deny(Asked::TransferMark, &why);
        }
        (claims, denied)
    }
}

/// What a driver was found to be when its port started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driver {
    pub facts: DriverFacts,
    /// Whether the template engine answers as things are.
    templates: bool,
}

impl Driver {
    /// A port's driver by its name and the devargs that it was probed with.
    pub fn of(name: &str, port: &Port, api: &mut dyn RteFlowApi) -> Driver {
        Driver::with(name, port.name(), port.id(), api)
    }

    fn with(name: &str, devargs: &str, port: u16, api: &mut dyn RteFlowApi) -> Driver {
        let templates = api.engine_info(port).is_ok_and(|engine| engine.queues > 0);
        Driver { facts: DriverFacts::of(name).with(devargs), templates }
    }

    /// What another start of a port, of this name, would give.
    pub fn needs(&self, port: &str) -> Vec<Requirement> {
        let templates = self.facts.for_templates(port).filter(|_| !self.templates);
        templates.into_iter().chain(self.facts.for_transfer_marks(port)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Asked as Found;
    use super::super::CapabilityFiles;
    use super::*;
    use mocks::nic::{Eswitch, Faults, MockRteFlow, Profile};
    use offload::EthdevId;
    use offload::rte_flow::ask;

    const PORTS: [u16; 2] = [10, 11];

    fn mock(profile: &Profile) -> MockRteFlow {
        MockRteFlow::of(Eswitch::new(profile.clone(), PORTS.to_vec(), Faults::none(), 0))
    }

    /// What a device that can do all is found to take, when its marks are like that.
    fn found(marks: Marks) -> Found {
        let profile = Profile::named("full").unwrap();
        let ask = |claims: &Capabilities| ask(&mut mock(&profile), claims, EthdevId(PORTS[0]), EthdevId(PORTS[1]));
        Found::about(profile.capabilities(), marks, &CapabilityFiles::default(), ask).unwrap()
    }

    fn marking(found: &Found) -> (bool, bool) {
        (found.caps.partial.is_some(), found.caps.transfer.as_ref().is_some_and(|transfer| transfer.mark))
    }

    fn denials(found: &Found) -> Vec<String> {
        let denied = found.probed.denied.iter();
        let marks = denied.filter(|d| matches!(d.asked, Asked::Partial | Asked::TransferMark));
        marks.map(|d| format!("{}: {}", d.asked, d.error.message)).collect()
    }

    #[test]
    fn marks_that_the_driver_does_not_deliver_are_not_asked_for() {
        let facts = DriverFacts::of("net_ice");
        for granted in [None, Some(RxMetadata::MARK | RxMetadata::FLAG)] {
            let found = found(Marks::of(&facts, granted));
            assert_eq!((marking(&found), denials(&found)), ((true, true), vec![]));
        }
        let found = found(Marks::of(&facts, Some(RxMetadata::FLAG)));
        assert_eq!(marking(&found), (false, false));
        assert!(found.caps.transfer.is_some(), "all else stays");
        let why = "rte_eth_rx_metadata_negotiate: the driver does not deliver marks with packets";
        let denials = denials(&found);
        assert!(denials[0].starts_with("rules that mark: ") && denials[0].ends_with(why), "{denials:?}");
        assert!(denials[1].starts_with("marks of transfer rules: ") && denials[1].ends_with(why), "{denials:?}");
        assert_eq!(denials.len(), 2);
    }

    #[test]
    fn marks_that_are_too_narrow_are_no_marks() {
        let facts = DriverFacts::of("mlx5_pci").with("0000:03:00.0,dv_xmeta_en=2");
        let narrow = found(Marks::of(&facts, None));
        assert_eq!(marking(&narrow), (false, false));
        assert!(denials(&narrow)[0].ends_with("marks of this driver have 16 bits, and 24 are needed"));
        let wide = found(Marks { bits: 24, ..Marks::of(&facts, None) });
        assert_eq!((marking(&wide), denials(&wide)), ((true, true), vec![]));
    }

    #[test]
    fn transfer_rules_of_mlx5_mark_with_its_devarg() {
        let plain = found(Marks::of(&DriverFacts::of("mlx5_pci"), None));
        assert_eq!(marking(&plain), (true, false));
        assert!(denials(&plain)[0].ends_with("the driver needs dv_xmeta_en=1 for them"));
        let given = DriverFacts::of("mlx5_pci").with("0000:03:00.0,dv_xmeta_en=1");
        assert_eq!(marking(&found(Marks::of(&given, None))), (true, true));
    }

    /// What a device is found to take whose marks are said to be in transfer rules, and are not.
    #[test]
    fn marks_of_transfer_rules_are_asked_for_too() {
        let profile = Profile::named("connectx").unwrap();
        let mut claims = profile.capabilities();
        claims.transfer.as_mut().unwrap().mark = true;
        let marks = Marks { granted: true, bits: 24, transfer_needs: None };
        let ask = |claims: &Capabilities| ask(&mut mock(&profile), claims, EthdevId(PORTS[0]), EthdevId(PORTS[1]));
        let found = Found::about(claims, marks, &CapabilityFiles::default(), ask).unwrap();
        assert_eq!(marking(&found), (true, false));
        assert!(denials(&found)[0].contains("action Mark is not supported here"), "{:?}", denials(&found));
    }

    #[test]
    fn what_another_start_would_give() {
        let needs = |name, devargs, profile| {
            let mut api = mock(&Profile::named(profile).unwrap());
            let needs = Driver::with(name, devargs, PORTS[0], &mut api).needs("uplink");
            needs.into_iter().map(|need| (need.what, need.devarg, need.port)).collect::<Vec<_>>()
        };
        let templates = ("the template engine", "dv_flow_en=2", "uplink".to_owned());
        let marks = ("marking in the embedded switch", "dv_xmeta_en=1", "uplink".to_owned());
        // A device without a template engine, and one with.
        assert_eq!(needs("mlx5_pci", "0000:03:00.0", "e810"), [templates.clone(), marks.clone()]);
        assert_eq!(needs("mlx5_pci", "0000:03:00.0", "connectx"), [marks]);
        assert_eq!(needs("mlx5_pci", "0000:03:00.0,dv_xmeta_en=1", "e810"), [templates]);
        assert_eq!(needs("mlx5_pci", "0000:03:00.0,dv_flow_en=2,dv_xmeta_en=1", "e810"), []);
        assert_eq!(needs("net_ice", "0000:03:00.0", "e810"), []);
    }
}
