-- Version 3: signatures of steps under the key for EVM chains.
CREATE TABLE evm_signatures (seq INTEGER PRIMARY KEY, signature BLOB NOT NULL);
