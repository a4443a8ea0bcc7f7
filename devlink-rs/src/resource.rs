//! Resources that a device shares out (`devlink resource show`).

use netlink::{Attrs, RawAttr, Result};

use crate::{
    device::DeviceId,
    names::ResourceUnit,
    request::{Request, keep, malformed, need, same},
    uapi,
};

/// How deep resources may lie in each other: drivers have two or three levels. A bound, because the answer is not trusted.
const MAX_DEPTH: usize = 16;

/// A resource as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Name.
    pub name: String,
    /// Number in the device.
    pub id: u64,
    /// Size.
    pub size: u64,
    /// Size from the next reload on, where it differs.
    pub size_new: Option<u64>,
    /// Whether the sizes of all in it fit.
    pub size_valid: Option<bool>,
    /// How much of it is in use, where the device says.
    pub occupied: Option<u64>,
    /// Smallest size.
    pub size_min: Option<u64>,
    /// Greatest size.
    pub size_max: Option<u64>,
    /// Sizes are multiples of this.
    pub granularity: Option<u64>,
    /// What it is counted in.
    pub unit: Option<ResourceUnit>,
    /// The resources in it.
    pub children: Vec<Resource>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Resource {
    fn parse(attrs: Attrs<'_>, depth: usize) -> Result<Self> {
        let (mut name, mut id) = (None, None);
        let mut resource = Resource {
            name: String::new(),
            id: 0,
            size: 0,
            size_new: None,
            size_valid: None,
            occupied: None,
            size_min: None,
            size_max: None,
            granularity: None,
            unit: None,
            children: Vec::new(),
            other: Vec::new(),
        };
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_RESOURCE_NAME => name = Some(attr.str()?.to_owned()),
                uapi::ATTR_RESOURCE_ID => id = Some(attr.u64()?),
                uapi::ATTR_RESOURCE_SIZE => resource.size = attr.u64()?,
                uapi::ATTR_RESOURCE_SIZE_NEW => resource.size_new = Some(attr.u64()?),
                uapi::ATTR_RESOURCE_SIZE_VALID => resource.size_valid = Some(attr.u8()? != 0),
                uapi::ATTR_RESOURCE_OCC => resource.occupied = Some(attr.u64()?),
                uapi::ATTR_RESOURCE_SIZE_MIN => resource.size_min = Some(attr.u64()?),
                uapi::ATTR_RESOURCE_SIZE_MAX => resource.size_max = Some(attr.u64()?),
                uapi::ATTR_RESOURCE_SIZE_GRAN => resource.granularity = Some(attr.u64()?),
                uapi::ATTR_RESOURCE_UNIT => resource.unit = Some(ResourceUnit::from_number(attr.u8()?)),
                uapi::ATTR_RESOURCE_LIST => list(attr.nested(), depth + 1, &mut resource.children)?,
                _ => keep(&mut resource.other, &attr),
            }
        }
        resource.name = need(name, &"a resource", "name")?;
        resource.id = need(id, &format!("resource {}", resource.name), "number")?;
        Ok(resource)
    }
}

/// `RESOURCE*`.
fn list(attrs: Attrs<'_>, depth: usize, into: &mut Vec<Resource>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(malformed(format!("resources lie in each other more than {MAX_DEPTH} deep")));
    }
    for attr in attrs {
        let attr = attr?;
        if attr.kind == uapi::ATTR_RESOURCE {
            into.push(Resource::parse(attr.nested(), depth)?);
        }
    }
    Ok(())
}

/// The resources of a device (`devlink resource show DEV`); `None` when it shares out none.
#[must_use]
pub fn resources(device: &DeviceId) -> Request<Option<Vec<Resource>>> {
    let asked = device.clone();
    let what = format!("devlink resource show {device}");
    // No dump for the kernel's core, although the answer has several parts.
    Request::get(what, uapi::CMD_RESOURCE_DUMP, device.attrs(), move |replies| {
        let mut all = Vec::new();
        for reply in &replies {
            same(&asked, &DeviceId::parse(&reply.attrs())?)?;
            if let Some(part) = reply.attrs().find(uapi::ATTR_RESOURCE_LIST)? {
                list(part.nested(), 1, &mut all)?;
            }
        }
        Ok(all)
    })
    .optional()
}

/// Sets the size that a resource has from the next reload on (`devlink resource set`).
#[must_use]
pub fn set_resource(device: &DeviceId, id: u64, size: u64) -> Request<()> {
    let mut attrs = device.attrs();
    attrs.put_u64(uapi::ATTR_RESOURCE_ID, id).put_u64(uapi::ATTR_RESOURCE_SIZE, size);
    Request::act(format!("devlink resource set {device} resource {id} size {size}"), uapi::CMD_RESOURCE_SET, attrs)
}
