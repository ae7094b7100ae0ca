//! Whole committees of processes, with faults.
