//! What users call ports and meters: here they are numbers of the datapath, which nobody outside knows.

use flow::dp::MeterId;
use flow::port::DpPort;
use std::fmt::{Display, Formatter, Result};

/// Who knows what users call ports and meters.
pub trait Names {
    /// A port's name.
    fn port(&self, port: DpPort) -> String;

    /// The OpenFlow number of a meter.
    fn meter(&self, meter: MeterId) -> u32;
}

/// Nobody does: numbers of the datapath.
#[derive(Clone, Copy, Debug)]
pub struct Numbers;

impl Names for Numbers {
    fn port(&self, port: DpPort) -> String {
        port.to_string()
    }

    fn meter(&self, meter: MeterId) -> u32 {
        meter.0
    }
}

/// Text that names ports or meters.
pub trait Told {
    /// Write it, with the names that users know.
    ///
    /// # Errors
    /// Those of the formatter.
    fn tell(&self, names: &dyn Names, f: &mut Formatter<'_>) -> Result;

    /// The same, as a string.
    fn told(&self, names: &dyn Names) -> String {
        With(self, names).to_string()
    }
}

struct With<'a, T: ?Sized>(&'a T, &'a dyn Names);

impl<T: Told + ?Sized> Display for With<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.tell(self.1, f)
    }
}
