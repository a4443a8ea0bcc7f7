//! The real kernel of the machine that runs the tests: reads only.

use representors::Kernel;

#[test]
fn the_inventory_of_this_host_can_be_read() {
    let mut kernel = match Kernel::real() {
        Ok(kernel) => kernel,
        Err(e) => {
            eprintln!("skipped: {e}");
            return;
        }
    };
    let inventory = kernel.inventory().unwrap();
    for nic in &inventory.nics {
        eprintln!("{nic}");
        assert!(nic.mode.is_some() || nic.sriov.is_some());
        assert_eq!(inventory.find(&nic.device.to_string()), Some(nic));
    }
}
