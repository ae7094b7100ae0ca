//! Modules, friendly and hostile, from text to outcome: what the gatekeeper refuses, what metering
//! charges, what the host does, and that nothing of it depends on anything but the input.

mod bed;
mod calls;
mod engines;
mod files;
mod gas;
mod gatekeeper;
mod host;
mod hostile;
mod pulls;
mod stack;
mod traces;
