//! The coordinator's state machine: views, tally, packages, ROAST, blame.
