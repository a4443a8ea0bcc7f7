//! The worked examples of documents that our users know, run as they stand there: the Open vSwitch advanced tutorial and Faucet
//! tutorial (docs.openvswitch.org), a home network on one bridge, and OpenStack's translation between VLANs and
//! tunnel keys. Each test gives the commands' rules as text and compares what the document prints.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod faucet;
mod home;
mod lab;
mod openstack;
mod tutorial;
