//! The signer's state machines: messages, Noise channels, key generation, steps, nonces, register.
