//! The NICs of this host, and converging one of them, from the command line:
//!
//! ```text
//! nic list
//! nic plan|converge DEVICE legacy|switchdev VFS [SETTING=VALUE ...]
//! nic watch DEVICE SECONDS
//! ```
//! Settings: `vfN.mac`, `vfN.vlan=ID[:QOS]`, `vfN.rate=MIN:MAX` (Mbit/s), `vfN.trust=on`, `vfN.spoof=on`,
//! `vfN.link=enable`, `up=on`, `mtu=9000`,
//! `offload=on`, `sf=NUMBER`.

use std::{error::Error, time::Duration};

use representors::{
    Desired, DeviceId, DriftWatch, EswitchMode, Kernel, SfDesired, VfDesired, VfLinkState, VfRate, VfVlan, converge,
    plan,
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut kernel = Kernel::real()?;
    match words.as_slice() {
        ["list"] => {
            for nic in kernel.inventory()?.nics {
                println!("{nic} driver {}", nic.driver.as_deref().unwrap_or("none"));
                for vf in &nic.vfs {
                    println!("  {vf:?}");
                }
                for rep in &nic.representors {
                    println!("  {rep:?}");
                }
                for counters in kernel.vf_counters(&nic.device)? {
                    println!("  {counters:?}");
                }
            }
        }
        [what @ ("plan" | "converge"), device, mode, vfs, settings @ ..] => {
            let mode = match *mode {
                "switchdev" => EswitchMode::Switchdev,
                "legacy" => EswitchMode::Legacy,
                other => return Err(format!("{other}: no such mode; write legacy or switchdev").into()),
            };
            let device: DeviceId = device.parse()?;
            let mut desired = Desired { mode: Some(mode), vfs: Some(vfs.parse()?), ..Desired::new(device) };
            for setting in settings {
                let (name, value) = setting.split_once('=').ok_or_else(|| format!("{setting}: no '='"))?;
                set(&mut desired, name, value)?;
            }
            if *what == "plan" {
                println!("{}", plan(&desired, &kernel.nic(&desired.device)?)?);
            } else {
                for done in converge(&desired, &mut kernel)?.steps {
                    println!("{} ({:?})", done.step, done.took);
                }
            }
        }
        ["watch", device, seconds] => {
            let device: DeviceId = device.parse()?;
            let mut watch = DriftWatch::open(&mut kernel, &[device])?;
            println!("watching");
            for (device, drift) in watch.next(&mut kernel, Duration::from_secs(seconds.parse()?))? {
                println!("{device}: {drift}");
            }
        }
        _ => return Err("usage: nic list | plan | converge | watch; see the top of examples/nic.rs".into()),
    }
    Ok(())
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("{other}: write on or off")),
    }
}

fn set(desired: &mut Desired, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    match name {
        "up" => desired.representors_up = Some(switch(value)?),
        "mtu" => desired.representor_mtu = Some(value.parse()?),
        "offload" => desired.hw_tc_offload = Some(switch(value)?),
        "sf" => _ = desired.sfs.get_or_insert_default().insert(value.parse()?, SfDesired::default()),
        _ => {
            let (vf, name) = name.strip_prefix("vf").and_then(|n| n.split_once('.')).ok_or("no such setting")?;
            set_vf(desired.per_vf.entry(vf.parse()?).or_default(), name, value)?;
        }
    }
    Ok(())
}

fn set_vf(vf: &mut VfDesired, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    let (first, second) = value.split_once(':').unwrap_or((value, "0"));
    match name {
        "mac" => {
            let bytes: Vec<u8> = value.split(':').map(|b| u8::from_str_radix(b, 16)).collect::<Result<_, _>>()?;
            vf.mac = Some(bytes.try_into().map_err(|_| "an address has six bytes")?);
        }
        "vlan" => vf.vlan = Some(VfVlan { id: first.parse()?, qos: second.parse()?, ..VfVlan::default() }),
        "rate" => vf.rate = Some(VfRate { min: first.parse()?, max: second.parse()? }),
        "trust" => vf.trust = Some(switch(value)?),
        "spoof" => vf.spoof_check = Some(switch(value)?),
        "link" => {
            vf.link_state = Some(match value {
                "auto" => VfLinkState::Auto,
                "enable" => VfLinkState::Enable,
                "disable" => VfLinkState::Disable,
                other => return Err(format!("{other}: write auto, enable or disable").into()),
            });
        }
        _ => return Err(format!("vf.{name}: no such setting").into()),
    }
    Ok(())
}
