//! Network of Momentum: account blocks, addresses, token standards.
